package why

import (
	"maps"
	"slices"
	"strings"

	"github.com/dpesim/dpesim/sim"
)

// maxSteps bounds a chain: a crash loop of a whole day is a long one. What is left out is between the symptom and the
// first cause, both of which are always there.
const (
	maxSteps  = 24
	maxChains = 4
)

// chains gives the chain that ends in e, and those that explain its ends.
func (l *log) chains(e sim.Event) []Chain {
	out := []Chain{l.chain(e)}
	told := map[uint64]bool{}
	note := func(c Chain) {
		for _, s := range c.Steps {
			told[s.Seq] = true
		}
	}
	note(out[0])
	for i := 0; i < len(out) && len(out) < maxChains; i++ {
		steps := out[i].Steps
		ends := steps[:1]
		if n := len(steps); n > 1 {
			ends = []Step{steps[0], steps[n-1]}
		}
		for k, s := range ends {
			if other, words, ok := l.related(s.Event); ok && !told[other.Seq] {
				c := l.chain(other)
				c.Relation, c.symptom = words, out[i].symptom || i == 0 && k == 0
				note(c)
				out = append(out, c)
				out[i].explained = out[i].explained || k == len(ends)-1
			}
		}
	}
	return out
}

// chain follows causes from e.
func (l *log) chain(e sim.Event) Chain {
	var c Chain
	for {
		c.Steps = append(c.Steps, step(e))
		if e.Cause == 0 || e.Cause >= e.Seq { // the latter would be no cause
			break
		}
		next, ok := l.at(e.Cause)
		if !ok {
			c.Forgotten = true
			break
		}
		e = next
	}
	if n := len(c.Steps); n > maxSteps {
		c.Steps = append(c.Steps[:maxSteps/2:maxSteps/2], c.Steps[n-maxSteps/2:]...)
	}
	return c
}

func step(e sim.Event) Step { return Step{e, Text(e)} }

// Text says an event in one line: who did it if a person did, what, why if that was told, and the other details in brackets.
func Text(e sim.Event) string {
	var b strings.Builder
	who, byPerson := Act(e)
	if byPerson {
		b.WriteString(who + ": ")
	}
	b.WriteString(e.What)
	said := ""
	for _, k := range []string{"message", "reason"} {
		if said == "" && e.Detail[k] != "" {
			said = k
			b.WriteString(": " + oneLine(e.Detail[k]))
		}
	}
	var rest []string
	for _, k := range slices.Sorted(maps.Keys(e.Detail)) {
		if k != said && e.Detail[k] != "" && !(byPerson && told(k)) {
			rest = append(rest, k+"="+oneLine(e.Detail[k]))
		}
	}
	if len(rest) > 0 {
		b.WriteString(" (" + strings.Join(rest, " ") + ")")
	}
	return b.String()
}

// oneLine keeps what others said from breaking a line or a terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return ' '
		case r < ' ', r == 0x7f:
			return -1
		}
		return r
	}, s)
}

// related gives the event that explains e although e does not name it as its cause, and how the two belong together.
func (l *log) related(e sim.Event) (sim.Event, string, bool) {
	for _, r := range relations() {
		if !r.of(e) {
			continue
		}
		if other, ok := r.find(l, e); ok && other.Seq != e.Seq {
			return other, r.words, true
		}
	}
	return sim.Event{}, "", false
}

// relation is a rule of what explains what.
type relation struct {
	words string
	of    func(e sim.Event) bool
	find  func(l *log, e sim.Event) (sim.Event, bool)
}

