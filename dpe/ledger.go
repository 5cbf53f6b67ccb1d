package dpe

import (
	"context"
	"slices"
	"sync"

	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
)

// ledger is what the engine owes its DPM: the attempts that it took and that DPM has not settled yet. It outlives
// streams. It is safe for concurrent use.
//
//	taken -> running -> ended -> settled (receipt)
//	            \_________\____> dropped (refused, superseded, or DPM wants nothing of this engine)
//
// An attempt keeps its slot until it is settled or dropped, so the ledger holds at most as many attempts as there are slots.
type ledger struct {
	mu     sync.Mutex
	open   []*attempt // in the order in which they were taken
	unsent []*dpmv1.JobEvent
	wake   chan struct{} // holds a token when there is something to send
}

// attempt is one command that was taken.
type attempt struct {
	command *dpmv1.Command
	cancel  context.CancelFunc
	last    *dpmv1.JobEvent // newest event, nil before the first
}

func newLedger() *ledger { return &ledger{wake: make(chan struct{}, 1)} }

// take enters a command and returns its attempt. It returns nil if that attempt, or a later one of the job, is open
// already. An earlier attempt of the job is dropped.
func (l *ledger) take(c *dpmv1.Command, cancel context.CancelFunc) *attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := l.findLocked(c.GetJobId()); i >= 0 {
		if l.open[i].command.GetAttempt() >= c.GetAttempt() {
			return nil
		}
		l.removeLocked(i)
	}
	a := &attempt{command: c, cancel: cancel}
	l.open = append(l.open, a)
	return a
}

// report enters an event of a and tells whether a was still open.
func (l *ledger) report(a *attempt, e *dpmv1.JobEvent) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.open, a) {
		return false
	}
	a.last = e
	l.unsent = append(l.unsent, e)
	l.wakeLocked()
	return true
}

// settle takes a receipt: the attempt that it names is closed if it has ended or was refused. It tells whether one was.
func (l *ledger) settle(r *dpmv1.EventReceipt) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.findLocked(r.GetJobId())
	if i < 0 || l.open[i].command.GetAttempt() != r.GetAttempt() {
		return false
	}
	if r.GetAccepted() && !ended(l.open[i].last) {
		return false // of the event RUNNING
	}
	l.removeLocked(i)
	return true
}

// next takes the events that are to be sent, oldest first.
func (l *ledger) next() []*dpmv1.JobEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.unsent
	l.unsent = nil
	return e
}

// again lets a new stream begin: the newest event of every open attempt is to be sent once more.
func (l *ledger) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsent = nil
	for _, a := range l.open {
		if a.last != nil {
			l.unsent = append(l.unsent, a.last)
		}
	}
	l.wakeLocked()
}

// clear drops everything.
func (l *ledger) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.open) > 0 {
		l.removeLocked(0)
	}
}

// jobs lists the ids of the open attempts.
func (l *ledger) jobs() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make([]string, len(l.open))
	for i, a := range l.open {
		ids[i] = a.command.GetJobId()
	}
	return ids
}

// size gives the number of open attempts.
func (l *ledger) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

func (l *ledger) findLocked(job string) int {
	return slices.IndexFunc(l.open, func(a *attempt) bool { return a.command.GetJobId() == job })
}

// removeLocked closes an attempt: its work is cancelled, its events are not sent.
func (l *ledger) removeLocked(i int) {
	a := l.open[i]
	a.cancel()
	l.unsent = slices.DeleteFunc(l.unsent, func(e *dpmv1.JobEvent) bool {
		return e.GetJobId() == a.command.GetJobId() && e.GetAttempt() == a.command.GetAttempt()
	})
	l.open = slices.Delete(l.open, i, i+1)
	l.wakeLocked()
}

func (l *ledger) wakeLocked() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// ended tells whether an event ends its attempt.
func ended(e *dpmv1.JobEvent) bool {
	return e != nil && e.GetState() != dpmv1.JobState_JOB_STATE_RUNNING
}
