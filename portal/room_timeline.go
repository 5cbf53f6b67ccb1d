package portal

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/why"
	"github.com/dpesim/dpesim/ui"
)

// timelinePage is how many events one page of the timeline shows.
const timelinePage = 100

// eventView is an event as people read it.
func eventView(e sim.Event) ui.Event {
	v := ui.Event{
		Seq: e.Seq, Cause: e.Cause, Time: e.Time, Part: string(e.Part), Environment: string(e.Environment), DPE: string(e.DPE),
		What: e.What, Detail: detailWords(e.Detail), Bad: bad(e.What),
	}
	switch {
	case e.Detail["pod"] != "":
		v.Why = "pod/" + e.Detail["pod"]
	case e.Detail["job_id"] != "":
		v.Why = "job/" + e.Detail["job_id"]
	case e.DPE != "":
		v.Why = "dpe/" + string(e.DPE)
	}
	return v
}

// bad tells whether an event is of something that went wrong, by its word.
func bad(what string) bool {
	for _, w := range []string{"refused", "failed", "cut", "lost", "expired", "killed", "back-off", "evicted", "unschedulable", "armed"} {
		if strings.Contains(what, w) {
			return true
		}
	}
	return false
}

// showTimeline handles GET /room/timeline.
func (p *Portal) showTimeline(c echo.Context) error {
	ctx := c.Request().Context()
	f, err := p.roomFrame(ctx, "Timeline", "timeline")
	if err != nil {
		return err
	}
	before := p.opts.Bus.Last() + 1
	if s := c.QueryParam("before"); s != "" {
		if before, err = strconv.ParseUint(s, 10, 64); err != nil {
			return sim.Errorf(sim.Invalid, "events cannot be shown before %.20q", s).WithHelp("give the seq of an event, a number")
		}
	}
	part, env, text := c.QueryParam("part"), c.QueryParam("environment"), strings.ToLower(strings.TrimSpace(c.QueryParam("text")))
	view := ui.TimelinePage{Frame: f, Text: c.QueryParam("text")}
	parts, environments := map[string]bool{}, map[string]bool{}
	for _, e := range slices.Backward(p.opts.Bus.Since(0)) {
		parts[string(e.Part)] = true
		if e.Environment != "" {
			environments[string(e.Environment)] = true
		}
		if e.Seq >= before || part != "" && string(e.Part) != part || env != "" && string(e.Environment) != env {
			continue
		}
		v := eventView(e)
		if text != "" && !strings.Contains(strings.ToLower(v.What+" "+v.Detail+" "+v.DPE), text) {
			continue
		}
		if len(view.Events) == timelinePage {
			q := url.Values{"part": {part}, "environment": {env}, "text": {view.Text}, "before": {strconv.FormatUint(view.Events[timelinePage-1].Seq, 10)}}
			view.Older = "/room/timeline?" + q.Encode()
			break
		}
		view.Events = append(view.Events, v)
	}
	view.Parts = options(slices.Sorted(maps.Keys(parts)), asIs, func(s string) bool { return s == part })
	view.Environments = options(slices.Sorted(maps.Keys(environments)), asIs, func(s string) bool { return s == env })
	return page(c, http.StatusOK)(ui.Timeline(view))
}

// showWhy handles GET /room/why?subject=: what led to something.
func (p *Portal) showWhy(c echo.Context) error {
	ctx, subject := c.Request().Context(), c.QueryParam("subject")
	f, err := p.roomFrame(ctx, "Why?", "timeline")
	if err != nil {
		return err
	}
	view := ui.WhyPage{Subject: subject}
	facts, err := p.facts(ctx, subject)
	if err != nil {
		return err
	}
	var x why.Explanation
	var wrong error
	if subject != "" {
		x, wrong = why.Explain(subject, facts)
	}
	if sim.KindOf(wrong) == sim.NotFound && wrong != nil { // nothing is known of it: told on the page, with the form
		msg, help := sim.Explain(wrong)
		f.Failure, wrong = &ui.Failure{Detail: msg, Help: help}, nil
	}
	code, err := failure(&f, wrong)
	if err != nil {
		return err
	}
	view.Frame = f
	if x.Subject != "" {
		view.Subject, view.State, view.Hint = x.Subject, x.Summary, x.Hint
	}
	for _, chain := range x.Chains {
		v := ui.WhyChain{Title: chain.Relation}
		for _, s := range slices.Backward(chain.Steps) {
			e := eventView(s.Event)
			e.What, e.Detail, e.First = s.Text, "", s.Seq == x.FirstCause
			v.Steps = append(v.Steps, e)
		}
		view.Chains = append(view.Chains, v)
	}
	return page(c, code)(ui.Why(view))
}
