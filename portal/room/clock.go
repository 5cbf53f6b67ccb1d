package room

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/ui"
)

// What the control room tells on the bus.
const (
	clockMoved      = "clock moved"
	faultArmed      = "fault armed"
	faultDisarmed   = "fault disarmed"
	clusterOperated = "cluster operated"
)

// Time tells how the clock stands.
func (r *Room) Time() api.Clock {
	s := r.Clock.State()
	return api.Clock{Mode: string(s.Mode), Now: s.Now, Offset: s.Offset.String(), Rate: s.Rate}
}

// clockView is the clock as people read it.
func (r *Room) clockView() ui.Clock {
	s := r.Clock.State()
	return ui.Clock{
		Now: s.Now, Mode: string(s.Mode), Offset: s.Offset.Round(time.Second).String(), Rate: strconv.FormatFloat(s.Rate, 'g', 4, 64),
		Frozen: s.Mode == clock.Frozen, Moved: s.Mode != clock.Real,
	}
}

// MoveClock does the one thing that m says. What falls due by an advance has been done, and has settled, when it returns.
func (r *Room) MoveClock(ctx context.Context, m api.ClockMove) error {
	k := r.Clock
	var acts []func() error
	how := map[string]string{}
	add := func(name, value string, act func() error) {
		acts, how[name] = append(acts, act), value
	}
	if m.Advance != "" {
		d, err := clock.ParseSpan(m.Advance)
		if err != nil {
			return err
		}
		if err := within(k.Now().Add(d)); err != nil {
			return err
		}
		add("advance", m.Advance, func() error { return r.Pace.Advance(ctx, d) })
	}
	if !m.Set.IsZero() {
		if err := within(m.Set); err != nil {
			return err
		}
		add("set", m.Set.UTC().Format(time.RFC3339), func() error { return r.Pace.Set(ctx, m.Set) })
	}
	if m.Freeze {
		add("freeze", "true", func() error { k.Freeze(); return nil })
	}
	if m.Rate != 0 {
		if !(m.Rate > 0 && m.Rate <= maxRate) { // so that NaN is refused
			return sim.Errorf(sim.Invalid, "the clock cannot run at the rate %v", m.Rate).WithHelp("give a number above 0, at most %d; to stop it, freeze it", maxRate)
		}
		add("rate", strconv.FormatFloat(m.Rate, 'g', -1, 64), func() error { k.Scale(m.Rate); return nil })
	}
	if m.Real {
		add("real", "true", func() error { k.FollowReal(); return nil })
	}
	if len(acts) != 1 {
		return sim.Errorf(sim.Invalid, "%d moves of the clock are asked for at once", len(acts)).WithHelp("give one of advance, set, freeze, rate, real")
	}
	if err := acts[0](); err != nil {
		return fmt.Errorf("move the clock: %w", err)
	}
	how["now"] = k.Now().Format(time.RFC3339)
	return r.Product.Tell(ctx, sim.Event{What: clockMoved, Detail: how})
}

// The years that the clock can stand at: certificates, tokens and JSON can name them all.
const firstYear, lastYear = 2000, 2200

func within(t time.Time) error {
	if y := t.UTC().Year(); y < firstYear || y > lastYear {
		return sim.Errorf(sim.Invalid, "the clock cannot stand in the year %d", y).WithHelp("stay between %d and %d", firstYear, lastYear)
	}
	return nil
}

// maxRate bounds how fast the clock may run: a day in some ten seconds.
const maxRate = 10_000
