package portal

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/room"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/why"
	"github.com/dpesim/dpesim/ui"
)

func (p *Portal) roomPages(r *router) {
	r.page(http.MethodGet, "/room", needTrainer, p.showPerimeter)
	r.page(http.MethodGet, "/room/cluster", needTrainer, func(c echo.Context) error { return p.clusterPage(c, nil) })
	r.page(http.MethodPost, "/room/cluster", needTrainer, p.submitCluster)
	r.page(http.MethodGet, "/room/cluster/:namespace/:pod", needTrainer, p.showLog)
	r.page(http.MethodGet, "/room/timeline", needTrainer, p.showTimeline)
	r.page(http.MethodGet, "/room/why", needTrainer, p.showWhy)
	r.page(http.MethodGet, "/room/controls", needTrainer, func(c echo.Context) error { return p.controlsPage(c, controlsForm{}, nil) })
	r.page(http.MethodPost, "/room/clock", needTrainer, p.submitClock)
	r.page(http.MethodPost, "/room/faults", needTrainer, p.submitFault)
	r.page(http.MethodGet, "/room/faults/command", needTrainer, p.showFaultCommand)
	r.page(http.MethodPost, "/room/faults/:fault/disarm", needTrainer, p.submitDisarm)
}

// roomFrame is what a page of the control room has around it, with what was wrong with what was asked, and the status to
// answer with.
func (p *Portal) roomFrame(c echo.Context, title, page string, wrong error) (ui.Frame, int, error) {
	f, err := p.frame(c.Request().Context(), title)
	if err != nil {
		return f, 0, err
	}
	f.Nav, f.Room = "room", page
	if wrong != nil && sim.KindOf(wrong) == sim.NotFound { // what a form or a link named has gone: told on the page
		msg, help := sim.Explain(wrong)
		f.Failure = &ui.Failure{Detail: msg, Help: help}
		return f, http.StatusNotFound, nil
	}
	code, err := failure(&f, wrong)
	return f, code, err
}

// showPerimeter handles GET /room.
func (p *Portal) showPerimeter(c echo.Context) error {
	f, code, err := p.roomFrame(c, "Perimeter", "perimeter", nil)
	if err != nil {
		return err
	}
	view, err := p.room.Perimeter(c.Request().Context())
	if err != nil {
		return err
	}
	view.Frame = f
	return page(c, code)(ui.Perimeter(view))
}

// clusterPage shows the cluster, and what was wrong with what was asked of it.
func (p *Portal) clusterPage(c echo.Context, wrong error) error {
	f, code, err := p.roomFrame(c, "Cluster", "cluster", wrong)
	if err != nil {
		return err
	}
	filter := room.PodFilter{Status: c.QueryParam("status"), Text: c.QueryParam("text"), Warnings: c.QueryParam("warnings") != ""}
	if s := c.QueryParam("page"); s != "" {
		if err := whole(s, &filter.Page); err != nil {
			return err
		}
	}
	view, err := p.room.Cluster(c.Request().Context(), filter)
	if view.Unavailable, err = unavailable(err); err != nil {
		return err
	}
	view.Frame = f
	if wrong == nil {
		view.Did = actOf(c.QueryParam).Command()
	}
	return page(c, code)(ui.Cluster(view))
}

// submitCluster handles POST /room/cluster: one act of the cluster's operator.
func (p *Portal) submitCluster(c echo.Context) error {
	if err := p.room.Do(c.Request().Context(), actOf(c.FormValue)); err != nil {
		return p.clusterPage(c, err)
	}
	did := url.Values{}
	for _, k := range []string{"act", "namespace", "name", "replicas"} {
		if v := c.FormValue(k); v != "" {
			did.Set(k, v)
		}
	}
	return see(c, "/room/cluster?"+did.Encode())
}

// actOf reads the act that a form asks for, or that a page tells of as done.
func actOf(value func(name string) string) room.Act {
	return room.Act{Name: value("act"), Namespace: value("namespace"), Object: value("name"), Replicas: value("replicas")}
}

// showLog handles GET /room/cluster/{namespace}/{pod}.
func (p *Portal) showLog(c echo.Context) error {
	view, wrong := p.room.Log(c.Request().Context(), c.Param("namespace"), c.Param("pod"), c.QueryParam("previous") != "")
	f, code, err := p.roomFrame(c, "Log of "+view.Pod, "cluster", wrong)
	if err != nil {
		return err
	}
	view.Frame = f
	return page(c, code)(ui.Log(view))
}

