package portal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/ui"
)

// What the control room tells on the bus.
const (
	clockMoved    = "clock moved"
	faultArmed    = "fault armed"
	faultDisarmed = "fault disarmed"
)

// getClock handles GET /clock.
func (p *Portal) getClock(c echo.Context) error { return ok(c, p.clock()) }

func (p *Portal) clock() api.Clock {
	s := p.opts.Clock.State()
	return api.Clock{Mode: string(s.Mode), Now: s.Now, Offset: s.Offset.String(), Rate: s.Rate}
}

// postClock handles POST /clock.
func (p *Portal) postClock(c echo.Context) error {
	var m api.ClockMove
	if err := decode(c, &m); err != nil {
		return err
	}
	if err := p.moveClock(c.Request().Context(), m); err != nil {
		return err
	}
	return ok(c, p.clock())
}

// moveClock does the one thing that m says. What falls due by an advance has been done when it returns.
func (p *Portal) moveClock(ctx context.Context, m api.ClockMove) error {
	k := p.opts.Clock
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
		add("advance", m.Advance, func() error { return k.Advance(ctx, d) })
	}
	if !m.Set.IsZero() {
		if err := within(m.Set); err != nil {
			return err
		}
		add("set", m.Set.UTC().Format(time.RFC3339), func() error { return k.Set(ctx, m.Set) })
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
	return p.tell(ctx, sim.Event{What: clockMoved, Detail: how})
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

// armed lists what is broken on purpose.
func (p *Portal) armed() []api.Fault {
	out := []api.Fault{}
	for _, f := range p.opts.Faults.Armed() {
		x := api.Fault{
			Name: f.Name, Point: string(f.Point), Environment: f.Match.Environment, DPE: f.Match.DPE, Skip: f.Skip, Times: f.Times, Probability: f.Probability,
		}
		if f.Delay > 0 {
			x.Delay = f.Delay.String()
		}
		if f.Err != nil {
			x.Error, _ = sim.Explain(f.Err)
		}
		out = append(out, x)
	}
	return out
}

// postFault handles POST /faults.
func (p *Portal) postFault(c echo.Context) error {
	var f api.Fault
	if err := decode(c, &f); err != nil {
		return err
	}
	if err := p.arm(c.Request().Context(), f); err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, f)
}

