package suite

import (
	"errors"
	"fmt"
	"html"
	"io"
	"strings"
	"time"

	"github.com/dpesim/dpesim/scenarios/engine"
)

// GitHub tells GitHub Actions of results: an annotation for each failure, at its line, as a workflow command on Log; and a
// table, and what is known of each failure, for the job's summary page (GITHUB_STEP_SUMMARY), by [GitHub.WriteSummary].
type GitHub struct {
	Log      io.Writer
	rows     []string
	failures []string
}

// Report is the GitHub's [Report].
func (g *GitHub) Report(c Case) engine.Reporter { return &githubCase{g: g, c: c} }

// WriteSummary writes the table and the failures, as Markdown.
func (g *GitHub) WriteSummary(w io.Writer) error {
	_, err := fmt.Fprintf(w, "### Scenarios\n\n| | scenario | steps | time | |\n|---|---|---|---|---|\n%s\n%s", strings.Join(g.rows, ""), strings.Join(g.failures, ""))
	return err
}

// maxSummaryLines is how many lines of what is known of a failure are in the summary, which GitHub bounds.
const maxSummaryLines = 120

type githubCase struct {
	g *GitHub
	c Case
}

// ScenarioStarted needs nothing.
func (*githubCase) ScenarioStarted(engine.ScenarioStarted) {}

// StepStarted needs nothing.
func (*githubCase) StepStarted(engine.StepStarted) {}

// StepFinished annotates the line of a failure.
func (c *githubCase) StepFinished(e engine.StepFinished) {
	if e.Err == nil {
		return
	}
	line, message := e.Line, e.Err.Error()
	if step, ok := errors.AsType[*engine.StepError](e.Err); ok {
		line, message = step.Line, step.Err.Error()
	}
	text := message + "\n" + e.Detail()
	_, last := lastLines(text, maxSummaryLines)
	c.g.failures = append(c.g.failures, fmt.Sprintf("<details><summary>%s, line %d: %s</summary><pre>\n%s</pre></details>\n\n",
		html.EscapeString(title(c.c)), line, html.EscapeString(e.Name), html.EscapeString(last)))
	fmt.Fprintf(c.g.Log, "::error file=%s,line=%d,title=%s::%s\n", property(e.File), line, property(title(c.c)+": "+e.Name), commandData(strings.TrimRight(text, "\n")))
}

// ScenarioFinished adds a row.
func (c *githubCase) ScenarioFinished(e engine.ScenarioFinished) {
	mark, why := "✅", ""
	if e.Err != nil {
		mark, why = "❌", e.Err.Error()
		if _, step := errors.AsType[*engine.StepError](e.Err); !step {
			fmt.Fprintf(c.g.Log, "::error file=%s,title=%s::%s\n", property(e.Scenario.File), property(title(c.c)), commandData(why))
		}
	}
	c.g.rows = append(c.g.rows, fmt.Sprintf("| %s | %s | %d of %d | %s | %s |\n",
		mark, cell(title(c.c)), e.Steps, len(e.Scenario.Steps), e.Elapsed.Round(10*time.Millisecond), cell(why)))
}

// commandData and property escape as GitHub's runner takes it apart (actions/toolkit, packages/core, command).
func commandData(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}

// cell keeps text from breaking a table of Markdown, and its markup from being any.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "\r", " ", "<", "&lt;", "`", "'").Replace(s)
}