// showTimeline handles GET /room/timeline.
func (p *Portal) showTimeline(c echo.Context) error {
	f, code, err := p.roomFrame(c, "Timeline", "timeline", nil)
	if err != nil {
		return err
	}
	filter := room.Filter{Part: c.QueryParam("part"), Environment: c.QueryParam("environment"), Text: c.QueryParam("text")}
	if s := c.QueryParam("before"); s != "" {
		if filter.Before, err = strconv.ParseUint(s, 10, 64); err != nil {
			return sim.Errorf(sim.Invalid, "events cannot be shown before %.20q", s).WithHelp("give the seq of an event, a number")
		}
	}
	view := p.room.Timeline(filter)
	view.Frame = f
	return page(c, code)(ui.Timeline(view))
}

// showWhy handles GET /room/why?subject=: what led to something.
func (p *Portal) showWhy(c echo.Context) error {
	subject := c.QueryParam("subject")
	view := ui.WhyPage{Subject: subject}
	var wrong error
	if subject != "" {
		facts, err := p.facts(c.Request().Context(), subject)
		if err != nil {
			return err
		}
		var x why.Explanation
		if x, wrong = why.Explain(subject, facts); wrong == nil {
			view = room.Why(x)
		}
	}
	f, code, err := p.roomFrame(c, "Why?", "timeline", wrong)
	if err != nil {
		return err
	}
	view.Frame = f
	return page(c, code)(ui.Why(view))
}

// controlsForm is what was typed into a form of the page of clock and faults.
type controlsForm struct {
	advance, set string
	fault        ui.ArmedFault
}

// submitClock handles POST /room/clock.
func (p *Portal) submitClock(c echo.Context) error {
	var m api.ClockMove
	var err error
	typed := controlsForm{advance: c.FormValue("advance"), set: c.FormValue("set")}
	switch act := c.FormValue("act"); act {
	case "advance":
		m.Advance = typed.advance
	case "set":
		if m.Set, err = time.Parse("2006-01-02T15:04", typed.set); err != nil {
			err = sim.Errorf(sim.Invalid, "%.30q is no date and time", typed.set).WithHelp("give it as 2027-01-31T08:00, in UTC")
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
		err = room.NoAct(act)
	}
	if err == nil {
		err = p.room.MoveClock(c.Request().Context(), m)
	}
	if err != nil {
		return p.controlsPage(c, typed, err)
	}
	return see(c, "/room/controls")
}

// submitFault handles POST /room/faults.
func (p *Portal) submitFault(c echo.Context) error {
	t, f, err := faultForm(c)
	if err == nil {
		err = p.arm(c.Request().Context(), f)
	}
	if err != nil {
		return p.controlsPage(c, controlsForm{fault: t}, err)
	}
	return see(c, "/room/controls")
}

// showFaultCommand handles GET /room/faults/command: what breaks in a terminal what the form asks for so far.
func (p *Portal) showFaultCommand(c echo.Context) error {
	_, f, err := faultForm(c)
	if err != nil {
		return err
	}
	return page(c, http.StatusOK)(ui.CommandFragment(room.FaultCommand(f)))
}

// faultForm reads the form of a fault: as typed, and what it asks for.
func faultForm(c echo.Context) (ui.ArmedFault, api.Fault, error) {
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
	return t, f, err
}

// submitDisarm handles POST /room/faults/{fault}/disarm.
func (p *Portal) submitDisarm(c echo.Context) error {
	if err := p.room.Disarm(c.Request().Context(), c.Param("fault")); err != nil && sim.KindOf(err) != sim.NotFound { // mended already is mended
		return err
	}
	return see(c, "/room/controls")
}

// controlsPage shows clock and faults with what was typed and what was wrong with it.
func (p *Portal) controlsPage(c echo.Context, typed controlsForm, wrong error) error {
	f, code, err := p.roomFrame(c, "Clock and faults", "controls", wrong)
	if err != nil {
		return err
	}
	view, err := p.room.Controls(c.Request().Context(), typed.fault)
	if err != nil {
		return err
	}
	view.Frame, view.Clock.Advance, view.Clock.SetTo = f, typed.advance, typed.set
	return page(c, code)(ui.Controls(view))
}