// deleteFault handles DELETE /faults/{fault}.
func (p *Portal) deleteFault(c echo.Context) error {
	if err := p.disarm(c.Request().Context(), c.Param("fault")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// arm breaks something on purpose.
func (p *Portal) arm(ctx context.Context, f api.Fault) error {
	known := false
	for _, x := range p.opts.Simulator.FaultPoints() {
		known = known || x.Point == f.Point
	}
	if !known {
		return sim.Errorf(sim.Invalid, "nothing can be broken at %.40q", f.Point).WithHelp("'dpesim fault points' lists where")
	}
	if _, err := checkName(f.Name); err != nil {
		return err
	}
	g := fault.Fault{
		Name: f.Name, Point: fault.Point(f.Point), Match: fault.Scope{Environment: f.Environment, DPE: f.DPE},
		Skip: f.Skip, Times: f.Times, Probability: f.Probability,
	}
	if f.Delay != "" {
		var err error
		if g.Delay, err = clock.ParseSpan(f.Delay); err != nil {
			return err
		}
	}
	if f.Error != "" {
		g.Err = sim.Errorf(sim.Unavailable, "%s", f.Error).WithHelp("fault %q is armed; 'dpesim fault disarm %s' mends it", f.Name, f.Name)
	}
	if err := p.opts.Faults.Arm(g); err != nil {
		return err
	}
	return p.tell(ctx, sim.Event{Environment: f.Environment, DPE: f.DPE, What: faultArmed, Detail: map[string]string{"fault": f.Name, "point": f.Point}})
}

func (p *Portal) disarm(ctx context.Context, name string) error {
	if err := p.opts.Faults.Disarm(name); err != nil {
		return err
	}
	return p.tell(ctx, sim.Event{What: faultDisarmed, Detail: map[string]string{"fault": name}})
}

// showControls handles GET /room/controls.
func (p *Portal) showControls(c echo.Context) error {
	return p.controlsPage(c, ui.Clock{}, ui.ArmedFault{}, nil)
}

// submitClock handles POST /room/clock.
func (p *Portal) submitClock(c echo.Context) error {
	var m api.ClockMove
	var err error
	typed := ui.Clock{Advance: c.FormValue("advance"), SetTo: c.FormValue("set")}
	switch act := c.FormValue("act"); act {
	case "advance":
		m.Advance = typed.Advance
	case "set":
		if m.Set, err = time.Parse("2006-01-02T15:04", typed.SetTo); err != nil {
			err = sim.Errorf(sim.Invalid, "%.30q is no date and time", typed.SetTo).WithHelp("give it as 2027-01-31T08:00, in UTC")
		}
	case "freeze":
		m.Freeze = true
	case "run":
		m.Rate = 1
	case "real":
		m.Real = true
	case "rate":
		if m.Rate, err = strconv.ParseFloat(c.FormValue("rate"), 64); err != nil {
			err = sim.Errorf(sim.Invalid, "the rate cannot be %.20q", c.FormValue("rate")).WithHelp("give a number of seconds per second, as 60")
		}
	default:
		err = sim.Errorf(sim.Invalid, "there is no act %.20q", act).WithHelp("use the buttons of the page")
	}
	if err == nil {
		err = p.moveClock(c.Request().Context(), m)
	}
	if err != nil {
		return p.controlsPage(c, typed, ui.ArmedFault{}, err)
	}
	return see(c, "/room/controls")
}

// submitFault handles POST /room/faults.
func (p *Portal) submitFault(c echo.Context) error {
	t := ui.ArmedFault{
		Name: strings.TrimSpace(c.FormValue("name")), Point: c.FormValue("point"), Environment: c.FormValue("environment"), DPE: strings.TrimSpace(c.FormValue("dpe")),
		Delay: strings.TrimSpace(c.FormValue("delay")), Error: strings.TrimSpace(c.FormValue("error")),
		Skip: c.FormValue("skip"), Times: c.FormValue("times"), Probability: c.FormValue("probability"),
	}
	f := api.Fault{
		Name: cmp.Or(t.Name, t.Point), Point: t.Point, Environment: sim.EnvironmentID(t.Environment), DPE: sim.Label(t.DPE), Delay: t.Delay, Error: t.Error,
	}
	err := errors.Join(whole(t.Skip, &f.Skip), whole(t.Times, &f.Times))
	if err == nil && t.Probability != "" {
		if f.Probability, err = strconv.ParseFloat(t.Probability, 64); err != nil {
			err = sim.Errorf(sim.Invalid, "the probability cannot be %.20q", t.Probability).WithHelp("give a number between 0 and 1")
		}
	}
	if err == nil {
		err = p.arm(c.Request().Context(), f)
	}
	if err != nil {
		return p.controlsPage(c, ui.Clock{}, t, err)
	}
	return see(c, "/room/controls")
}

// whole reads a whole number; nothing typed is 0.
func whole(s string, to *int) error {
	if s == "" {
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return sim.Errorf(sim.Invalid, "%.20q is no whole number", s).WithHelp("give a number of digits alone")
	}
	*to = n
	return nil
}

// submitDisarm handles POST /room/faults/{fault}/disarm.
func (p *Portal) submitDisarm(c echo.Context) error {
	if err := p.disarm(c.Request().Context(), c.Param("fault")); err != nil && sim.KindOf(err) != sim.NotFound { // mended already is mended
		return err
	}
	return see(c, "/room/controls")
}

// controlsPage shows clock and faults with what was typed and what was wrong with it.
func (p *Portal) controlsPage(c echo.Context, typedClock ui.Clock, typed ui.ArmedFault, wrong error) error {
	ctx := c.Request().Context()
	f, err := p.roomFrame(ctx, "Clock and faults", "controls")
	if err != nil {
		return err
	}
	code, err := failure(&f, wrong)
	if err != nil {
		return err
	}
	view := ui.ControlsPage{Frame: f, Clock: typedClock, Typed: typed}
	s := p.opts.Clock.State()
	k := &view.Clock
	k.Now, k.Mode, k.Offset, k.Rate = s.Now, string(s.Mode), s.Offset.Round(time.Second).String(), strconv.FormatFloat(s.Rate, 'g', 4, 64)
	k.Frozen, k.Moved = s.Mode == clock.Frozen, s.Mode != clock.Real
	for _, x := range p.armed() {
		view.Armed = append(view.Armed, ui.ArmedFault{
			Name: x.Name, Point: x.Point, Environment: string(x.Environment), DPE: string(x.DPE), Delay: x.Delay, Error: x.Error,
			Skip: strconv.Itoa(x.Skip), Times: strconv.Itoa(x.Times), Probability: strconv.FormatFloat(x.Probability, 'g', -1, 64),
		})
	}
	for _, x := range p.opts.Simulator.FaultPoints() {
		view.Points = append(view.Points, ui.FaultPoint{Point: x.Point, Where: x.Where, Symptom: x.Symptom, Chosen: x.Point == typed.Point})
	}
	all, err := p.environments(ctx)
	if err != nil {
		return err
	}
	for _, e := range all {
		view.Environments = append(view.Environments, ui.Option{Value: string(e.ID), Text: e.Name, Chosen: string(e.ID) == typed.Environment})
	}
	return page(c, code)(ui.Controls(view))
}
