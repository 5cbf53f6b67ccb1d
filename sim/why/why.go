// Package why explains how something came to be as it is: from the symptom that a person sees back to its first cause.
//
// It is pure: it reads the events of a run and what the portal says, and knows no service. Events name their causes
// (package event). Where a cause crosses a border that events do not (an engine that DPM refuses because its key was
// withdrawn long ago), a chain is set beside the first one with the words that relate the two.
package why

import (
	"cmp"
	"slices"

	"github.com/dpesim/dpesim/sim"
)

// Facts is what an explanation is made of.
type Facts struct {
	Events []sim.Event // that are remembered, oldest first
	DPEs   []DPE       // of the portal
	Jobs   []Job       // of all environments; needed for subjects of that kind only
}

// DPE is how the portal shows a self-managed DPE.
type DPE struct {
	Environment sim.EnvironmentID
	Label       sim.Label
	Connected   bool   // as many replicas as wanted
	Message     string // the product's words: "DPE isn't connected yet"
	Detail      string // "1 of 3 replicas connected"
	Compliance  string // why more replicas run than may, "" if no more do
}

// Job is a job as the portal shows it.
type Job struct {
	Environment sim.EnvironmentID
	ID          sim.JobID
	State       string
	Reason      string // why it waits, or why it failed
}

// Explanation is the answer to "why".
type Explanation struct {
	Subject    string  `json:"subject"`     // in full: "pod/dpe/edge-eu-6d4b75cb6d-x2x4z"
	Summary    string  `json:"summary"`     // how it is, in a sentence
	Chains     []Chain `json:"chains"`      // the first leads from the symptom back; others explain a step of an earlier one
	FirstCause uint64  `json:"first_cause"` // Seq of the step that set it off; 0: unknown
	Hint       string  `json:"hint"`        // what to do next
}

// Chain is a run of events, each the cause of the one before it.
type Chain struct {
	Relation  string `json:"relation,omitempty"` // how it belongs to the chains before it; empty for the first
	Steps     []Step `json:"steps"`
	Forgotten bool   `json:"forgotten,omitempty"` // what led to the last step is no longer remembered

	explained bool // the last step is no first cause: another chain explains it
	symptom   bool // it explains the symptom, not how it came to be tried
}

// Step is an event of a chain, with its words.
type Step struct {
	sim.Event
	Text string `json:"text"` // "pod unschedulable: 0/3 nodes are available: 3 Insufficient memory. (pod=edge-eu-…)"
}

// Explain says why subject is as it is. Subjects are pod/[NAMESPACE/]NAME, dpe/[ENVIRONMENT/]LABEL, job/ID, node/NAME and
// release/[NAMESPACE/]NAME; of pods and jobs the beginning of a name is enough if no other begins so. It returns Invalid
// for what is no subject or names several things, and NotFound, with the nearest names, for one that nobody knows.
func Explain(subject string, f Facts) (Explanation, error) {
	s, err := parse(subject)
	if err != nil {
		return Explanation{}, err
	}
	l := newLog(f.Events)
	var x Explanation
	switch s.kind {
	case kindDPE:
		x, err = l.dpe(s, f.DPEs)
	case kindJob:
		x, err = l.job(s, f.Jobs)
	case kindPod, kindNode, kindRelease, kindDeployment:
		x, err = l.thing(s)
	}
	if err != nil {
		return Explanation{}, err
	}
	x.FirstCause = firstCause(x.Chains)
	return x, nil
}

// firstCause gives the newest first cause: of the chains that explain the symptom; if there are none, of those that explain
// anything; else of the attempt itself.
func firstCause(chains []Chain) uint64 {
	from := slices.DeleteFunc(slices.Clone(chains), func(c Chain) bool { return !c.symptom })
	switch {
	case len(from) > 0:
	case len(chains) > 1:
		from = chains[1:]
	default:
		from = chains
	}
	var seq uint64
	for _, c := range from {
		if n := len(c.Steps); n > 0 && !c.Forgotten && !c.explained {
			seq = max(seq, c.Steps[n-1].Seq)
		}
	}
	return seq
}

// log is the events of a run, for looking back.
type log struct {
	events []sim.Event // oldest first
}

func newLog(events []sim.Event) *log {
	return &log{slices.SortedFunc(slices.Values(events), func(a, b sim.Event) int { return cmp.Compare(a.Seq, b.Seq) })}
}

// at gives the event with Seq seq.
func (l *log) at(seq uint64) (sim.Event, bool) {
	i, ok := slices.BinarySearchFunc(l.events, seq, func(e sim.Event, seq uint64) int { return cmp.Compare(e.Seq, seq) })
	if !ok {
		return sim.Event{}, false
	}
	return l.events[i], true
}

// newest gives the latest event between after and before, both excluded, that is wanted; before 0 has no bound.
func (l *log) newest(after, before uint64, wanted func(sim.Event) bool) (sim.Event, bool) {
	for _, e := range slices.Backward(l.events) {
		if e.Seq <= after {
			break
		}
		if (before == 0 || e.Seq < before) && wanted(e) {
			return e, true
		}
	}
	return sim.Event{}, false
}

// oldest gives the first event after the one with Seq after that is wanted.
func (l *log) oldest(after uint64, wanted func(sim.Event) bool) (sim.Event, bool) {
	for _, e := range l.events {
		if e.Seq > after && wanted(e) {
			return e, true
		}
	}
	return sim.Event{}, false
}
