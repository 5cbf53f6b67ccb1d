// Package engine reads and runs scenarios: Markdown files whose prose a person reads and whose fences do the work.
//
// [Parse] reads a file and says what is wrong with which line; [Run] plays it in one shell of its own, interpreted in
// the process, whose words are [verb.Verb] values. The engine knows nothing of the product: what a scenario can do is
// what its words can do.
package engine

import (
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Scenario is a parsed file. It is not changed by a run and may be run many times at once.
type Scenario struct {
	File     string // as it was named to Parse
	Title    string
	Summary  string   // one sentence for a listing
	Minutes  int      // how long a person needs for it; 0: not said
	Clusters []string // cluster targets that it is written for; empty: every one
	Seed     uint64   // of the run's draws; 0: any
	Tags     []string
	Intro    string // Markdown before the first step
	Steps    []Step
}

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
	RunFence     Kind = "run"     // sh run, sh solve: does what the step is about
	CheckFence   Kind = "check"   // sh check: what must be so after it
	FinallyFence Kind = "finally" // sh finally: cleans up at the end of the run, whatever happened
	FileFence    Kind = "file"    // LANG file=NAME: a file for the step
)

// Fence is a fenced code block that does something.
type Fence struct {
	Kind Kind
	Line int    // of the opening fence in the file
	Name string // of a FileFence: slash-separated, inside the working directory
	Text string // the lines between the fences

	stmts []*syntax.Stmt // of the shell fences; their positions are lines of the file
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
