package scenarios_test

import (
	"slices"
	"testing"

	"github.com/dpesim/dpesim/scenarios"
	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/sim"
)

func TestEveryBuiltInScenarioParsesAndChecksSomething(t *testing.T) {
	t.Parallel()
	names := scenarios.Names()
	if !slices.Contains(names, "lifecycle") || !slices.IsSorted(names) {
		t.Errorf("got %q", names)
	}
	for _, name := range names {
		src, err := scenarios.Source(name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := engine.Parse(name+".md", src)
		if err != nil {
			t.Fatal(err)
		}
		checks := 0
		for _, step := range s.Steps {
			if step.Prose == "" {
				t.Errorf("%s:%d: step %q has no word for the reader", name, step.Line, step.Name)
			}
			for _, f := range step.Fences {
				if f.Kind == engine.CheckFence {
					checks++
				}
			}
		}
		if checks == 0 || s.Summary == "" || s.Minutes == 0 {
			t.Errorf("%s: %d checks, summary %q, %d minutes", name, checks, s.Summary, s.Minutes)
		}
	}
}

func TestAnUnknownScenarioIsNotFound(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "nosuch", "lifecycle.md", "../scenarios"} {
		if _, err := scenarios.Source(name); sim.KindOf(err) != sim.NotFound {
			t.Errorf("%q: got %v", name, err)
		}
	}
}
