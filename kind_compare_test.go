package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/scenarios"
	"github.com/dpesim/dpesim/sim/compare"
	"github.com/dpesim/dpesim/sim/simtest"
)

var update = flag.Bool("update", false, "write what was compared on kind into docs/fidelity.md")

// What an operator sees on kind and on the cluster in the process is alike, or as docs/fidelity.md says. The whole library takes ten
// minutes and wants a quiet machine: it is compared by hand, with -update to write the page.
func TestClustersDifferAsPublished(t *testing.T) {
	simtest.RequireBuilt(t, "kind")
	simtest.RequireBuilt(t, "compare")
	run := exec.CommandContext(t.Context(), compile(t, "dpesim", "."), "scenario", "run", "--all", "--compare", "inprocess,kind",
		"--kind-name", fmt.Sprintf("dpesim-compare-%d", os.Getpid()), "--timeout", "4m", "--bundle", "", "--output", "json")
	run.Dir, run.Stderr = t.TempDir(), t.Output()
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
	run.WaitDelay = time.Minute
	out, err := run.Output()
	if err != nil {
		t.Error(err)
	}
	var results []*compare.Result
	for line := range strings.Lines(string(out)) {
		var r compare.Result
		if json.Unmarshal([]byte(line), &r) == nil && r.Scenario != "" && r.Clusters[1] != "" { // else an event of the run
			results = append(results, &r)
			if err := r.Write(t.Output(), r.Clusters[0]+", "+r.Clusters[1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if t.Failed() {
		return
	}

	table, err := compare.Published()
	if err != nil {
		t.Fatal(err)
	}
	library, err := scenarios.Library()
	if err != nil {
		t.Fatal(err)
	}
	const path = "docs/fidelity.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := compare.Page(string(page), table, library, results)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	lines := regexp.MustCompile(`\b\d+ lines\b`) // some more or less from run to run
	if d := cmp.Diff(lines.ReplaceAllString(want, "N lines"), lines.ReplaceAllString(string(page), "N lines")); d != "" {
		t.Errorf("%s is not up to date: -update writes it\n%s", path, d)
	}
}
