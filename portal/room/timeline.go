package room

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

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
		What: e.What, Detail: ui.Words(e.Detail), Bad: bad(e.What),
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

// Filter says which events the timeline shows: those that fit all that is given.
type Filter struct {
	Part, Environment string
	Text              string // that stands in what people read, whatever the case of its letters
	Before            uint64 // only those with a smaller Seq; 0: all
}

// fits tells whether f shows e, which people read as v.
func (f Filter) fits(e sim.Event, v ui.Event) bool {
	text := strings.ToLower(strings.TrimSpace(f.Text))
	return (f.Before == 0 || e.Seq < f.Before) && (f.Part == "" || string(e.Part) == f.Part) && (f.Environment == "" || string(e.Environment) == f.Environment) &&
		(text == "" || strings.Contains(strings.ToLower(v.What+" "+v.Detail+" "+v.DPE), text))
}

// Timeline shows a page of what happened, the newest first.
func (r *Room) Timeline(f Filter) ui.TimelinePage {
	view := ui.TimelinePage{Text: f.Text}
	parts, environments := map[string]bool{}, map[string]bool{}
	for _, e := range slices.Backward(r.Bus.Since(0)) {
		parts[string(e.Part)] = true
		if e.Environment != "" {
			environments[string(e.Environment)] = true
		}
		v := eventView(e)
		if view.Older != "" || !f.fits(e, v) {
			continue
		}
		if len(view.Events) == timelinePage {
			q := url.Values{"part": {f.Part}, "environment": {f.Environment}, "text": {f.Text}, "before": {strconv.FormatUint(view.Events[timelinePage-1].Seq, 10)}}
			view.Older = "/room/timeline?" + q.Encode()
			continue
		}
		view.Events = append(view.Events, v)
	}
	view.Parts, view.Environments = choices(parts, f.Part), choices(environments, f.Environment)
	return view
}

// choices are words to choose from, sorted.
func choices(words map[string]bool, chosen string) []ui.Option {
	var out []ui.Option
	for _, w := range slices.Sorted(maps.Keys(words)) {
		out = append(out, ui.Option{Value: w, Text: w, Chosen: w == chosen})
	}
	return out
}

// Why shows what led to something.
func Why(x why.Explanation) ui.WhyPage {
	view := ui.WhyPage{Subject: x.Subject, State: x.Summary, Hint: x.Hint}
	for _, chain := range x.Chains {
		v := ui.WhyChain{Title: chain.Relation}
		for _, s := range slices.Backward(chain.Steps) {
			e := eventView(s.Event)
			e.What, e.Detail, e.First = s.Text, "", s.Seq == x.FirstCause
			v.Steps = append(v.Steps, e)
		}
		view.Chains = append(view.Chains, v)
	}
	return view
}