func relations() []relation {
	return []relation{
		{onPurpose, func(e sim.Event) bool { return brokenBy(e) != nil }, (*log).fault},
		{"the registry refused the node", what("image pull failed", "image pull backed off"), func(l *log, e sim.Event) (sim.Event, bool) {
			return l.newest(l.birth(e), 0, func(x sim.Event) bool { return x.Part == sim.PartRegistry && refusal(x) && concerns(x, e.DPE) })
		}},
		{"its key had been withdrawn", what("engine refused"), func(l *log, e sim.Event) (sim.Event, bool) {
			return l.newest(0, e.Seq, func(x sim.Event) bool {
				return x.What == "component revoked" && x.Detail["key_id"] != "" && x.Detail["key_id"] == e.Detail["key_id"]
			})
		}},
		{"the platform had been upgraded", tooOld, func(l *log, e sim.Event) (sim.Event, bool) {
			return l.newest(0, e.Seq, func(x sim.Event) bool { return x.What == "environment upgraded" && x.Environment == e.Environment })
		}},
		{"its access had been withdrawn", func(e sim.Event) bool { return e.Part == sim.PartRegistry && refusal(e) }, func(l *log, e sim.Event) (sim.Event, bool) {
			return l.newest(0, e.Seq, func(x sim.Event) bool {
				return (x.What == "dpe removed" || x.What == "registry token rotated") && e.Detail["user"] == string(x.Environment)+"."+string(x.DPE)
			})
		}},
		{"the allowlist had been set", func(e sim.Event) bool { return e.Part == sim.PartEdge && refusal(e) && e.Environment != "" }, func(l *log, e sim.Event) (sim.Event, bool) {
			return l.newest(0, e.Seq, func(x sim.Event) bool { return x.What == "allowlist set" && x.Environment == e.Environment })
		}},
		{"what became of its pod", what("engine disconnected"), func(l *log, e sim.Event) (sim.Event, bool) {
			pod := e.Detail["replica"]
			began, _ := l.newest(0, e.Seq, func(x sim.Event) bool { return x.What == "engine connected" && x.Detail["replica"] == pod })
			return l.oldest(began.Seq, func(x sim.Event) bool { return x.Part == sim.PartCluster && x.Detail["pod"] == pod && ending(x) })
		}},
		{"its pod", what("engine connected"), func(l *log, e sim.Event) (sim.Event, bool) { // a real cluster's engines know no events
			if e.Cause != 0 {
				return sim.Event{}, false
			}
			return l.newest(0, 0, func(x sim.Event) bool { return x.What == "container started" && x.Detail["pod"] == e.Detail["replica"] })
		}},
		{"its engine was refused", what("container started", "container exited", "container waiting", "pod not ready", "probe failed"), func(l *log, e sim.Event) (sim.Event, bool) {
			if e.DPE == "" {
				return sim.Event{}, false
			}
			began, _ := l.newest(0, e.Seq+1, func(x sim.Event) bool { return x.What == "container started" && x.Detail["pod"] == e.Detail["pod"] })
			return l.newest(began.Seq, 0, func(x sim.Event) bool { return x.Part != sim.PartRegistry && refusal(x) && concerns(x, e.DPE) })
		}},
		{"what happened to the nodes", what("pod unschedulable"), func(l *log, e sim.Event) (sim.Event, bool) {
			return l.newest(0, e.Seq, func(x sim.Event) bool {
				return x.Part == sim.PartCluster && strings.HasPrefix(x.What, "node ") && x.What != "node ready" && x.What != "node started"
			})
		}},
		{"the pod that it replaces", what("pod created"), func(l *log, e sim.Event) (sim.Event, bool) {
			if e.Cause != 0 || e.DPE == "" {
				return sim.Event{}, false
			}
			return l.newest(0, e.Seq, func(x sim.Event) bool {
				return x.Part == sim.PartCluster && x.DPE == e.DPE && x.Detail["pod"] != "" && ending(x) && x.Detail["namespace"] == e.Detail["namespace"]
			})
		}},
	}
}

// what makes a predicate of names of events.
func what(names ...string) func(sim.Event) bool {
	return func(e sim.Event) bool { return slices.Contains(names, e.What) }
}

// refusal tells whether e says that somebody was not let in.
func refusal(e sim.Event) bool {
	return strings.Contains(e.What, "refused") && e.What != "event refused" && e.What != writeRefused
}

// tooOld tells whether DPM refused or cut off an engine because the platform works with newer ones only.
func tooOld(e sim.Event) bool {
	return e.Part == sim.PartDPM && strings.HasPrefix(e.Detail["reason"], "upgrade required")
}

// concerns tells whether a refusal is one of the DPE: it says so, or by the user name that it was tried with.
func concerns(e sim.Event, label sim.Label) bool {
	return label != "" && (e.DPE == label || strings.HasSuffix(e.Detail["user"], "."+string(label)))
}

// ending tells whether e is about a pod that ceases to work.
func ending(e sim.Event) bool {
	switch e.What {
	case "container exited", "pod deleted", "pod evicted", "pod lost", "pod failed", "object deleted":
		return true
	}
	return false
}

// birth gives the Seq of the making of the pod that e is about, 0 if that is not remembered.
func (l *log) birth(e sim.Event) uint64 {
	made, _ := l.newest(0, e.Seq, func(x sim.Event) bool { return x.What == "pod created" && x.Detail["pod"] == e.Detail["pod"] })
	return made.Seq
}
