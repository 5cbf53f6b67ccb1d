package clock_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/dpesim/dpesim/sim/clock"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func advance(tb testing.TB, c *clock.Clock, d time.Duration) {
	tb.Helper()
	if err := c.Advance(context.Background(), d); err != nil {
		tb.Fatal(err)
	}
}

func TestAFrozenClockMovesOnlyWhenTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.NewFrozen(noon)
		time.Sleep(time.Hour)
		if !c.Now().Equal(noon) {
			t.Errorf("it moved to %v", c.Now())
		}
		if s := c.State(); s.Mode != clock.Frozen || s.Rate != 0 {
			t.Errorf("%+v", s)
		}
		advance(t, c, time.Minute)
		if want := noon.Add(time.Minute); !c.Now().Equal(want) {
			t.Errorf("%v, want %v", c.Now(), want)
		}
		advance(t, c, -time.Hour)
		if want := noon.Add(time.Minute); !c.Now().Equal(want) {
			t.Errorf("a negative advance moved it to %v", c.Now())
		}
	})
}

func TestTheModesFollowTheMachinesTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.New()
		begin := c.Now()
		step := func(mode clock.Mode, rate float64, want time.Duration) {
			t.Helper()
			before := c.Now()
			time.Sleep(10 * time.Second)
			if got := c.Now().Sub(before); got != want {
				t.Errorf("%s: %v in 10 s, want %v", mode, got, want)
			}
			if s := c.State(); s.Mode != mode || s.Rate != rate || !s.Now.Equal(c.Now()) {
				t.Errorf("%+v, want %s at %v", s, mode, rate)
			}
		}
		step(clock.Real, 1, 10*time.Second)
		if err := c.Set(t.Context(), noon); err != nil {
			t.Fatal(err)
		}
		step(clock.Offset, 1, 10*time.Second)
		if want := noon.Add(10 * time.Second); !c.Now().Equal(want) {
			t.Errorf("%v, want %v", c.Now(), want)
		}
		c.Scale(60)
		step(clock.Scaled, 60, 10*time.Minute)
		c.Scale(0.5)
		step(clock.Scaled, 0.5, 5*time.Second)
		c.Freeze()
		step(clock.Frozen, 0, 0)
		c.Scale(-1)
		step(clock.Frozen, 0, 0)
		c.FollowReal()
		step(clock.Real, 1, 10*time.Second)
		if want := begin.Add(70 * time.Second); !c.Now().Equal(want) {
			t.Errorf("back to real: %v, want %v", c.Now(), want)
		}
		if c.State().Offset != 0 {
			t.Errorf("%+v", c.State())
		}
	})
}

func TestAdvanceIsExactHoweverLongItsFunctionsTake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.New()
		advance(t, c, 0)
		if s := c.State(); s.Mode != clock.Real {
			t.Errorf("no time made it %+v", s)
		}
		c.AfterFunc(time.Hour, func() { time.Sleep(time.Second) })
		advance(t, c, 90*24*time.Hour)
		if s := c.State(); s.Offset != 90*24*time.Hour || s.Mode != clock.Offset {
			t.Errorf("%+v", s)
		}
	})
}

func TestTimersRunByTheFlowOfTheirMode(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		rate float64
		wall time.Duration
	}{{1, time.Minute}, {60, time.Second}, {0.5, 2 * time.Minute}, {1e-3, 1000 * time.Minute}} {
		t.Run(fmt.Sprint(tc.rate), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := clock.New()
				if tc.rate != 1 {
					c.Scale(tc.rate)
				}
				begin := time.Now()
				if err := c.Sleep(t.Context(), time.Minute); err != nil {
					t.Fatal(err)
				}
				if got := (time.Since(begin) - tc.wall).Abs(); got > time.Millisecond {
					t.Errorf("slept %v, want %v", time.Since(begin), tc.wall)
				}
			})
		})
	}
}

func TestAVerySlowClockDoesNotFireEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.NewFrozen(noon)
		c.Scale(1e-12)
		ran := make(chan struct{})
		timer := c.AfterFunc(time.Hour, func() { close(ran) })
		time.Sleep(100 * time.Hour)
		synctest.Wait()
		select {
		case <-ran:
			t.Error("it ran")
		default:
		}
		if !timer.Stop() {
			t.Error("Stop says it ran")
		}
	})
}

func TestATimerOfNoTimeRunsOnAFrozenClock(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	for _, d := range []time.Duration{0, -time.Second} {
		if err := c.Sleep(t.Context(), d); err != nil { // hangs if it waits for the clock to move
			t.Fatal(err)
		}
	}
}

