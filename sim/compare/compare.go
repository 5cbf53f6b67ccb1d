// Package compare holds two runs of a scenario against each other, one on the cluster in the process and one on a real one, by
// what an operator sees of them: what commands print, what the simulator tells, and what the cluster's API shows. What differs is
// published, with the reason, or it is a defect.
package compare

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Kind is a way of seeing.
type Kind string

// The kinds.
const (
	Printed Kind = "printed" // by the commands of a step
	Told    Kind = "told"    // events of the simulator, as `dpesim timeline` has them
	Events  Kind = "event"   // of Kubernetes
	States  Kind = "state"   // conditions and statuses of objects
)

// kinds are all of them, in the order in which they are shown.
var kinds = []Kind{Printed, Told, States, Events}

// Run is what an operator has seen of one run.
type Run struct {
	Cluster string // its target
	Steps   []Step
}

// Step is what was seen at the end of one: of Printed and States what was there then, of the others what was new.
type Step struct {
	Name   string
	Line   int                         // in the file
	Sights map[Kind]map[string]*Object // by object: "Pod finance-ID"
}

// Object is what is seen of one object, or of several whose names differ by chance alone.
type Object struct {
	Lines map[string]bool
	Moves bool // it is under way: what is seen of it passes
}

// Difference is a line that one cluster showed and the other never did.
type Difference struct {
	Step    string `json:"step"`
	Line    int    `json:"line"` // of the step in the file
	Kind    Kind   `json:"kind"`
	Object  string `json:"object"`  // "Pod finance-ID"
	Cluster string `json:"cluster"` // that showed it
	Text    string `json:"text"`

	Published int    `json:"published,omitempty"` // number of its row in docs/fidelity.md; 0: it is not published
	Why       string `json:"why,omitempty"`       // as published
}

// Result is what became of a comparison.
type Result struct {
	Scenario    string       `json:"scenario"`
	Clusters    [2]string    `json:"clusters"`
	Steps       int          `json:"steps"`       // with clean-ups
	Same        map[Kind]int `json:"same"`        // lines that both showed
	Passing     int          `json:"passing"`     // lines that only one showed, of what passes
	Differences []Difference `json:"differences"` // in the order of the scenario
}

// Of compares two runs of a scenario.
//
// A line that only one run has is no difference if it passes: if the other showed it of the same object after another step; if the
// object was under way in one of them, that is, was to change by itself at once (see podMoves); or if it is an event that tells of
// nothing but the way (see passing). For an operator who looks a moment later there is no difference.
func Of(scenario string, a, b *Run) *Result {
	r := &Result{Scenario: scenario, Clusters: [2]string{a.Cluster, b.Cluster}, Steps: max(len(a.Steps), len(b.Steps)), Same: map[Kind]int{}, Differences: []Difference{}}
	for i := range r.Steps {
		for _, kind := range kinds {
			x, y := a.at(i, kind), b.at(i, kind)
			for _, name := range slices.Sorted(maps.Keys(union(x, y))) {
				r.object(i, kind, name, a, b)
				r.object(i, kind, name, b, a)
			}
		}
	}
	return r
}

// object compares what a shows of an object after a step with what b does.
func (r *Result) object(i int, kind Kind, name string, a, b *Run) {
	x, y := a.at(i, kind)[name], b.at(i, kind)[name]
	if x == nil {
		return
	}
	for _, line := range slices.Sorted(maps.Keys(x.Lines)) {
		switch {
		case y != nil && y.Lines[line]:
			if a.Cluster == r.Clusters[0] { // once
				r.Same[kind]++
			}
		case x.Moves, y != nil && y.Moves, b.ever(kind, name, line), kind == Events && passes(line):
			r.Passing++
		default:
			s := a.Steps[i]
			r.Differences = append(r.Differences, Difference{Step: s.Name, Line: s.Line, Kind: kind, Object: name, Cluster: a.Cluster, Text: line})
		}
	}
}

// passing are events that tell of the way to what comes then, and depend on who was faster.
var passing = []*regexp.Regexp{
	regexp.MustCompile(`^Warning Unhealthy, kubelet: (Readiness|Startup) probe failed: `),
	regexp.MustCompile(`^Warning FailedScheduling, default-scheduler: .*waiting for ephemeral volume controller`),
	regexp.MustCompile(`^Warning CalculateExpectedPodCountFailed, controllermanager: .*found no controllers for pod`), // it is being removed
	regexp.MustCompile(`^Normal ScalingReplicaSet, deployment-controller: \(combined from similar events\): `),        // from the tenth step of a roll on
}

func passes(line string) bool {
	return slices.ContainsFunc(passing, func(p *regexp.Regexp) bool { return p.MatchString(line) })
}

func (r *Run) at(i int, kind Kind) map[string]*Object {
	if i >= len(r.Steps) {
		return nil
	}
	return r.Steps[i].Sights[kind]
}

// ever tells whether the run showed a line of an object at all.
func (r *Run) ever(kind Kind, name, line string) bool {
	for i := range r.Steps {
		if o := r.at(i, kind)[name]; o != nil && o.Lines[line] {
			return true
		}
	}
	return false
}

func union(x, y map[string]*Object) map[string]bool {
	out := map[string]bool{}
	for _, m := range []map[string]*Object{x, y} {
		for k := range m {
			out[k] = true
		}
	}
	return out
}

// fresh leaves in each step the events that were not there before.
func (r *Run) fresh() {
	before := map[string]bool{}
	for _, s := range r.Steps {
		for name, o := range s.Sights[Events] {
			maps.DeleteFunc(o.Lines, func(line string, _ bool) bool {
				key := name + "\n" + line
				was := before[key]
				before[key] = true
				return was
			})
		}
	}
}

// alike counts the lines that both showed.
func (r *Result) alike() int {
	n := 0
	for _, same := range r.Same {
		n += same
	}
	return n
}

// Unpublished counts the differences that are not published.
func (r *Result) Unpublished() int {
	n := 0
	for _, d := range r.Differences {
		if d.Published == 0 {
			n++
		}
	}
	return n
}

// Write tells a person of the result: of differences that are not published each line, of the others how many. how is told with
// the scenario's name.
func (r *Result) Write(w io.Writer, how string) error {
	var b strings.Builder
	verdict := "same"
	if r.Unpublished() > 0 {
		verdict = "differs"
	} else if len(r.Differences) > 0 {
		verdict = "same but for what is published"
	}
	fmt.Fprintf(&b, "%s: %s (%s)\n", r.Scenario, verdict, how)
	known := map[int]int{}
	var step, of string
	for _, d := range r.Differences {
		if d.Published > 0 {
			known[d.Published]++
			continue
		}
		if d.Step != step {
			fmt.Fprintf(&b, "  step %q\n", d.Step)
			step, of = d.Step, ""
		}
		if here := string(d.Kind) + " " + d.Object; here != of {
			fmt.Fprintf(&b, "    %s\n", here)
			of = here
		}
		mark := "-"
		if d.Cluster == r.Clusters[1] {
			mark = "+"
		}
		fmt.Fprintf(&b, "      %s %s\n", mark, d.Text)
	}
	fmt.Fprintf(&b, "  %d lines alike, %d pass", r.alike(), r.Passing)
	for _, n := range slices.Sorted(maps.Keys(known)) {
		fmt.Fprintf(&b, ", %d published (%d)", known[n], n)
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}
