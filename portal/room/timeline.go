package room

import (
	"fmt"
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
const timelinePage = 50

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

// fits tells whether f shows e.
func (f Filter) fits(e sim.Event) bool {
	return (f.Before == 0 || e.Seq < f.Before) && (f.Part == "" || string(e.Part) == f.Part) && (f.Environment == "" || string(e.Environment) == f.Environment)
}

// says tells whether the text that f looks for stands in an event as people read it. text is in lower case.
func says(v ui.Event, text string) bool {
	return text == "" || strings.Contains(strings.ToLower(v.What+" "+v.Detail+" "+v.DPE), text)
}

// Timeline shows a page of what happened, the newest first.
func (r *Room) Timeline(f Filter) ui.TimelinePage {
	view := ui.TimelinePage{Text: f.Text, Self: timelinePath(f)}
	if f.Before > 0 {
		newest := f
		newest.Before = 0
		view.Newest = timelinePath(newest)
	}
	text := strings.ToLower(strings.TrimSpace(f.Text))
	parts, environments := map[string]bool{}, map[string]bool{}
	for e := range r.Bus.Backward() {
		parts[string(e.Part)] = true
		if e.Environment != "" {
			environments[string(e.Environment)] = true
		}
		if view.Older != "" || !f.fits(e) {
			continue
		}
		v := eventView(e)
		if !says(v, text) {
			continue
		}
		if len(view.Events) == timelinePage {
			older := f
			older.Before = view.Events[timelinePage-1].Seq
			view.Older = timelinePath(older)
			continue
		}
		view.Events = append(view.Events, v)
	}
	for i, e := range view.Events {
		view.Events[i].CausePath = fmt.Sprintf("#event-%d", e.Cause)
		if oldest := view.Events[len(view.Events)-1].Seq; e.Cause < oldest || f != (Filter{Before: f.Before}) { // not on this page, or perhaps not
			view.Events[i].CausePath = timelinePath(Filter{Before: e.Cause + 1}) + view.Events[i].CausePath
		}
	}
	view.Parts, view.Environments = choices(parts, f.Part), choices(environments, f.Environment)
	view.Command = "dpesim timeline"
	if f.Environment != "" {
		view.Command += " --environment " + word(f.Environment)
	}
	return view
}

// timelinePath is the address of a page of the timeline.
func timelinePath(f Filter) string {
	q := url.Values{}
	for k, v := range map[string]string{"part": f.Part, "environment": f.Environment, "text": f.Text} {
		if v != "" {
			q.Set(k, v)
		}
	}
	if f.Before > 0 {
		q.Set("before", strconv.FormatUint(f.Before, 10))
	}
	return (&url.URL{Path: "/room/timeline", RawQuery: q.Encode()}).String()
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
