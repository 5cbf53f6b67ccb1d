package portal

import (
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
)

// failures remembers, for each DPE, what DPM or the edge saw go wrong last; of this run. It is safe for concurrent use.
type failures struct {
	mu   sync.Mutex
	last map[failing]api.Failure
}

// failing is whose failure it is. The edge knows the environment only: then the label is empty.
type failing struct {
	environment sim.EnvironmentID
	label       sim.Label
}

// observe takes e in.
func (f *failures) observe(e sim.Event) {
	whose := failing{e.Environment, e.DPE}
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.Part == sim.PartPortal {
		switch e.What {
		case dpeRemoved: // the next one of that label has failures of its own
			delete(f.last, whose)
		case environmentDeleted:
			for k := range f.last {
				if k.environment == e.Environment {
					delete(f.last, k)
				}
			}
		}
		return
	}
	if s := failureWords(e); s != "" && e.Environment != "" {
		if f.last == nil {
			f.last = map[failing]api.Failure{}
		}
		f.last[whose] = api.Failure{Sentence: s, Part: e.Part, Time: e.Time, Event: e.Seq}
	}
}

// failureWords tells in one sentence what failed; empty: nothing did.
func failureWords(e sim.Event) string {
	d := e.Detail
	switch e.Part { //nolint:exhaustive // others see no connection of an engine
	case sim.PartEdge:
		why := d["reason"]
		if why == "not allowed" {
			why = "not on the allowlist"
		}
		switch e.What {
		case "connection refused":
			return fmt.Sprintf("the edge refused %s: %s", d["source"], why)
		case "connection cut":
			return fmt.Sprintf("the edge cut the connections from %s: %s", d["source"], why)
		}
	case sim.PartDPM:
		switch e.What {
		case "engine refused":
			from, _, err := net.SplitHostPort(d["remote"])
			if err != nil {
				from = "an engine"
			}
			return fmt.Sprintf("DPM refused %s: %s", from, d["reason"])
		case "engine disconnected":
			if orderly := []string{"drained", "the engine hung up", "the DPM stops"}; !slices.Contains(orderly, d["reason"]) {
				return fmt.Sprintf("DPM lost replica %s: %s", d["replica"], d["reason"])
			}
		}
	}
	return ""
}

// of gives the newest failure that may be d's: its own, or one of its environment while replicas of d are missing, since
// the edge does not know whose connection it refuses. Nil: none.
func (f *failures) of(d store.DPE, engines []api.Engine) *api.Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	missing := len(engines) < d.Replicas
	var out *api.Failure
	for _, l := range []sim.Label{d.Label, ""} {
		x, there := f.last[failing{d.Environment, l}]
		switch {
		case !there, x.Time.Before(d.Created), l == "" && !missing, out != nil && out.Event > x.Event:
			continue
		case !missing && slices.ContainsFunc(engines, func(e api.Engine) bool { return !x.Time.After(e.ConnectedAt) }):
			continue // none is missing, and one has connected since
		}
		out = &x
	}
	return out
}
