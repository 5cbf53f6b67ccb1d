package engine

import (
	"fmt"
	"strings"
	"time"

	"github.com/dpesim/dpesim/sim"
)

// Reporter is told how a run goes, in order and one call at a time. [Human] and [JSON] are reporters.
type Reporter interface {
	ScenarioStarted(ScenarioStarted)
	StepStarted(StepStarted)
	StepFinished(StepFinished)
	ScenarioFinished(ScenarioFinished)
}

// ScenarioStarted is the beginning of a run.
type ScenarioStarted struct {
	Scenario *Scenario
}

// StepStarted is the beginning of a step, or of its clean-up at the end of the run.
type StepStarted struct {
	File    string // of the scenario
	Index   int    // in Scenario.Steps
	Name    string
	Line    int
	Finally bool // the step's "sh finally" fences run now
}

// StepFinished is the end of a step, or of its clean-up.
type StepFinished struct {
	File    string
	Index   int
	Name    string
	Line    int // of the heading
	Finally bool
	Elapsed time.Duration // wall time
	Err     error         // nil: as expected; a *[StepError], or ctx's error
	Said    []string      // by the word say, one line each
	Hint    string        // the text of the step's hints, "" if it went well
	Output  string        // everything else that the step printed, both streams as they came

	Events    []sim.Event // of [Options].Bus while the step ran, as far as they are remembered
	Diagnosis             // of [Options].Diagnose; empty if the step went well
}

// Diagnosis is what is known of a failure beside the step itself.
type Diagnosis struct {
	Clues []Clue // what helps to understand it, for a person to read
	Files []File // what helps whoever looks into it later
}

// File is a file of a bundle.
type File struct {
	Name string // slash-separated
	Data []byte
}

// Clue is something that helps to understand why a step failed.
type Clue struct {
	Title string `json:"title"` // what it is: "why dpe/acme/finance"
	Text  string `json:"text"`  // lines
}

// Detail gives all that is known of a step beside its error: what it printed, what was found, its hint. It is "" if there
// is nothing.
func (e StepFinished) Detail() string {
	var b strings.Builder
	section := func(title, text string) {
		if text = strings.TrimRight(text, "\n"); text == "" {
			return
		}
		if b.Len() > 0 {
			b.WriteString("\n")
		}
		if title != "" {
			fmt.Fprintf(&b, "%s:\n", title)
		}
		b.WriteString(text + "\n")
	}
	section("", e.Output)
	for _, f := range e.Clues {
		section(f.Title, f.Text)
	}
	section("hint", e.Hint)
	return b.String()
}

// ScenarioFinished is the end of a run, after the clean-up.
type ScenarioFinished struct {
	Scenario *Scenario
	Steps    int           // that ended as expected, without clean-ups
	Elapsed  time.Duration // wall time
	Err      error         // what Run returns

	// Conceal is that of the [Options], for a reporter that has kept what it was told: by now more secrets may be known. nil: nothing
	// ran.
	Conceal func(text string) string
}

// Several are reporters that are told the same, one after the other.
type Several []Reporter

// ScenarioStarted tells it on.
func (s Several) ScenarioStarted(e ScenarioStarted) {
	for _, r := range s {
		r.ScenarioStarted(e)
	}
}

// StepStarted tells it on.
func (s Several) StepStarted(e StepStarted) {
	for _, r := range s {
		r.StepStarted(e)
	}
}

// StepFinished tells it on.
func (s Several) StepFinished(e StepFinished) {
	for _, r := range s {
		r.StepFinished(e)
	}
}

// ScenarioFinished tells it on.
func (s Several) ScenarioFinished(e ScenarioFinished) {
	for _, r := range s {
		r.ScenarioFinished(e)
	}
}

// nobody is the Reporter of a run without one.
type nobody struct{}

func (nobody) ScenarioStarted(ScenarioStarted)   {}
func (nobody) StepStarted(StepStarted)           {}
func (nobody) StepFinished(StepFinished)         {}
func (nobody) ScenarioFinished(ScenarioFinished) {}
