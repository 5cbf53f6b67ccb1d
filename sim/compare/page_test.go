package compare_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/scenarios"
	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/sim/compare"
)

var update = flag.Bool("update", false, "write what is published into docs/fidelity.md")

// The page says what is published and what is not compared. With -update it is written. The rows of what is compared are held, and
// written, by a test of the program's package that needs kind.
func TestThePageHasWhatIsPublished(t *testing.T) {
	t.Parallel()
	table, library := published(t)
	const path = "../../docs/fidelity.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := compare.Page(string(page), table, library, nil)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case *update:
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	case want != string(page):
		t.Errorf("docs/fidelity.md is not up to date: 'go test ./sim/compare -update' writes it\n%s", cmp.Diff(string(page), want))
	}
}

func TestAPageKeepsWhatIsNotItsSection(t *testing.T) {
	t.Parallel()
	table, library := published(t)
	const text = "before\n## Held against a real cluster\n\nearlier rows\n\n## As documented\nafter\n"
	r := &compare.Result{Scenario: "install", Steps: 5, Same: map[compare.Kind]int{compare.Printed: 7}, Differences: []compare.Difference{{Published: 1}}}
	got, err := compare.Page(text, table, library, []*compare.Result{r})
	if err != nil || strings.Contains(got, "earlier rows") || !strings.HasPrefix(got, "before\n") || !strings.HasSuffix(got, "\n## As documented\nafter\n") ||
		!strings.Contains(got, "\n| [install](../scenarios/install.md) | 5 | 7 lines | 1 |\n") {
		t.Errorf("%v\n%s", err, got)
	}
	if again, err := compare.Page(got, table, library, nil); err != nil || again != got {
		t.Errorf("without results the rows do not stay: %v\n%s", err, again)
	}
	if _, err := compare.Page("another page", table, library, nil); err == nil {
		t.Error("it writes into any page")
	}
}

func published(t *testing.T) (compare.Table, []*engine.Scenario) {
	t.Helper()
	table, err := compare.Published()
	if err != nil {
		t.Fatal(err)
	}
	library, err := scenarios.Library()
	if err != nil {
		t.Fatal(err)
	}
	return table, library
}
