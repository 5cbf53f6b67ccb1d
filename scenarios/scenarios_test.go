package scenarios_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/scenarios"
	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/sim"
)

var update = flag.Bool("update", false, "rewrite the table of the built-in scenarios in docs/scenarios.md")

func TestEveryBuiltInScenarioHasAWordForTheReader(t *testing.T) {
	t.Parallel()
	names := scenarios.Names()
	if !slices.Contains(names, "lifecycle") || !slices.IsSorted(names) || slices.Contains(names, "DESIGN") {
		t.Errorf("got %q", names)
	}
	for _, name := range names {
		s := parse(t, name)
		for _, step := range s.Steps {
			if step.Prose == "" {
				t.Errorf("%s:%d: step %q has no word for the reader", name, step.Line, step.Name)
			}
		}
		if s.Summary == "" || s.Minutes == 0 {
			t.Errorf("%s: summary %q, %d minutes", name, s.Summary, s.Minutes)
		}
	}
}

func parse(t *testing.T, name string) *engine.Scenario {
	t.Helper()
	s, err := scenarios.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTheDocsListTheLibrary holds the table of docs/scenarios.md against the front matter of the scenarios. With -update it writes it.
func TestTheDocsListTheLibrary(t *testing.T) {
	t.Parallel()
	var want strings.Builder
	want.WriteString("| scenario | what it rehearses | minutes | on kind |\n|---|---|---|---|\n")
	for _, name := range scenarios.Names() {
		s := parse(t, name)
		kind := "yes"
		if !slices.Contains(s.Clusters, "kind") {
			kind = "no: " + s.Because
		}
		fmt.Fprintf(&want, "| [%s](../scenarios/%[1]s.md) | %s | %d | %s |\n", name, s.Summary, s.Minutes, kind)
	}
	const page, head = "../docs/scenarios.md", "## The library\n\n"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, section, ok := strings.Cut(string(text), head)
	start, end := strings.Index(section, "| scenario |"), strings.Index(section, "|\n\n")
	if !ok || start < 0 || end < start {
		t.Fatalf("%s has no table under %q", page, head)
	}
	end += len("|\n")
	if section[start:end] == want.String() {
		return
	}
	if !*update {
		t.Fatalf("the table of %s is not that of the scenarios' front matter: 'go test ./scenarios -update' writes it\ngot:\n%s\nwant:\n%s", page, section[start:end], want.String())
	}
	if err := os.WriteFile(page, []byte(before+head+section[:start]+want.String()+section[end:]), 0o600); err != nil {
		t.Fatal(err)
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
