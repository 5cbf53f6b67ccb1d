package engine

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Human is a [Reporter] for a person: one line per step with "ok" or "FAIL" and the wall time, what the step said
// under it, and all that is known of it only where it failed.
type Human struct{ W io.Writer }

var _ Reporter = Human{}

// ScenarioStarted prints the title and the summary.
func (h Human) ScenarioStarted(e ScenarioStarted) {
	fmt.Fprintf(h.W, "%s\n", e.Scenario.Title)
	if e.Scenario.Summary != "" {
		fmt.Fprintf(h.W, "%s\n", e.Scenario.Summary)
	}
	fmt.Fprintln(h.W)
}

// StepStarted prints nothing: a step's line has its result.
func (h Human) StepStarted(StepStarted) {}

// StepFinished prints the step's line and what belongs under it.
func (h Human) StepFinished(e StepFinished) {
	mark, name := "ok  ", e.Name
	if e.Err != nil {
		mark = "FAIL"
	}
	if e.Finally {
		name += " (clean-up)"
	}
	fmt.Fprintf(h.W, "%s %7s  %s\n", mark, seconds(e.Elapsed), name)
	for _, line := range e.Said {
		fmt.Fprintf(h.W, "              %s\n", line)
	}
	if e.Err == nil {
		return
	}
	if step, ok := errors.AsType[*StepError](e.Err); ok {
		fmt.Fprintf(h.W, "\n     %s:%d: %v\n", step.File, step.Line, step.Err)
	} else {
		fmt.Fprintf(h.W, "\n     %v\n", e.Err)
	}
	quoted(h.W, e.Output)
	for _, f := range e.Clues {
		fmt.Fprintf(h.W, "     %s:\n", f.Title)
		quoted(h.W, f.Text)
	}
	for i, line := range slices.Collect(strings.Lines(e.Hint)) {
		head := "hint:"
		if i > 0 {
			head = "     "
		}
		fmt.Fprintf(h.W, "     %s %s\n", head, strings.TrimRight(line, "\r\n"))
	}
	fmt.Fprintln(h.W)
}

// quoted prints text under a step's line, so that it is told from what the engine says.
func quoted(w io.Writer, text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintf(w, "     | %s\n", strings.TrimRight(line, "\r\n"))
	}
}

// ScenarioFinished prints the result.
func (h Human) ScenarioFinished(e ScenarioFinished) {
	if e.Err != nil {
		fmt.Fprintf(h.W, "\nFAILED after %d of %d steps in %s: %v\n", e.Steps, len(e.Scenario.Steps), seconds(e.Elapsed), e.Err)
		return
	}
	fmt.Fprintf(h.W, "\n%d steps ok in %s\n", e.Steps, seconds(e.Elapsed))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2fs", d.Seconds()) }
