package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/scenarios/engine"
)

// told is a scenario with everything that a report can hold.
func told(t *testing.T) *engine.Scenario {
	t.Helper()
	s := parsed(t,
		"## Good", "~~~sh run", "say one", "echo hidden", "~~~", "~~~sh finally", "say bye", "~~~",
		"## Bad", "~~~sh check", "echo shown", "say two", "test 1 = 2 ||\\", "  test 3 = 4", "~~~",
		"~~~text hint", "Count again.", "Then (twice).", "~~~", "~~~sh hint", "test 4 = 4", "~~~",
		"## Never", "~~~sh run", "echo", "~~~")
	s.Summary = "In short."
	return s
}

func clue(context.Context, engine.StepFinished) engine.Diagnosis {
	return engine.Diagnosis{Clues: []engine.Clue{{Title: "why it is so", Text: "because\n"}}}
}

func TestHumanShowsALinePerStepAndTheOutputOfTheOneThatFailed(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := engine.Run(t.Context(), told(t), engine.Options{Dir: t.TempDir(), Report: engine.Human{W: &out}, Diagnose: clue}); err == nil {
		t.Error("it passed")
	}
	got := regexp.MustCompile(`\d+\.\d\ds`).ReplaceAllString(out.String(), "0.00s")
	want := `T
In short.

ok     0.00s  Good
              one
FAIL   0.00s  Bad
              two

     test.md:16: exit status 1: test 1 = 2 || ...
     | shown
     why it is so:
     | because
     hint: Count again.
           Then (twice).
           test 4 = 4

ok     0.00s  Good (clean-up)
              bye

FAILED after 1 of 3 steps in 0.00s: test.md:16: step "Bad": exit status 1: test 1 = 2 || ...
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestJSONIsOneDocumentedObjectPerLine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := engine.Run(t.Context(), told(t), engine.Options{Dir: t.TempDir(), Report: engine.JSON{W: &out}, Diagnose: clue}); err == nil {
		t.Error("it passed")
	}
	var got []engine.Line
	for text := range strings.Lines(out.String()) {
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		var l engine.Line
		if err := d.Decode(&l); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if strings.HasSuffix(l.Event, "finished") != (l.ElapsedSeconds != nil) {
			t.Errorf("elapsed_seconds in %s", text)
		}
		l.ElapsedSeconds = nil
		got = append(got, l)
	}
	ok, bad := true, false
	want := []engine.Line{
		{Event: "scenario_started", File: "test.md", Title: "T", Steps: 3},
		{Event: "step_started", File: "test.md", Step: "Good", Line: 4},
		{Event: "step_finished", File: "test.md", Step: "Good", Line: 4, OK: &ok, Said: []string{"one"}},
		{Event: "step_started", File: "test.md", Step: "Bad", Line: 12},
		{
			Event: "step_finished", File: "test.md", Step: "Bad", Line: 12, OK: &bad, Said: []string{"two"},
			Error: "exit status 1: test 1 = 2 || ...", FailedLine: 16, Output: "shown\n", Hint: "Count again.\nThen (twice).\ntest 4 = 4",
			Clues: []engine.Clue{{Title: "why it is so", Text: "because\n"}},
		},
		{Event: "step_started", File: "test.md", Step: "Good", Line: 4, Finally: true},
		{Event: "step_finished", File: "test.md", Step: "Good", Line: 4, Finally: true, OK: &ok, Said: []string{"bye"}},
		{Event: "scenario_finished", File: "test.md", Title: "T", Steps: 1, OK: &bad, Error: "exit status 1: test 1 = 2 || ...", FailedLine: 16},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDetailIsAllThatIsKnownOfAStep(t *testing.T) {
	t.Parallel()
	e := engine.StepFinished{Output: "printed\n", Diagnosis: engine.Diagnosis{Clues: []engine.Clue{{"log", "one\ntwo\n"}, {"none", ""}}}, Hint: "look"}
	if got, want := e.Detail(), "printed\n\nlog:\none\ntwo\n\nhint:\nlook\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := (engine.StepFinished{}).Detail(); got != "" {
		t.Errorf("of nothing it says %q", got)
	}
}