func TestAdvanceRunsWhatFallsDueInOrderAtItsTime(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	var got []string
	note := func(name string) func() {
		return func() { got = append(got, name+c.Now().Sub(noon).String()) }
	}
	c.AfterFunc(3*time.Second, note("c"))
	c.AfterFunc(time.Second, func() {
		note("a")()
		c.AfterFunc(time.Second, note("child"))
		c.AfterFunc(0, note("now"))
		c.AfterFunc(time.Hour, note("late"))
	})
	c.AfterFunc(3*time.Second, note("d")) // as c, but younger
	advance(t, c, 5*time.Second)
	want := []string{"a1s", "now1s", "child2s", "c3s", "d3s"}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if !c.Now().Equal(noon.Add(5 * time.Second)) {
		t.Errorf("it stands at %v", c.Now())
	}
}

func TestAdvanceKeepsItsOrderWhileTimeFlows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.New()
		var running, last atomic.Int32
		for i := range 20 {
			c.AfterFunc(time.Duration(i+1)*time.Second, func() {
				if running.Add(1) != 1 {
					t.Error("two at once")
				}
				time.Sleep(3 * time.Second) // longer than the next one's distance
				if !last.CompareAndSwap(int32(i), int32(i+1)) {
					t.Errorf("%d ran after %d", i+1, last.Load())
				}
				running.Add(-1)
			})
		}
		advance(t, c, 20*time.Second)
		if last.Load() != 20 {
			t.Errorf("%d ran", last.Load())
		}
	})
}

func TestAdvanceStopsBetweenTwoWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	ctx, cancel := context.WithCancel(t.Context())
	second := false
	c.AfterFunc(time.Second, cancel)
	c.AfterFunc(2*time.Second, func() { second = true })
	if err := c.Advance(ctx, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if second || !c.Now().Equal(noon.Add(time.Second)) {
		t.Errorf("second ran: %v, clock at %v", second, c.Now())
	}
	advance(t, c, time.Minute)
	if !second {
		t.Error("the second was lost")
	}
}

func TestSetBackwardKeepsTheCalendarAndTheBeat(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	var ran []string
	c.AfterFunc(time.Minute, func() { ran = append(ran, "beat") })
	c.AfterFunc(time.Hour, func() { ran = append(ran, "calendar") })
	if err := c.Set(t.Context(), noon.Add(-24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if up := c.Uptime(); up != 0 {
		t.Errorf("it has lived %v", up)
	}
	for _, step := range []struct {
		by   time.Duration
		want []string
	}{{59 * time.Second, nil}, {time.Second, []string{"beat"}}, {24*time.Hour - time.Minute, []string{"beat"}}, {time.Hour, []string{"beat", "calendar"}}} {
		advance(t, c, step.by)
		if !slices.Equal(ran, step.want) {
			t.Fatalf("%v ran by %v, want %v", ran, c.Now(), step.want)
		}
	}
	if up := c.Uptime(); up != 25*time.Hour {
		t.Errorf("it has lived %v", up)
	}
}

func TestALeapTakesTheBeatAlong(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	var ran []string
	c.AfterFunc(time.Minute, func() { ran = append(ran, "minute") })
	c.AfterFunc(time.Second, func() { ran = append(ran, "second") })
	c.AfterFunc(clock.Beat, func() { ran = append(ran, "calendar") })
	if d := c.Leap(time.Hour); d != clock.Beat || len(ran) > 0 {
		t.Errorf("it leapt %v over the calendar, %v ran", d, ran)
	}
	if d := c.Leap(time.Hour); d != 0 {
		t.Errorf("it leapt %v with the calendar due", d)
	}
	if next, ok := c.Next(); !ok || next != 0 {
		t.Errorf("next %v %v", next, ok)
	}
	advance(t, c, 0)
	if d := c.Leap(90 * 24 * time.Hour); d != 90*24*time.Hour {
		t.Errorf("it leapt %v", d)
	}
	if d := c.Leap(-time.Hour); d != 0 {
		t.Errorf("it leapt back by %v", d)
	}
	if next, ok := c.Next(); !ok || next != time.Second {
		t.Errorf("next %v %v", next, ok)
	}
	advance(t, c, time.Minute)
	if want := []string{"calendar", "second", "minute"}; !slices.Equal(ran, want) {
		t.Errorf("%v, want %v", ran, want)
	}
	if want := noon.Add(clock.Beat + 90*24*time.Hour + time.Minute); !c.Now().Equal(want) || c.Uptime() != time.Minute {
		t.Errorf("%v after %v, want %v", c.Now(), c.Uptime(), want)
	}
	if _, ok := c.Next(); ok {
		t.Error("something waits")
	}
}

func TestUptimeGoesOnWhenTheClockFollowsTheMachineAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.New()
		time.Sleep(time.Second)
		advance(t, c, time.Hour)
		c.Leap(24 * time.Hour)
		ran := false
		c.AfterFunc(time.Minute, func() { ran = true })
		c.FollowReal()
		if up := c.Uptime(); up != time.Hour+time.Second {
			t.Errorf("it has lived %v", up)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if up := c.Uptime(); up != time.Hour+time.Minute+time.Second || !ran {
			t.Errorf("it has lived %v, the beat ran: %v", up, ran)
		}
	})
}

