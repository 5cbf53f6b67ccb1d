package fault_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/draw"
	"github.com/dpesim/dpesim/sim/fault"
)

var (
	noon      = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	errBroken = errors.New("broken")
)

const put fault.Point = "objstore.put"

func newSet(seed uint64) (*fault.Set, *clock.Clock) {
	c := clock.NewFrozen(noon)
	return fault.New(c, draw.New(seed)), c
}

func arm(tb testing.TB, s *fault.Set, f fault.Fault) {
	tb.Helper()
	if err := s.Arm(f); err != nil {
		tb.Fatal(err)
	}
}

func TestNothingArmedFailsNothing(t *testing.T) {
	t.Parallel()
	s, _ := newSet(1)
	var none *fault.Set
	for name, set := range map[string]*fault.Set{"empty": s, "nil": none} {
		if err := set.At(t.Context(), put, fault.Scope{}); err != nil || len(set.Armed()) != 0 {
			t.Errorf("%s: %v, %v", name, err, set.Armed())
		}
	}
}

func TestAnInjectedErrorStaysRecognisable(t *testing.T) {
	t.Parallel()
	s, _ := newSet(1)
	arm(t, s, fault.Fault{Name: "a", Point: put, Err: sim.Errorf(sim.Unavailable, "gone")})
	err := s.At(t.Context(), put, fault.Scope{})
	if !errors.Is(err, fault.ErrInjected) || sim.KindOf(err) != sim.Unavailable {
		t.Errorf("%v", err)
	}
	if err := s.At(t.Context(), "objstore.get", fault.Scope{}); err != nil {
		t.Errorf("another point: %v", err)
	}
	if err := s.Disarm("a"); err != nil {
		t.Fatal(err)
	}
	if err := s.At(t.Context(), put, fault.Scope{}); err != nil {
		t.Errorf("after Disarm: %v", err)
	}
	if err := s.Disarm("a"); sim.KindOf(err) != sim.NotFound {
		t.Errorf("%v", err)
	}
}

func TestWhatCouldNotWorkIsRefused(t *testing.T) {
	t.Parallel()
	s, _ := newSet(1)
	for name, f := range map[string]fault.Fault{
		"no name":            {Point: put, Err: errBroken},
		"no point":           {Name: "a", Err: errBroken},
		"no effect":          {Name: "a", Point: put},
		"negative skip":      {Name: "a", Point: put, Err: errBroken, Skip: -1},
		"negative times":     {Name: "a", Point: put, Err: errBroken, Times: -1},
		"negative delay":     {Name: "a", Point: put, Delay: -1},
		"probability over 1": {Name: "a", Point: put, Err: errBroken, Probability: 1.5},
		"probability NaN":    {Name: "a", Point: put, Err: errBroken, Probability: math.NaN()},
	} {
		if err := s.Arm(f); sim.KindOf(err) != sim.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	arm(t, s, fault.Fault{Name: "a", Point: put, Err: errBroken})
	if err := s.Arm(fault.Fault{Name: "a", Point: "other", Err: errBroken}); sim.KindOf(err) != sim.Conflict {
		t.Errorf("same name: %v", err)
	}
	if got := s.Armed(); len(got) != 1 || got[0].Point != put {
		t.Errorf("%+v", got)
	}
}

func TestSkipAndTimesCountMatchingCalls(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, _ := newSet(1)
		skip, times := rapid.IntRange(0, 5).Draw(t, "skip"), rapid.IntRange(0, 5).Draw(t, "times")
		if err := s.Arm(fault.Fault{Name: "a", Point: put, Match: fault.Scope{Environment: "acme"}, Skip: skip, Times: times, Err: errBroken}); err != nil {
			t.Fatal(err)
		}
		for i := range 15 {
			if err := s.At(context.Background(), put, fault.Scope{Environment: "other"}); err != nil {
				t.Fatal("another environment was hit")
			}
			want := i >= skip && (times == 0 || i < skip+times)
			if got := s.At(context.Background(), put, fault.Scope{Environment: "acme"}) != nil; got != want {
				t.Fatalf("call %d: hit %v, want %v", i, got, want)
			}
		}
	})
}

