package suite

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dpesim/dpesim/scenarios/engine"
)

// JUnit gathers results for build servers: the XML that JUnit's Ant task began and that most of them read. A suite is a
// playing of a file, a case is a step; a step that was not reached is skipped.
type JUnit struct{ suites []*junitSuite }

// Report is the JUnit's [Report].
func (j *JUnit) Report(c Case) engine.Reporter {
	s := &junitSuite{Name: title(c), File: c.Scenario.File, steps: c.Scenario.Steps}
	j.suites = append(j.suites, s)
	return s
}

// title names a case: its file, and its round if there were others before.
func title(c Case) string {
	if c.Round > 1 {
		return fmt.Sprintf("%s (round %d)", c.Scenario.File, c.Round)
	}
	return c.Scenario.File
}

// WriteTo writes what was gathered.
func (j *JUnit) WriteTo(w io.Writer) (int64, error) {
	doc := struct {
		XMLName  xml.Name      `xml:"testsuites"`
		Tests    int           `xml:"tests,attr"`
		Failures int           `xml:"failures,attr"`
		Skipped  int           `xml:"skipped,attr"`
		Time     junitSeconds  `xml:"time,attr"`
		Suites   []*junitSuite `xml:"testsuite"`
	}{Suites: j.suites}
	for _, s := range j.suites {
		doc.Tests, doc.Failures, doc.Skipped, doc.Time = doc.Tests+s.Tests, doc.Failures+s.Failures, doc.Skipped+s.Skipped, doc.Time+s.Time
	}
	text, err := xml.MarshalIndent(doc, "", "  ")
	if err != nil {
		return 0, err
	}
	n, err := io.WriteString(w, xml.Header+string(text)+"\n")
	return int64(n), err
}

type junitSuite struct {
	Name     string       `xml:"name,attr"`
	File     string       `xml:"file,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     junitSeconds `xml:"time,attr"`
	Cases    []junitCase  `xml:"testcase"`

	steps   []engine.Step // of the scenario
	reached int           // steps
}

type junitCase struct {
	Name      string        `xml:"name,attr"`
	ClassName string        `xml:"classname,attr"`
	File      string        `xml:"file,attr"`
	Line      int           `xml:"line,attr"`
	Time      junitSeconds  `xml:"time,attr"`
	Failure   *junitFailure `xml:"failure"`
	Skipped   *struct{}     `xml:"skipped"`
	Output    junitText     `xml:"system-out,omitempty"`
}

type junitFailure struct {
	Message string    `xml:"message,attr"`
	Type    string    `xml:"type,attr"`
	Text    junitText `xml:",chardata"`
}

// junitSeconds is a time as JUnit has it.
type junitSeconds time.Duration

// MarshalText writes seconds with three decimals.
func (s junitSeconds) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", time.Duration(s).Seconds()), nil
}

// junitText is text without what XML 1.0 cannot hold (its section 2.2), a terminal's colours for example.
type junitText string

// MarshalText leaves it out.
func (t junitText) MarshalText() ([]byte, error) {
	return []byte(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < ' ' && r != '\n' && r != '\t' || r == 0xFFFE || r == 0xFFFF {
			return -1
		}
		return r
	}, string(t))), nil
}

// ScenarioStarted needs nothing.
func (*junitSuite) ScenarioStarted(engine.ScenarioStarted) {}

// StepStarted counts.
func (s *junitSuite) StepStarted(e engine.StepStarted) {
	if !e.Finally {
		s.reached = e.Index + 1
	}
}

// StepFinished adds a case.
func (s *junitSuite) StepFinished(e engine.StepFinished) {
	c := junitCase{Name: e.Name, ClassName: s.Name, File: e.File, Line: e.Line, Time: junitSeconds(e.Elapsed), Output: junitText(strings.Join(e.Said, "\n"))}
	if e.Finally {
		c.Name += " (clean-up)"
	}
	if e.Err != nil {
		c.Failure = failureOf(e.Err, e.Detail())
		if step, ok := errors.AsType[*engine.StepError](e.Err); ok {
			c.Line = step.Line
		}
	}
	s.add(c)
}

func failureOf(err error, detail string) *junitFailure {
	message, kind := err.Error(), "error"
	if step, ok := errors.AsType[*engine.StepError](err); ok {
		message, kind = step.Err.Error(), "check"
	}
	return &junitFailure{Message: message, Type: kind, Text: junitText(detail)}
}

func (s *junitSuite) add(c junitCase) {
	s.Tests++
	if c.Failure != nil {
		s.Failures++
	}
	if c.Skipped != nil {
		s.Skipped++
	}
	s.Cases = append(s.Cases, c)
}

// ScenarioFinished adds what was not reached, and a failure that belongs to no step.
func (s *junitSuite) ScenarioFinished(e engine.ScenarioFinished) {
	s.Time = junitSeconds(e.Elapsed)
	if e.Err != nil && s.Failures == 0 {
		s.add(junitCase{Name: "(the run itself)", ClassName: s.Name, File: s.File, Line: 1, Failure: failureOf(e.Err, "")})
	}
	for _, step := range s.steps[s.reached:] {
		s.add(junitCase{Name: step.Name, ClassName: s.Name, File: s.File, Line: step.Line, Skipped: &struct{}{}})
	}
}
