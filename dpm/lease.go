package dpm

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
)

// Outcomes of an attempt.
const (
	outcomeSucceeded = "succeeded"
	outcomeFailed    = "failed"
	outcomeLost      = "lost"
)

// lose takes j from its engine: back to the queue, or to FAILURE after the last attempt. cause is asked after the commit
// for the event that led to it; nil: the job's own last one.
func (t *turn) lose(j *job, why string, cause func() uint64) {
	t.unhold(j)
	a := j.attempt()
	a.Outcome, a.Error, a.EndedAt = outcomeLost, why, t.now
	number, label, replica := j.Attempt, j.Label, j.Replica
	t.save(j)
	t.then(func() {
		if cause != nil {
			j.cause = cmp.Or(cause(), j.cause)
		}
		j.cause = t.s.publish(j.cause, label, "lease lost", map[string]string{
			"job_id": string(j.ID), "attempt": strconv.Itoa(number), "replica": string(replica), "reason": why,
		})
	})
	if number < MaxAttempts {
		j.State = Enqueued
		t.enqueue(j)
		return
	}
	t.finish(j, Failure, fmt.Sprintf("given up after %d attempts; the last: %s", MaxAttempts, why))
}

// unhold takes j off the list of its engine, if that is connected.
func (t *turn) unhold(j *job) {
	if e, ok := t.engines[j.holder()]; ok {
		delete(e.held, j.ID)
	}
}

// finish gives j its final state. Who calls it has set the outcome of its attempt.
func (t *turn) finish(j *job, state State, reason string) {
	j.State, j.Reason, j.EndedAt = state, reason, t.now
	t.save(j)
	what, detail := "job succeeded", map[string]string{"job_id": string(j.ID), "attempt": strconv.Itoa(j.Attempt), "replica": string(j.Replica)}
	if state != Success {
		what, detail["reason"] = "job failed", reason
	} else if j.Result != nil {
		detail["bucket"], detail["key"] = j.Result.Bucket, j.Result.Key
	}
	t.then(func() { j.cause = t.s.publish(j.cause, j.Label, what, detail) })
}

// alarm is the timer of the state machine: it is due no later than the first lease or silence that could run out. It is
// not moved when one is renewed; it then finds nothing to do and is set again.
type alarm struct {
	due   time.Duration // uptime
	timer *clock.Timer
	done  chan struct{} // closed when the timer's function has returned
}

// arm makes sure that the alarm is due at at, or before.
func (t *turn) arm(at time.Duration) {
	a := &t.alarm
	if a.timer != nil && (a.due <= at || !a.timer.Stop()) {
		return
	}
	done := make(chan struct{})
	s := t.s
	a.due, a.done = at, done
	a.timer = s.opts.Clock.AfterFunc(at-t.up, func() {
		defer close(done)
		_ = s.do(s.ctx, func(t *turn) error { t.sweep(); return nil }) // fails only if the server is closed
	})
}

// stop ends the alarm and waits for its function. Called once the state machine has stopped.
func (a *alarm) stop() {
	if a.timer != nil && !a.timer.Stop() {
		<-a.done
	}
}

// sweep gives up engines that are silent and leases that have run out, and sets the alarm for the next.
func (t *turn) sweep() {
	t.alarm.timer = nil
	next := time.Duration(math.MaxInt64)
	for _, e := range t.connected() {
		if due := e.seen + t.silence(); due > t.up {
			next = min(next, due)
			continue
		}
		why := fmt.Sprintf("no heartbeat for %v", t.up-e.seen)
		t.leave(e, departure{why: why, err: sim.Errorf(sim.Unavailable, "%s", why).WithHelp("send a heartbeat every %v", t.s.opts.Heartbeat)})
	}
	for _, j := range sorted(t.jobs) {
		switch {
		case !j.State.held():
		case j.lease > t.up:
			next = min(next, j.lease)
		default:
			t.lose(j, fmt.Sprintf("its lease of %v ran out", t.s.opts.Lease), nil)
		}
	}
	if next < math.MaxInt64 {
		t.arm(next)
	}
}

// sorted gives jobs by age.
func sorted(jobs map[sim.JobID]*job) []*job {
	return slices.SortedFunc(maps.Values(jobs), func(a, b *job) int { return cmp.Compare(a.seq, b.seq) })
}
