// Package fault lets services be broken on purpose.
//
// A service asks at a [Point], a constant beside the code that asks. While nothing is armed, asking costs one atomic
// load. A nil *[Set] is never armed, so no service needs one.
package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/draw"
)

// ErrInjected is in the chain of every error that a fault made: what failed on purpose stays recognisable.
var ErrInjected = errors.New("injected fault")

// Point names a place in a service that can fail, "objstore.put".
type Point string

// Scope says on whose behalf a service asks. Empty fields are unknown.
type Scope struct {
	Environment sim.EnvironmentID
	DPE         sim.Label
}

// Fault is something armed at a point.
type Fault struct {
	Name        string        // unique in its set; names what to disarm
	Point       Point         // where
	Match       Scope         // empty fields match all
	Skip        int           // let this many matching calls pass first
	Times       int           // then hit this many; 0: all
	Probability float64       // of each hit, drawn from the seed; 0 and 1: always
	Delay       time.Duration // product time to wait before anything else
	Err         error         // what to return; nil: delay only
}

// Set holds what is armed. It is safe for concurrent use.
type Set struct {
	clock *clock.Clock
	draw  *draw.Source
	count atomic.Int32

	mu    sync.Mutex
	armed []*state
}

type state struct {
	Fault
	calls, hits int
	mended      chan struct{} // closed when it is disarmed
}

// New gives a set with nothing armed.
func New(c *clock.Clock, d *draw.Source) *Set { return &Set{clock: c, draw: d} }

// Arm adds f. It returns Conflict if a fault of that name is armed and Invalid if f has no name or point, could do
// nothing, or has a number out of range.
func (s *Set) Arm(f Fault) error {
	switch {
	case f.Name == "" || f.Point == "":
		return sim.Errorf(sim.Invalid, "a fault needs a name and a point").WithHelp("give both")
	case f.Err == nil && f.Delay == 0:
		return sim.Errorf(sim.Invalid, "fault %q does nothing", f.Name).WithHelp("give it an error, a delay, or both")
	case f.Skip < 0 || f.Times < 0 || f.Delay < 0:
		return sim.Errorf(sim.Invalid, "fault %q has a negative number", f.Name).WithHelp("skip, times and delay count from 0")
	case !(f.Probability >= 0 && f.Probability <= 1): // so that NaN is refused
		return sim.Errorf(sim.Invalid, "fault %q has the probability %v", f.Name, f.Probability).WithHelp("a probability lies between 0 and 1")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.armed, func(a *state) bool { return a.Name == f.Name }) {
		return sim.Errorf(sim.Conflict, "fault %q is armed already", f.Name).WithHelp("disarm it first, or use another name")
	}
	s.armed = append(s.armed, &state{Fault: f, mended: make(chan struct{})})
	s.count.Store(int32(len(s.armed)))
	return nil
}

// Disarm removes the fault of that name, and lets go on unharmed whom it delays. It returns NotFound if there is none.
func (s *Set) Disarm(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.armed, func(a *state) bool { return a.Name == name })
	if i < 0 {
		return sim.Errorf(sim.NotFound, "no fault %q is armed", name)
	}
	close(s.armed[i].mended)
	s.armed = slices.Delete(s.armed, i, i+1)
	s.count.Store(int32(len(s.armed)))
	return nil
}

// Armed lists what is armed, in the order of arming.
func (s *Set) Armed() []Fault {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Fault, len(s.armed))
	for i, a := range s.armed {
		out[i] = a.Fault
	}
	return out
}

// At asks whether the call in hand should fail: it waits for the delays of the faults that hit and returns the first
// error among them, with [ErrInjected] in its chain. It returns ctx's error if ctx ends during a delay.
func (s *Set) At(ctx context.Context, p Point, sc Scope) error {
	if s == nil || s.count.Load() == 0 { // small enough to be inlined where it is asked
		return nil
	}
	return s.ask(ctx, p, sc)
}

func (s *Set) ask(ctx context.Context, p Point, sc Scope) error {
	var hit []*state
	s.mu.Lock()
	for _, a := range s.armed {
		if a.hitLocked(s.draw, p, sc) {
			hit = append(hit, a)
		}
	}
	s.mu.Unlock()
	var err error
	for _, a := range hit {
		mended, e := a.wait(ctx, s.clock)
		if e != nil {
			return e
		}
		if err == nil && a.Err != nil && !mended {
			err = fmt.Errorf("%w %s at %s: %w", ErrInjected, a.Name, p, a.Err)
		}
	}
	return err
}

// wait lets the delay pass. It tells whether the fault was disarmed meanwhile, and returns ctx's error if that ends.
func (a *state) wait(ctx context.Context, c *clock.Clock) (mended bool, err error) {
	if a.Delay == 0 {
		return false, nil
	}
	over, stop := c.After(a.Delay)
	defer stop()
	select {
	case <-over:
		return false, nil
	case <-a.mended:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (a *state) hitLocked(d *draw.Source, p Point, sc Scope) bool {
	if a.Point != p || a.Match.Environment != "" && a.Match.Environment != sc.Environment || a.Match.DPE != "" && a.Match.DPE != sc.DPE {
		return false
	}
	a.calls++
	if a.calls <= a.Skip || a.Times > 0 && a.hits >= a.Times {
		return false
	}
	if a.Probability > 0 && a.Probability < 1 && d.Float64("fault/"+a.Name) >= a.Probability {
		return false
	}
	a.hits++
	return true
}
