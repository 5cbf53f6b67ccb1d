package suite

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

//go:embed report.html
var reportPage string

// reportTemplate parses the page once, at first use.
var reportTemplate = sync.OnceValues(func() (*template.Template, error) {
	t, err := template.New("report").Parse(reportPage)
	if err != nil {
		return nil, fmt.Errorf("parse the report's page: %w", err)
	}
	return t, nil
})

// HTML gathers results for people: one page that needs nothing else, with what each step took, said and printed, its events, and
// what is known of failures.
type HTML struct{ cases []*htmlCase }

// Report is the HTML's [Report].
func (h *HTML) Report(c Case) engine.Reporter {
	x := &htmlCase{ID: fmt.Sprintf("case-%d", len(h.cases)+1), Name: title(c), Title: c.Scenario.Title, Summary: c.Scenario.Summary, Of: len(c.Scenario.Steps), steps: c.Scenario.Steps}
	h.cases = append(h.cases, x)
	return x
}

// WriteTo writes the page.
func (h *HTML) WriteTo(w io.Writer) (int64, error) {
	style, err := ui.Style()
	if err != nil {
		return 0, fmt.Errorf("read the report's style: %w", err)
	}
	t, err := reportTemplate()
	if err != nil {
		return 0, err
	}
	page := struct {
		Title string
		Bad   bool
		Style template.CSS
		Cases []*htmlCase
	}{Style: template.CSS(style), Cases: h.cases} //nolint:gosec // our own
	bad := 0
	for _, c := range h.cases {
		if c.Err != "" {
			bad++
		}
	}
	page.Bad = bad > 0
	switch n := len(h.cases); {
	case n == 1:
		page.Title = h.cases[0].Title
	case bad > 0:
		page.Title = fmt.Sprintf("%d of %d scenarios failed", bad, n)
	default:
		page.Title = fmt.Sprintf("%d scenarios ok", n)
	}
	count := &counter{to: w}
	err = t.Execute(count, page)
	return count.n, err
}

// counter counts what is written to it.
type counter struct {
	to io.Writer
	n  int64
}

// Write writes p on.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}

// htmlCase is a case as the page shows it.
type htmlCase struct {
	ID, Name, Title, Summary, Err string
	OK, Of                        int // steps
	Elapsed                       htmlSeconds
	Steps                         []htmlStep

	steps   []engine.Step // of the scenario
	reached int           // of them
}

// htmlStep is a step, or its clean-up, as the page shows it.
type htmlStep struct {
	ID, Name, Class, Err, Hint string
	Earlier, Output            string // what it printed: the last lines, and those before them
	Line                       int
	Open, Skipped              bool
	Elapsed                    htmlSeconds
	Left, Width                int64 // of its bar, in thousandths
	Said                       []string
	Clues                      []engine.Clue
	Events                     []htmlEvent
}

// htmlEvent is an event as the page shows it.
type htmlEvent struct {
	Seq                          uint64
	Time, Part, Of, What, Detail string
}

// htmlSeconds is a time as the page shows it.
type htmlSeconds time.Duration

// String gives seconds with two decimals.
func (s htmlSeconds) String() string { return fmt.Sprintf("%.2f s", time.Duration(s).Seconds()) }

// maxHTMLEvents is how many events of a step the page shows: the last.
const maxHTMLEvents = 300

// maxHTMLLines is how many lines of what a step printed are shown at first: a failure shows at the end.
const maxHTMLLines = 40

// ScenarioStarted needs nothing.
func (*htmlCase) ScenarioStarted(engine.ScenarioStarted) {}

// StepStarted counts.
func (c *htmlCase) StepStarted(e engine.StepStarted) {
	if !e.Finally {
		c.reached = e.Index + 1
	}
}

// StepFinished adds a step.
func (c *htmlCase) StepFinished(e engine.StepFinished) {
	s := htmlStep{
		ID: fmt.Sprintf("%s-%d", c.ID, len(c.Steps)+1), Name: e.Name, Class: "ok", Line: e.Line, Elapsed: htmlSeconds(e.Elapsed),
		Hint: e.Hint, Open: e.Err != nil, Said: e.Said, Clues: e.Clues,
	}
	s.Earlier, s.Output = lastLines(e.Output, maxHTMLLines)
	if e.Finally {
		s.Name, s.Class = s.Name+" (clean-up)", "clean"
	}
	if e.Err != nil {
		s.Class, s.Err = "bad", e.Err.Error()
		if step, ok := errors.AsType[*engine.StepError](e.Err); ok {
			s.Err = fmt.Sprintf("%s:%d: %v", step.File, step.Line, step.Err)
		}
	}
	for _, x := range e.Events[max(0, len(e.Events)-maxHTMLEvents):] {
		s.Events = append(s.Events, eventOf(x))
	}
	c.Steps = append(c.Steps, s)
}

// lastLines cuts text before its last lines.
func lastLines(text string, n int) (before, last string) {
	at := len(strings.TrimSuffix(text, "\n"))
	for range n {
		if at = strings.LastIndexByte(text[:at], '\n'); at < 0 {
			return "", text
		}
	}
	return text[:at+1], text[at+1:]
}

func eventOf(e sim.Event) htmlEvent {
	out := htmlEvent{Seq: e.Seq, Time: e.Time.UTC().Format("2006-01-02 15:04:05.000"), Part: string(e.Part), Of: string(e.Environment), What: e.What, Detail: ui.Words(e.Detail)}
	if e.DPE != "" {
		out.Of += "/" + string(e.DPE)
	}
	return out
}

// ScenarioFinished sets the bars, and adds what was not reached.
func (c *htmlCase) ScenarioFinished(e engine.ScenarioFinished) {
	c.OK, c.Elapsed = e.Steps, htmlSeconds(e.Elapsed)
	if e.Err != nil {
		c.Err = e.Err.Error()
	}
	if e.Conceal != nil {
		c.conceal(e.Conceal)
	}
	var sum, at htmlSeconds
	for _, s := range c.Steps {
		sum += s.Elapsed
	}
	const whole = 1000
	for i := range c.Steps {
		s := &c.Steps[i]
		s.Left = int64(at * whole / max(sum, 1))
		at += s.Elapsed
		s.Width = max(int64(at*whole/max(sum, 1))-s.Left, whole/250) // so that it is seen
	}
	for _, step := range c.steps[c.reached:] {
		c.Steps = append(c.Steps, htmlStep{Name: step.Name, Line: step.Line, Skipped: true})
	}
}

// conceal hides what became known as a secret after it was told.
func (c *htmlCase) conceal(hide func(string) string) {
	c.Err = hide(c.Err)
	for i := range c.Steps {
		s := &c.Steps[i]
		s.Err, s.Earlier, s.Output = hide(s.Err), hide(s.Earlier), hide(s.Output)
		for k := range s.Said {
			s.Said[k] = hide(s.Said[k])
		}
		for k := range s.Clues {
			s.Clues[k].Text = hide(s.Clues[k].Text)
		}
	}
}
