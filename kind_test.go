package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dpesim/dpesim/scenarios"
	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/rehearse"
	"github.com/dpesim/dpesim/sim/simtest"
	"github.com/dpesim/dpesim/sim/stack"
)

// On a real cluster the built-in scenarios that name kind run unchanged, with the engines in containers that a kubelet pulled
// from the simulator's registry. Before that a simulator is killed: the next one recognises the cluster that it left, and
// removes it.
func TestScenariosOnKind(t *testing.T) { // not parallel: one cluster takes what the machine has
	simtest.RequireBuilt(t, "kind")
	exe := compile(t, "dpesim", ".")
	name := fmt.Sprintf("dpesim-test-%d", os.Getpid())
	dir := t.TempDir()
	command := func(args ...string) (*exec.Cmd, *bytes.Buffer) {
		cmd := exec.CommandContext(t.Context(), exe, append(args, "--cluster", "kind", "--kind-name", name)...)
		out := &bytes.Buffer{}
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		cmd.WaitDelay = time.Minute
		return cmd, out
	}

	file := filepath.Join(dir, "endpoints.json")
	killed, said := command("up", "--http", "localhost:0", "--tls", "localhost:0", "--endpoints-file", file)
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	machine := clock.New()
	for {
		if _, err := stack.ReadEndpoints(file); err == nil {
			break
		}
		if machine.Sleep(limited, 100*time.Millisecond) != nil {
			_ = killed.Process.Kill()
			_ = killed.Wait()
			t.Fatalf("not up on kind:\n%s", said)
		}
	}
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait() // "signal: killed" is what we want

	args := []string{"scenario", "run", "--timeout", "4m"}
	for _, n := range scenarios.Names() {
		src, err := scenarios.Source(n)
		if err != nil {
			t.Fatal(err)
		}
		sc, err := engine.Parse(n, src)
		if err != nil {
			t.Fatal(err)
		}
		if len(sc.Clusters) > 0 && rehearse.Suits(sc, rehearse.Kind) {
			args = append(args, n)
		}
	}
	run, out := command(args...)
	err := run.Run()
	t.Log(out)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "kind: removing the cluster that an earlier run has left") {
		t.Error("the cluster of the killed one was not recognised")
	}
	left, err := exec.CommandContext(t.Context(), "docker", "ps", "--all", "--format", "{{.Names}}").Output()
	if err != nil || strings.Contains(string(left), name) {
		t.Errorf("left are %q, %v", left, err)
	}
}
