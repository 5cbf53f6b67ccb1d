package ui

import (
	"bytes"
	"strings"
	"time"
)

// RunHere offers to run a task of a DPE's commands on the simulator's own cluster.
type RunHere struct {
	Environment, Label, Task string
	Back                     string // the page to come back to, below the DPE: "installation", "upgrade", "remove"
	Covers                   string // what is run, in words
	Why                      string // why it is not offered; empty: it is
}

// CLI is the command that does the same.
func (r RunHere) CLI() string {
	s := "dpesim dpe run-commands " + r.Environment + " " + r.Label
	if r.Task != "install" { // which is what it does unless told otherwise
		s += " " + r.Task
	}
	return s
}

// Run is the last run of a DPE's commands.
type Run struct {
	Environment, Label, ID string
	Back                   string // as in RunHere
	Task                   string
	Title                  string // of its task, in words
	Words, Colour          string // how it is going: "finished in 2.1 s", "green"
	Running                bool
	By                     string
	Started                time.Time
	Release                string
	Revision               int64
	Output                 string
	Line                   int64  // the last of Output
	Cut                    int64  // lines before Output that are no longer kept
	Help                   string // what to do; empty: nothing
}

// CancelCLI is the command that cancels it.
func (r Run) CancelCLI() string {
	return "dpesim dpe run-commands " + r.Environment + " " + r.Label + " --cancel"
}

// OutputLine is a line that a run printed. Commands that the portal ran begin with "$ ".
type OutputLine struct {
	Text    string
	Command bool
}

// Lines gives the output by lines.
func (r Run) Lines() []OutputLine {
	var out []OutputLine
	for line := range strings.Lines(r.Output) {
		out = append(out, outputLine(strings.TrimSuffix(line, "\n")))
	}
	return out
}

func outputLine(text string) OutputLine { return OutputLine{text, strings.HasPrefix(text, "$ ")} }

// LineFragment renders a line of a run's output, on one line.
func LineFragment(text string) ([]byte, error) {
	b, err := render("installation", "output-line", outputLine(text))
	return bytes.TrimSpace(b), err
}
