// Package engine reads and runs scenarios: Markdown files whose prose a person reads and whose fences do the work.
//
// [Parse] reads a file and says what is wrong with which line; [Run] plays it in one shell of its own, interpreted in
// the process, whose words are [verb.Verb] values. The engine knows nothing of the product: what a scenario can do is
// what its words can do.
package engine

import (
	"fmt"
	"strings"
	"time"

	"mvdan.cc/sh/v3/syntax"
)

// Scenario is a parsed file. It is not changed by a run and may be run many times at once.
type Scenario struct {
	File     string // as it was named to Parse
	Title    string
	Summary  string   // one sentence for a listing
	Minutes  int      // how long a person needs for it; 0: not said
	Clusters []string // cluster targets that it is written for; empty: every one
	Because  string   // why it is written for these alone; "": not said
	Seed     uint64   // of the run's draws; 0: any
	Tags     []string
	Virtual  bool      // product time passes at once where nothing happens
	Start    time.Time // product time at the beginning; zero: the machine's
	Intro    string    // Markdown before the first step
	Steps    []Step

	src  []byte // what it was parsed from, its lines ended by "\n"
	body int    // where in src the Markdown begins
}

// Name is its file's, without the ending: of a built-in one what a person calls it by.
func (s *Scenario) Name() string { return strings.TrimSuffix(s.File, ".md") }

// Source gives what the scenario was parsed from, its lines ended by "\n". Nobody may change it.
func (s *Scenario) Source() []byte { return s.src }

// Step is one "##" heading and what follows it.
type Step struct {
	Name   string
	Line   int     // of its heading in the file
	Prose  string  // its Markdown without the fences that do something
	Fences []Fence // those that do something, in the order of the file
}

// Kind says what a fence does.
type Kind string

// The kinds of fences, by the words of their info strings.
const (
	GuardFence   Kind = "guard"   // sh guard: what must be so before the step is begun
	RunFence     Kind = "run"     // sh run: prepares what the step is about; a lesson does it for the learner
	SolveFence   Kind = "solve"   // sh solve: what the step is about; a lesson leaves it to the learner
	CheckFence   Kind = "check"   // sh check: what must be so after it
	HintFence    Kind = "hint"    // sh hint, text hint: for whom the step goes wrong; never run
	FinallyFence Kind = "finally" // sh finally: cleans up at the end of the run, whatever happened
	GoldenFence  Kind = "golden"  // text golden, json golden: what the check before it prints
	FileFence    Kind = "file"    // LANG file=NAME: a file for the step
)

// Fence is a fenced code block that does something.
type Fence struct {
	Kind Kind
	Line int    // of the opening fence in the file
	Name string // of a FileFence: slash-separated, inside the working directory; of a GoldenFence: text or json
	Text string // the lines between the fences

	Masks []string // of a GoldenFence: what is taken out before it is compared

	stmts []*syntax.Stmt // of the shell fences; their positions are lines of the file
}

// word tells whether k is the second word of a fence's info string.
func (k Kind) word() bool {
	switch k {
	case GuardFence, RunFence, SolveFence, CheckFence, HintFence, FinallyFence, GoldenFence:
		return true
	case FileFence:
	}
	return false
}

// Hint gives the text of the step's hints, "" if it has none.
func (s Step) Hint() string {
	var hints []string
	for _, f := range s.Fences {
		if f.Kind == HintFence {
			hints = append(hints, strings.TrimRight(f.Text, "\n"))
		}
	}
	return strings.Join(hints, "\n")
}

// ParseError says which line of a scenario is wrong, and how.
type ParseError struct {
	File string
	Line int
	Msg  string
}

// Error gives "file:line: message".
func (e *ParseError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }

// StepError says in which step, and at which line, a run went another way than the scenario says.
type StepError struct {
	Step string
	File string
	Line int // of the command that failed, else of the step
	Err  error
}

// Error names the place and the cause.
func (e *StepError) Error() string {
	return fmt.Sprintf("%s:%d: step %q: %v", e.File, e.Line, e.Step, e.Err)
}

// Unwrap gives the cause.
func (e *StepError) Unwrap() error { return e.Err }

// GuardError is a step that was not begun, since what it needs is not so.
type GuardError struct{ Err error }

// Error says so, and what was looked at.
func (e *GuardError) Error() string {
	return "the step was not begun, its guard does not hold: " + e.Err.Error()
}

// Unwrap gives what the guard came to.
func (e *GuardError) Unwrap() error { return e.Err }

// CommandError is a statement of a fence that did not succeed.
type CommandError struct {
	Command string // as it stands in the file
	Code    int    // its exit status
}

// Error shows the first line of the command and its exit status.
func (e *CommandError) Error() string {
	line, rest, _ := strings.Cut(e.Command, "\n")
	if rest != "" {
		line += " ..."
	}
	return fmt.Sprintf("exit status %d: %s", e.Code, line)
}