func TestAFaultMatchesItsScope(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		match, call fault.Scope
		want        bool
	}{
		{fault.Scope{}, fault.Scope{}, true},
		{fault.Scope{}, fault.Scope{Environment: "a", DPE: "x"}, true},
		{fault.Scope{Environment: "a"}, fault.Scope{Environment: "a", DPE: "x"}, true},
		{fault.Scope{Environment: "a"}, fault.Scope{Environment: "b"}, false},
		{fault.Scope{Environment: "a"}, fault.Scope{}, false},
		{fault.Scope{Environment: "a", DPE: "x"}, fault.Scope{Environment: "a", DPE: "y"}, false},
		{fault.Scope{DPE: "x"}, fault.Scope{Environment: "b", DPE: "x"}, true},
	} {
		s, _ := newSet(1)
		arm(t, s, fault.Fault{Name: "a", Point: put, Match: tc.match, Err: errBroken})
		if got := s.At(t.Context(), put, tc.call) != nil; got != tc.want {
			t.Errorf("%+v on %+v: %v", tc.match, tc.call, got)
		}
	}
}

func TestProbabilityIsDrawnFromTheSeed(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) string {
		var hits strings.Builder
		s, _ := newSet(seed)
		arm(t, s, fault.Fault{Name: "a", Point: put, Probability: 0.3, Err: errBroken})
		for range 2000 {
			if s.At(t.Context(), put, fault.Scope{}) != nil {
				hits.WriteByte('x')
			} else {
				hits.WriteByte('.')
			}
		}
		return hits.String()
	}
	one := run(1)
	if one != run(1) {
		t.Error("the same seed gave other hits")
	}
	if one == run(2) {
		t.Error("another seed gave the same hits")
	}
	n := 0
	for _, c := range one {
		if c == 'x' {
			n++
		}
	}
	if n < 500 || n > 700 {
		t.Errorf("%d hits of 2000 at 0.3", n)
	}
	always, _ := newSet(1)
	arm(t, always, fault.Fault{Name: "a", Point: put, Probability: 1, Err: errBroken})
	for range 100 {
		if always.At(t.Context(), put, fault.Scope{}) == nil {
			t.Fatal("probability 1 missed")
		}
	}
}

func TestDelaysAddUpBeforeTheFirstError(t *testing.T) {
	t.Parallel()
	s, c := newSet(1)
	arm(t, s, fault.Fault{Name: "slow", Point: put, Delay: time.Minute})
	arm(t, s, fault.Fault{Name: "slower", Point: put, Delay: time.Minute, Err: errBroken})
	arm(t, s, fault.Fault{Name: "last", Point: put, Err: errors.New("second error")})
	done := make(chan error, 1)
	var at time.Time
	go func() {
		err := s.At(t.Context(), put, fault.Scope{})
		at = c.Now()
		done <- err
	}()
	var err error
	for over := false; !over; {
		if e := c.Advance(t.Context(), time.Second); e != nil {
			t.Fatal(e)
		}
		select {
		case err = <-done:
			over = true
		default:
		}
	}
	if !errors.Is(err, errBroken) || at.Before(noon.Add(2*time.Minute)) {
		t.Errorf("%v at %v", err, at)
	}
}

func TestADelayEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s, _ := newSet(1)
	arm(t, s, fault.Fault{Name: "slow", Point: put, Delay: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.At(ctx, put, fault.Scope{}) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || errors.Is(err, fault.ErrInjected) {
		t.Errorf("%v", err)
	}
}

func TestWhoIsDelayedGoesOnUnharmedWhenItIsMended(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSet(1) // its clock stands still
		arm(t, s, fault.Fault{Name: "slow", Point: put, Delay: time.Hour, Err: errBroken})
		done := make(chan error, 1)
		go func() { done <- s.At(t.Context(), put, fault.Scope{}) }()
		synctest.Wait() // it waits for the clock
		if err := s.Disarm("slow"); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Errorf("%v", err)
		}
	})
}

func TestArmingWhileServicesAsk(t *testing.T) {
	t.Parallel()
	s, _ := newSet(1)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			name := string(rune('a' + i))
			for range 200 {
				if err := s.Arm(fault.Fault{Name: name, Point: put, Err: errBroken}); err != nil {
					t.Error(err)
				}
				if s.At(t.Context(), put, fault.Scope{}) == nil {
					t.Error("its own fault did not hit")
				}
				if err := s.Disarm(name); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := s.At(t.Context(), put, fault.Scope{}); err != nil {
		t.Error(err)
	}
}

func TestAskingAllocatesNothingWhileNothingIsArmed(t *testing.T) { //nolint:paralleltest // AllocsPerRun forbids it
	s, _ := newSet(1)
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { _ = s.At(ctx, put, fault.Scope{Environment: "acme"}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAtWithNothingArmed(b *testing.B) {
	s, _ := newSet(1)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if err := s.At(ctx, put, fault.Scope{Environment: "acme"}); err != nil {
			b.Fatal(err)
		}
	}
}
