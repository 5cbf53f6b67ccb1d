// Package diagnosis tells what led to the failure of a scenario's step, from a simulator that still is as the failure left it.
package diagnosis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/stack"
	"github.com/dpesim/dpesim/sim/why"
)

// How much is told, so that a person reads it.
const (
	maxEvents   = 10 // of the step, and before it if those are fewer
	maxWhys     = 3
	maxPods     = 3
	maxLogLines = 15 // of each pod
)

// Options say of what a diagnosis is.
type Options struct {
	Stack *stack.Stack
	Log   *Log // what the simulator has logged; nil: that is not known
	About any  // the program that runs, as JSON; nil: nothing is told of it
	Files bool // gather files, too, as for a bundle
}

// Of gives what can be found out of a failed step: the last events, why the objects involved are as they are, and what their
// pods said. It is an [engine.Options].Diagnose.
func Of(o Options) func(ctx context.Context, failed engine.StepFinished) engine.Diagnosis {
	return func(ctx context.Context, failed engine.StepFinished) engine.Diagnosis {
		d := &diagnosis{o: o, all: o.Stack.Bus().Since(0)}
		clues := append(d.events(failed.Events), d.whys(ctx, failed)...)
		for _, e := range slices.Backward(failed.Events) {
			d.involve(e)
		}
		out := engine.Diagnosis{Clues: append(clues, d.logs(ctx)...)}
		if o.Files {
			out.Files = d.files(ctx)
		}
		return out
	}
}

type diagnosis struct {
	o    Options
	all  []sim.Event // that are remembered
	pods []pod       // that are involved, the most interesting first
}

type pod struct{ namespace, name string }

// events gives the last events: those of the step, and some before them if they are few.
func (d *diagnosis) events(own []sim.Event) []engine.Clue {
	before := d.all
	if len(own) > 0 {
		before = slices.DeleteFunc(slices.Clone(d.all), func(e sim.Event) bool { return e.Seq >= own[0].Seq })
	}
	var out []engine.Clue
	told := func(what string, list []sim.Event, most int) {
		if most = min(most, len(list)); most > 0 {
			out = append(out, engine.Clue{Title: fmt.Sprintf("events %s (the last %d of %d)", what, most, len(list)), Text: lines(list[len(list)-most:])})
		}
	}
	told("of this step", own, maxEvents)
	told("before this step", before, maxEvents-len(own))
	return out
}

// lines writes events, one a line.
func lines(events []sim.Event) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, e := range events {
		where := string(e.Environment)
		if e.DPE != "" {
			where += "/" + string(e.DPE)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.Time.Format("15:04:05.000"), e.Part, where, why.Text(e))
	}
	_ = w.Flush() // to memory
	return b.String()
}

// whys explains what the failed command names, then what the events show in trouble. What has the same cause as one before
// is left out.
func (d *diagnosis) whys(ctx context.Context, failed engine.StepFinished) []engine.Clue {
	command := ""
	if e, ok := errors.AsType[*engine.CommandError](failed.Err); ok {
		command = e.Command
	}
	named := why.Objects(command)
	var out []engine.Clue
	told := history{map[uint64]bool{}, map[string]bool{}}
	for i, subject := range append(named, why.Troubled(d.all)...) {
		if len(out) == maxWhys {
			break
		}
		x, err := d.o.Stack.Client().Why(ctx, subject)
		if err != nil {
			if i < len(named) && sim.KindOf(err) == sim.NotFound { // it is not there, which may be why
				out = append(out, engine.Clue{Title: "why " + subject, Text: strings.TrimPrefix(sim.Report(err), "Error: ")})
			}
			continue
		}
		if told.add(x) {
			continue
		}
		out = append(out, engine.Clue{Title: "why " + x.Subject, Text: x.Text()})
		for _, c := range x.Chains {
			for _, s := range c.Steps {
				d.involve(s.Event)
			}
		}
	}
	return out
}

// history is what has been explained.
type history struct {
	steps  map[uint64]bool // by Seq
	causes map[string]bool // symptoms with their first causes: the trouble of many pods has but one
}

// add notes what x explains and tells whether that was explained before.
func (h *history) add(x why.Explanation) (old bool) {
	if len(x.Chains) == 0 || len(x.Chains[0].Steps) == 0 {
		return false
	}
	symptom := x.Chains[0].Steps[0]
	cause := fmt.Sprint(symptom.What, " ", x.FirstCause)
	if h.steps[symptom.Seq] || h.causes[cause] && x.FirstCause != 0 {
		return true
	}
	h.causes[cause] = true
	for _, c := range x.Chains {
		for _, s := range c.Steps {
			h.steps[s.Seq] = true
		}
	}
	return false
}

// involve notes the pod that e tells of, if it does.
func (d *diagnosis) involve(e sim.Event) {
	p := pod{e.Detail["namespace"], e.Detail["pod"]}
	if p.namespace != "" && p.name != "" && !slices.Contains(d.pods, p) && len(d.pods) < maxPods {
		d.pods = append(d.pods, p)
	}
}

// logs gives what the pods involved said last.
func (d *diagnosis) logs(ctx context.Context) []engine.Clue {
	var out []engine.Clue
	for _, p := range d.pods {
		title := "log of pod/" + p.namespace + "/" + p.name
		text, err := d.o.Stack.Operator().Log(ctx, p.namespace, p.name, false)
		if before, e := d.o.Stack.Operator().Log(ctx, p.namespace, p.name, true); e == nil && before != "" && (err != nil || text == "") {
			title, text, err = title+" (of the container before)", before, nil
		}
		if err != nil {
			msg, _ := sim.Explain(err)
			text = "there is none: " + msg
		}
		if text != "" {
			out = append(out, engine.Clue{Title: title, Text: tail(text, maxLogLines)})
		}
	}
	return out
}

// tail gives the last lines of text.
func tail(text string, most int) string {
	all := slices.Collect(strings.Lines(text))
	return strings.Join(all[max(0, len(all)-most):], "")
}
