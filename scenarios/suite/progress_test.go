package suite_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/scenarios/suite"
)

// screen is a terminal: it keeps the lines that are shown, and all that its last line has been.
type screen struct {
	mu    sync.Mutex
	lines [][]rune
	at    int
	seen  []string
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) == 0 {
		s.lines = [][]rune{nil}
	}
	for _, r := range string(p) {
		last := &s.lines[len(s.lines)-1]
		switch r {
		case '\r':
			s.at = 0
		case '\n':
			s.lines, s.at = append(s.lines, nil), 0
		default:
			if s.at == len(*last) {
				*last = append(*last, r)
			} else {
				(*last)[s.at] = r
			}
			s.at++
		}
	}
	s.seen = append(s.seen, strings.TrimRight(string(s.lines[len(s.lines)-1]), " "))
	return len(p), nil
}

// text gives what a person sees.
func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, l := range s.lines {
		out = append(out, strings.TrimRight(string(l), " "))
	}
	return strings.Join(out, "\n")
}

func (s *screen) now() string { return s.seen[len(s.seen)-1] }

func TestProgressShowsWhatRunsAboveItsLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &screen{}
		p := &suite.Progress{Terminal: s, Width: func() int { return 60 }, Cases: 2}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); p.Run(ctx) }()
		good, bad := parsed(t, "dir/good.md", "", "true", "true"), parsed(t, "bad.md", "", "true")
		out := p.Over(s)
		a := p.Report(suite.Case{Scenario: good, Round: 1})
		shows := func(want string) {
			t.Helper()
			synctest.Wait()
			if diff := cmp.Diff(want, s.now()); diff != "" {
				t.Error(diff)
			}
		}
		shows("[0/2] good starting 0s")
		a.StepStarted(engine.StepStarted{Name: "Install", Index: 1})
		b := p.Report(suite.Case{Scenario: bad, Round: 2})
		time.Sleep(2500 * time.Millisecond)
		shows("[0/2] good 2/2 Install 2s · bad.md (round 2) starting 2s")
		fmt.Fprint(out, "half ")
		shows("half")
		fmt.Fprintln(out, "a line")
		shows("[0/2] good 2/2 Install 2s · bad.md (round 2) starting 2s")
		b.StepStarted(engine.StepStarted{Name: "A step with a name that does not fit"})
		shows("[0/2] good 2/2 Install 2s · bad.md (round 2) 1/1 A step wi…")
		b.StepFinished(engine.StepFinished{})
		shows("[0/2] good 2/2 Install 2s")
		b.ScenarioFinished(engine.ScenarioFinished{Scenario: bad})
		a.StepStarted(engine.StepStarted{Name: "Clean", Index: 0, Finally: true})
		shows("[1/2] good 1/2 Clean (clean-up) 0s")
		stop()
		<-ended
		if got := s.text(); got != "half a line\n" {
			t.Errorf("in the end there is %q", got)
		}
		for _, line := range s.seen {
			if utf8.RuneCountInString(line) > 59 {
				t.Errorf("a line is too long: %q", line)
			}
		}
	})
}

func TestProgressOfOneCaseHasNoNames(t *testing.T) {
	t.Parallel()
	s := &screen{}
	p := &suite.Progress{Terminal: s, Width: func() int { return 20 }, Cases: 1}
	x := p.Report(suite.Case{Scenario: parsed(t, "a.md", "", "true"), Round: 1})
	x.StepStarted(engine.StepStarted{Name: "Ste\x1bp"})
	if s.now() != "1/1 Step 0s" {
		t.Errorf("it shows %q", s.now())
	}
	p.Width = func() int { return 1 }
	x.StepStarted(engine.StepStarted{Name: "Step"})
	x.ScenarioFinished(engine.ScenarioFinished{})
	if got := s.text(); got != "" {
		t.Errorf("it leaves %q", got)
	}
}

// Live reports are told while cases run that are played at the same time; the others when a case has ended.
func TestLiveReportsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	s := &screen{}
	p := &suite.Progress{Terminal: s, Width: func() int { return 80 }, Cases: 2}
	var both sync.WaitGroup
	both.Add(2)
	play := player(t)
	cases := []suite.Case{{Scenario: parsed(t, "a.md", "", "true"), Round: 1}, {Scenario: parsed(t, "b.md", "", "true"), Round: 1}}
	_, err := suite.Run(t.Context(), cases, func(ctx context.Context, c suite.Case, r engine.Reporter) error {
		r.StepStarted(engine.StepStarted{Name: "first"})
		both.Done()
		both.Wait() // the other one has told, too
		return play(ctx, c, r)
	}, suite.Options{Parallel: 2, Live: []suite.Report{p.Report}})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, line := range s.seen {
		found = found || strings.Contains(line, "a 1/1 first") && strings.Contains(line, "b 1/1 first")
	}
	if !found || s.text() != "" {
		t.Errorf("both are never shown: %q", s.seen)
	}
}