func TestStopTellsWhetherItWaited(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	ran := 0
	a, b := c.AfterFunc(time.Second, func() { ran++ }), c.AfterFunc(time.Second, func() { ran++ })
	if !a.Stop() || a.Stop() {
		t.Error("the first Stop is true, the second false")
	}
	advance(t, c, time.Second)
	if ran != 1 || b.Stop() {
		t.Errorf("%d ran", ran)
	}
}

func TestSleepAndTimeoutsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	ctx, cancel := c.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	slept := make(chan error, 1)
	go func() { slept <- c.Sleep(ctx, time.Hour) }()
	advance(t, c, 59*time.Second)
	if ctx.Err() != nil {
		t.Fatal("too early")
	}
	advance(t, c, time.Second)
	if err := <-slept; err == nil {
		t.Error("Sleep returned nil")
	}
	if !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		t.Errorf("cause %v", context.Cause(ctx))
	}
	other, cancel := c.WithTimeout(t.Context(), time.Minute)
	cancel()
	if !errors.Is(context.Cause(other), context.Canceled) {
		t.Errorf("cause %v", context.Cause(other))
	}
}

func TestNowIsUTCWithoutAMonotonicPart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*clock.Clock{"real": clock.New(), "frozen": clock.NewFrozen(time.Now())} {
		now := c.Now()
		if now != now.Round(0) || now.Location() != time.UTC {
			t.Errorf("%s: %#v", name, now)
		}
	}
}

func TestManyUsersAtOnce(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	var ran, kept atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				timer := c.AfterFunc(time.Duration(j%7)*time.Second, func() { ran.Add(1) })
				if j%5 == 0 && timer.Stop() {
					kept.Add(1)
				}
				switch {
				case i == 0:
					_ = c.Advance(context.Background(), time.Second)
				case i == 1:
					_ = c.Set(context.Background(), c.Now().Add(-time.Second))
				}
				_ = c.State()
			}
		})
	}
	wg.Wait()
	advance(t, c, time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	machine := clock.New()
	for ran.Load()+kept.Load() < 1600 { // those due at once run in goroutines of their own
		if err := machine.Sleep(ctx, time.Millisecond); err != nil {
			t.Fatalf("%d ran, %d were stopped, of 1600", ran.Load(), kept.Load())
		}
	}
}

// The clock against a model: a list of due times and a time.
func TestTimersAgainstAModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := clock.NewFrozen(noon)
		type entry struct {
			id    int
			due   time.Time
			timer *clock.Timer
		}
		var waiting []entry
		var ran, want []int
		ids := 0
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				ids++
				id, d := ids, time.Duration(rapid.IntRange(1, 50).Draw(t, "d"))*time.Second
				waiting = append(waiting, entry{id, c.Now().Add(d), c.AfterFunc(d, func() { ran = append(ran, id) })})
			},
			"stop": func(t *rapid.T) {
				if len(waiting) == 0 {
					t.Skip("none waits")
				}
				i := rapid.IntRange(0, len(waiting)-1).Draw(t, "i")
				if !waiting[i].timer.Stop() {
					t.Fatal("Stop says it ran")
				}
				waiting = slices.Delete(waiting, i, i+1)
			},
			"set": func(t *rapid.T) {
				by := time.Duration(rapid.IntRange(-20, 40).Draw(t, "by")) * time.Second
				to := c.Now().Add(by)
				for i := range waiting {
					waiting[i].due = waiting[i].due.Add(min(by, 0)) // all are beats
				}
				slices.SortStableFunc(waiting, func(a, b entry) int { return a.due.Compare(b.due) })
				for len(waiting) > 0 && !waiting[0].due.After(to) {
					want = append(want, waiting[0].id)
					waiting = waiting[1:]
				}
				slices.SortFunc(waiting, func(a, b entry) int { return a.id - b.id })
				if err := c.Set(context.Background(), to); err != nil {
					t.Fatal(err)
				}
				if !c.Now().Equal(to) {
					t.Fatalf("it stands at %v, not %v", c.Now(), to)
				}
			},
			"": func(t *rapid.T) {
				if !slices.Equal(ran, want) {
					t.Fatalf("ran %v, want %v", ran, want)
				}
			},
		})
	})
}
