package dpm

import (
	"context"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/sqlite"
)

// maxBatch bounds how many requests one turn takes, and so how long the first of them waits for the last.
const maxBatch = 256

// op is one request to the state machine.
type op struct {
	run  func(t *turn) error // changes nothing if it returns an error
	done chan error          // has room for one
}

// state is what the state machine's goroutine holds in memory. Between turns it is what the database holds, plus what
// need not outlive the process: streams, leases and causes.
type state struct {
	engines map[engineID]*session
	jobs    map[sim.JobID]*job // those without a final state
	lanes   map[lane]*queue    // those that wait, by what they need
	lastSeq int64              // of the newest job
	alarm   alarm
	stale   bool // a commit failed: read the database before anything else
}

// turn is one step of the state machine.
type turn struct {
	*state
	s       *Server
	now     time.Time
	up      time.Duration               // [clock.Clock.Uptime]: what silence and leases go by
	dirty   []*job                      // to be written
	writes  []func(tx *sqlite.Tx) error // other rows
	revoked map[sim.KeyID]bool          // keys revoked in this turn
	after   []func()                    // once all is committed, in order
}

// then lets f run once the turn is committed.
func (t *turn) then(f func()) { t.after = append(t.after, f) }

// save lets j be written at the end of the turn.
func (t *turn) save(j *job) {
	if !j.dirty {
		j.dirty = true
		t.dirty = append(t.dirty, j)
	}
}

// do hands a request to the state machine and waits until its turn is committed. It returns Unavailable once the server
// is closed, and ctx's error if ctx ends before the request was taken.
func (s *Server) do(ctx context.Context, run func(t *turn) error) error {
	o := &op{run: run, done: make(chan error, 1)}
	select {
	case s.ops <- o:
	case <-s.stopped:
		return errClosed()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-o.done:
		return err
	case <-s.stopped:
	}
	select {
	case err := <-o.done:
		return err
	default:
		return errClosed()
	}
}

func errClosed() error {
	return sim.Errorf(sim.Unavailable, "the DPM is stopping").WithHelp("try again once it has started")
}

// work takes turns until the server closes.
func (s *Server) work() {
	defer close(s.stopped)
	for {
		select {
		case <-s.ctx.Done():
			return
		case first := <-s.ops:
			s.takeTurn(s.batch(first))
		}
	}
}

// batch adds what waits already, so that many small writes share one commit.
func (s *Server) batch(first *op) []*op {
	b := []*op{first}
	for len(b) < maxBatch {
		select {
		case o := <-s.ops:
			b = append(b, o)
		default:
			return b
		}
	}
	return b
}

func (s *Server) takeTurn(batch []*op) {
	if err := s.refresh(); err != nil {
		for _, o := range batch {
			o.done <- err
		}
		return
	}
	t := &turn{state: &s.state, s: s, now: s.opts.Clock.Now(), up: s.opts.Clock.Uptime(), revoked: map[sim.KeyID]bool{}}
	errs := make([]error, len(batch))
	for i, o := range batch {
		errs[i] = o.run(t)
	}
	t.schedule()
	if err := t.commit(); err != nil {
		t.abandon(err)
		for _, o := range batch {
			o.done <- err
		}
		return
	}
	for _, f := range t.after {
		f()
	}
	for i, o := range batch {
		o.done <- errs[i]
	}
}

// commit writes the turn's rows in one transaction, if there are any.
func (t *turn) commit() error {
	if len(t.dirty) == 0 && len(t.writes) == 0 {
		return nil
	}
	err := t.s.db.Update(t.s.ctx, func(tx *sqlite.Tx) error {
		for _, w := range t.writes {
			if err := w(tx); err != nil {
				return err
			}
		}
		for _, j := range t.dirty {
			if err := saveJob(t.s.ctx, tx, j); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, j := range t.dirty {
		j.dirty = false
		if j.State.Final() {
			delete(t.jobs, j.ID)
		}
	}
	return nil
}

// abandon gives up what memory holds after a commit failed: nobody was told of it. Engines are sent away to connect
// again, and the next turn begins by reading the database.
func (t *turn) abandon(err error) {
	t.s.opts.Log.Error("commit failed", "environment", t.s.opts.Environment, "err", err)
	gone := sim.Errorf(sim.Unavailable, "the DPM could not store its state").WithHelp("connect again; the cause is in dpesim's log")
	for _, e := range t.connected() {
		t.s.publish(0, e.Label, "engine disconnected", map[string]string{"replica": string(e.Replica), "reason": gone.Msg})
		e.end(nil, gone)
	}
	t.engines = map[engineID]*session{}
	t.stale = true
}

// refresh reads the database again if the turn before could not be committed.
func (s *Server) refresh() error {
	if !s.state.stale {
		return nil
	}
	return s.loadJobs(s.ctx)
}
