package pace_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/clock/pace"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const days = 24 * time.Hour

// patient is one who beats, watched by one who gives him up after three beats that did not come.
type patient struct {
	mu    sync.Mutex
	beats int
	dead  bool
	stop  func() // returns when he beats no more
}

func live(t *testing.T, c *clock.Clock) *patient {
	t.Helper()
	const every = 5 * time.Second
	ctx, stop := context.WithCancel(t.Context())
	p := &patient{}
	watch := func() *clock.Timer {
		return c.AfterFunc(3*every, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.dead = true
		})
	}
	watchdog := watch()
	ready, done := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(done)
		for {
			due, giveUp := c.After(every)
			select {
			case ready <- struct{}{}:
			default:
			}
			select {
			case <-due:
			case <-ctx.Done():
				giveUp()
				return
			}
			p.mu.Lock()
			p.beats++
			watchdog.Stop()
			watchdog = watch()
			p.mu.Unlock()
		}
	}()
	p.stop = func() { stop(); <-done }
	t.Cleanup(p.stop)
	<-ready
	return p
}

func TestNobodyIsLeftBehindByAnAdvance(t *testing.T) { // not parallel: nothing else must run in the process
	for _, d := range []time.Duration{time.Minute, 2 * time.Minute, 10 * time.Minute, 90 * days} {
		c := clock.NewFrozen(noon)
		p := live(t, c)
		var dates []string
		for name, after := range map[string]time.Duration{"month": 30 * days, "week": 7 * days, "third of an hour": 20 * time.Minute} {
			c.AfterFunc(after, func() {
				if !c.Now().Equal(noon.Add(after)) {
					t.Errorf("the %s came at %v", name, c.Now())
				}
				p.mu.Lock()
				defer p.mu.Unlock()
				dates = append(dates, name)
			})
		}
		if err := pace.New(c).Advance(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		p.stop()
		p.mu.Lock()
		defer p.mu.Unlock()
		if !c.Now().Equal(noon.Add(d)) {
			t.Errorf("%v: it stands at %v", d, c.Now())
		}
		if p.dead || p.beats < 10 || p.beats > 100 {
			t.Errorf("%v: %d beats, given up: %v", d, p.beats, p.dead)
		}
		if want := []string{"third of an hour", "week", "month"}; d == 90*days && !slices.Equal(dates, want) {
			t.Errorf("%v, want %v", dates, want)
		}
	}
}

func TestOneWhoIsSilentIsGivenUpByALongAdvance(t *testing.T) {
	c := clock.NewFrozen(noon)
	p := live(t, c)
	p.stop()
	if err := pace.New(c).Advance(t.Context(), 90*days); err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dead {
		t.Error("his watchdog never came")
	}
}

func TestAnAdvanceEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	ctx, cancel := context.WithCancel(t.Context())
	c.AfterFunc(30*time.Second, cancel)
	if err := pace.New(c).Advance(ctx, 90*days); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if d := c.Now().Sub(noon); d < 30*time.Second || d > 31*time.Second {
		t.Errorf("it stands at +%v", d)
	}
}

func TestSetMovesBothWays(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	p := pace.New(c)
	var ran atomic.Bool
	c.AfterFunc(time.Hour, func() { ran.Store(true) })
	for i, by := range []time.Duration{-days, 0, 2 * time.Hour} {
		if err := p.Set(t.Context(), noon.Add(by)); err != nil || !c.Now().Equal(noon.Add(by)) || ran.Load() != (i == 2) {
			t.Errorf("set to %v: %v, %v, ran: %t", by, c.Now(), err, ran.Load())
		}
	}
}

func TestTimePassesAtOnceWhereNothingHappens(t *testing.T) { // not parallel: nothing else must run in the process
	c := clock.New()
	p := pace.New(c)
	ctx, cancel := context.WithCancel(t.Context())
	var pacing sync.WaitGroup
	pacing.Go(func() { p.Run(ctx) })
	defer pacing.Wait()
	defer cancel()
	limited, end := clock.New().WithTimeout(ctx, time.Minute) // by the machine
	defer end()
	for range 24 {
		if err := c.Sleep(limited, time.Hour); err != nil {
			t.Fatalf("a day did not pass within a minute: %v", err)
		}
	}
}
