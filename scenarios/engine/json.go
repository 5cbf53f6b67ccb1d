package engine

import (
	"encoding/json"
	"errors"
	"io"
)

// JSON is a [Reporter] for programs: one [Line] of JSON for each call.
type JSON struct{ W io.Writer }

var _ Reporter = JSON{}

// Line is one line of the [JSON] reporter. Fields that do not apply to an event are absent.
type Line struct {
	Event string `json:"event"` // scenario_started, step_started, step_finished, scenario_finished
	File  string `json:"file"`  // of the scenario

	Title   string `json:"title,omitempty"`   // scenario_*
	Steps   int    `json:"steps,omitempty"`   // scenario_started: how many there are; scenario_finished: how many were ok
	Step    string `json:"step,omitempty"`    // step_*: name
	Line    int    `json:"line,omitempty"`    // step_*: of the heading in the file
	Finally bool   `json:"finally,omitempty"` // step_*: the step's clean-up at the end of the run

	OK             *bool    `json:"ok,omitempty"`              // *_finished
	ElapsedSeconds *float64 `json:"elapsed_seconds,omitempty"` // *_finished: wall time
	Said           []string `json:"said,omitempty"`            // step_finished: by the word say
	Error          string   `json:"error,omitempty"`           // *_finished that is not ok
	FailedLine     int      `json:"failed_line,omitempty"`     // *_finished that is not ok: of the command in the file
	Output         string   `json:"output,omitempty"`          // step_finished that is not ok: all that it printed
	Hint           string   `json:"hint,omitempty"`            // step_finished that is not ok: the step's hint

	Clues []Clue `json:"clues,omitempty"` // step_finished that is not ok: what helps to understand why
}

// ScenarioStarted prints a scenario_started line.
func (j JSON) ScenarioStarted(e ScenarioStarted) {
	j.print(Line{Event: "scenario_started", File: e.Scenario.File, Title: e.Scenario.Title, Steps: len(e.Scenario.Steps)})
}

// StepStarted prints a step_started line.
func (j JSON) StepStarted(e StepStarted) {
	j.print(Line{Event: "step_started", File: e.File, Step: e.Name, Line: e.Line, Finally: e.Finally})
}

// StepFinished prints a step_finished line.
func (j JSON) StepFinished(e StepFinished) {
	l := finished("step_finished", e.Elapsed.Seconds(), e.Err)
	l.File, l.Step, l.Line, l.Finally, l.Said, l.Hint = e.File, e.Name, e.Line, e.Finally, e.Said, e.Hint
	if e.Err != nil {
		l.Output, l.Clues = e.Output, e.Clues
	}
	j.print(l)
}

// ScenarioFinished prints a scenario_finished line.
func (j JSON) ScenarioFinished(e ScenarioFinished) {
	l := finished("scenario_finished", e.Elapsed.Seconds(), e.Err)
	l.File, l.Title, l.Steps = e.Scenario.File, e.Scenario.Title, e.Steps
	j.print(l)
}

func finished(event string, elapsed float64, err error) Line {
	ok := err == nil
	l := Line{Event: event, OK: &ok, ElapsedSeconds: &elapsed}
	if err == nil {
		return l
	}
	l.Error = err.Error()
	if step, is := errors.AsType[*StepError](err); is {
		l.FailedLine, l.Error = step.Line, step.Err.Error()
	}
	return l
}

// print writes one line. A writer that fails has nobody left to be told.
func (j JSON) print(l Line) {
	_ = json.NewEncoder(j.W).Encode(l)
}
