package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim/simtest"
)

// BenchmarkClusters measures the same scenarios on the cluster in the process and on kind, in seconds, and the ratio of both; and
// what kind takes of memory with one engine. Run it on a quiet machine:
//
//	DPESIM_TEST_REQUIRE=kind go test -run '^$' -bench Clusters -benchtime 1x -timeout 30m .
func BenchmarkClusters(b *testing.B) {
	simtest.RequireBuilt(b, "kind")
	exe := build(b)
	twenty, err := filepath.Abs("testdata/twenty.md")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		name := fmt.Sprintf("dpesim-bench-%d", os.Getpid())
		b.Cleanup(func() { _ = exec.Command(exe, "cluster", "remove", "--kind-name", name).Run() })
		measured := map[string][]float64{}
		for _, cluster := range [][]string{{"--cluster", "inprocess"}, {"--cluster", "kind", "--kind-name", name, "--keep-cluster"}} {
			p, ready := start(b, exe, cluster...)
			measured["up"] = append(measured["up"], ready.Seconds())
			p.run("environment", "create", "Acme", "--release", "15.3.0")
			if cluster[1] == "kind" {
				p.install("acme", "Finance", "finance", "15.3.0", 1)
				p.run("wait", "acme/finance")
				b.ReportMetric(memoryOfNode(b, name+"-control-plane"), "node-MiB")
				b.ReportMetric(memoryOfEngine(b, name+"-control-plane"), "engine-MiB")
			}
			p.stop()
			for scenario, steps := range map[string][]string{"install": {"Install", "Verify"}, "lifecycle": nil, twenty: {"Roll"}} {
				what := strings.TrimSuffix(filepath.Base(scenario), ".md")
				measured[what] = append(measured[what], played(b, exe, scenario, steps, cluster))
			}
		}
		for what, m := range measured {
			b.ReportMetric(m[0], what+"-inprocess-s")
			b.ReportMetric(m[1], what+"-kind-s")
			b.ReportMetric(m[1]/m[0], what+"-ratio")
		}
	}
}

// played plays a scenario and gives how long steps of it took, nil: all, in seconds.
func played(b *testing.B, exe, scenario string, steps, cluster []string) (seconds float64) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), exe, append([]string{"scenario", "run", scenario, "--timeout", "10m", "--bundle", "", "--output", "json"}, cluster...)...)
	cmd.Dir, cmd.Stderr = b.TempDir(), b.Output()
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		var e struct {
			Event, Step string
			Elapsed     float64 `json:"elapsed_seconds"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			b.Fatal(err)
		}
		if e.Event == "step_finished" && (steps == nil || slices.Contains(steps, e.Step)) {
			seconds += e.Elapsed
		}
	}
	return seconds
}

// memoryOfNode gives what a node's container uses, in MiB.
func memoryOfNode(b *testing.B, node string) float64 {
	b.Helper()
	out, err := exec.CommandContext(b.Context(), "docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", node).Output()
	if err != nil {
		b.Fatal(err)
	}
	used, _, _ := strings.Cut(string(out), " ")
	for unit, factor := range map[string]float64{"MiB": 1, "GiB": 1024} {
		if n, err := strconv.ParseFloat(strings.TrimSuffix(used, unit), 64); err == nil {
			return n * factor
		}
	}
	b.Fatalf("docker stats says %q", out)
	return 0
}

// memoryOfEngine gives the resident memory of the engine's process on a node, in MiB.
func memoryOfEngine(b *testing.B, node string) float64 {
	b.Helper()
	const script = `for p in /proc/[0-9]*; do case "$(tr '\0' ' ' < $p/cmdline)" in '/dpesim dpe run '*) sed -n 's/VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' $p/status;; esac; done 2>/dev/null`
	out, err := exec.CommandContext(b.Context(), "docker", "exec", node, "sh", "-c", script).Output()
	if err != nil {
		b.Fatal(err)
	}
	kb, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil {
		b.Fatalf("%q: %v", out, err)
	}
	return kb / 1024
}
