package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The benchmarks below measure the built program as a user meets it. Run them with
//
//	go test -run '^$' -bench Program -benchtime 5x .

// build builds the program once per benchmark and reports its size.
func build(b *testing.B) string {
	b.Helper()
	return compile(b, "dpesim", "-trimpath", "-ldflags=-s -w", ".")
}

// resident gives p's resident memory in bytes.
func (p *process) resident() float64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.tb.Skip("resident memory is read from /proc")
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if kb, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(kb, "kB")), 64)
			if err != nil {
				p.tb.Fatal(err)
			}
			return n * 1024
		}
	}
	p.tb.Fatal("no VmRSS")
	return 0
}

func median(d []time.Duration) float64 {
	slices.Sort(d)
	return float64(d[len(d)/2].Microseconds()) / 1000
}

// BenchmarkProgramUp measures `up` until it is ready, cluster included, and until it has stopped after Ctrl-C.
func BenchmarkProgramUp(b *testing.B) {
	exe := build(b)
	info, err := os.Stat(exe)
	if err != nil {
		b.Fatal(err)
	}
	var ready, stop []time.Duration
	for b.Loop() {
		p, r := start(b, exe)
		ready, stop = append(ready, r), append(stop, p.stop())
	}
	b.ReportMetric(median(ready), "ready-ms")
	b.ReportMetric(median(stop), "stop-ms")
	b.ReportMetric(float64(info.Size())/(1<<20), "binary-MiB")
}

// BenchmarkProgramIdle measures the resident memory with one environment and five connected replicas.
func BenchmarkProgramIdle(b *testing.B) {
	exe := build(b)
	for b.Loop() {
		p, _ := start(b, exe)
		p.run("environment", "create", "Idle", "--release", "15.3.0")
		p.install("idle", "Five", "five", "15.3.0", 5)
		p.run("wait", "idle/five")
		b.ReportMetric(p.resident()/(1<<20), "rss-MiB")
		p.stop()
	}
}

// BenchmarkProgramDemo measures `demo --once`, the whole lifecycle.
func BenchmarkProgramDemo(b *testing.B) {
	exe := build(b)
	var took []time.Duration
	for b.Loop() {
		from := time.Now()
		cmd := exec.Command(exe, "demo", "--once")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("demo: %v\n%s", err, out)
		}
		took = append(took, time.Since(from))
	}
	b.ReportMetric(median(took), "demo-ms")
}

// BenchmarkProgramScenarios measures the built-in scenarios against their limits: all of them on two cores in 60 s, the
// lifecycle in 3 s, ninety days in 1 s. The last two are what the scenario takes by its own account, without the simulator's start.
func BenchmarkProgramScenarios(b *testing.B) {
	exe := build(b)
	run := func(b *testing.B, args ...string) []byte {
		b.Helper()
		cmd := exec.Command(exe, append([]string{"scenario", "run", "-o", "json"}, args...)...)
		out, err := cmd.Output()
		if err != nil {
			b.Fatalf("scenario run %v: %v\n%s", args, err, out)
		}
		return out
	}
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			run(b, "--all", "--parallel", "2")
		}
		b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/60, "of_60s")
	})
	for _, one := range []struct {
		name   string
		limit  time.Duration
		metric string
	}{{"lifecycle", 3 * time.Second, "of_3s"}, {"ninety-days-later", time.Second, "of_1s"}} {
		b.Run(one.name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				for line := range strings.Lines(string(run(b, one.name))) {
					var e struct {
						Event   string  `json:"event"`
						Elapsed float64 `json:"elapsed_seconds"`
					}
					if err := json.Unmarshal([]byte(line), &e); err != nil {
						b.Fatal(err)
					}
					if e.Event == "scenario_finished" {
						took = append(took, time.Duration(e.Elapsed*float64(time.Second)))
					}
				}
			}
			b.ReportMetric(median(took), "ms")
			b.ReportMetric(median(took)/float64(one.limit.Milliseconds()), one.metric)
		})
	}
}
