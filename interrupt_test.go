package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// stopsSoon is far more than a stop takes, for a machine that is busy. What is asserted is that it comes at all, and what
// is left; BenchmarkProgramUp measures how long it takes.
const stopsSoon = 15 * time.Second

// TestInterruptStopsUpWhileEnginesRunAndHelmWaits interrupts `up` twice in the middle of its work.
func TestInterruptStopsUpWhileEnginesRunAndHelmWaits(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	p, _ := start(t, "dpesim")
	p.run("environment", "create", "Acme", "--release", "15.3.0")
	p.install("acme", "Finance", "finance", "15.3.0", 2)
	p.run("wait", "acme/finance")

	// An engine whose DPE was removed meanwhile never becomes ready: helm waits for it.
	p.run("dpe", "add", "acme", "Removed")
	p.write("removed.yaml", p.run("dpe", "values", "acme", "removed"))
	p.run("helm", "get", "manifest", "finance", "--namespace", "dpe")
	p.run("helm", "pull", "oci://"+p.endpoints().RegistryHost()+"/charts/dpe", "--version", "15.3.0", "--ca-file", p.endpoints().CA)
	p.run("dpe", "remove", "acme", "removed", "--yes")
	helm := p.command("helm", "install", "removed", "dpe-15.3.0.tgz", "--namespace", "dpe", "--values", "removed.yaml", "--wait", "--timeout", "60s")
	if err := helm.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the pod that helm waits for is there", func() bool {
		return strings.Contains(p.run("kubectl", "get", "pods", "--namespace", "dpe", "--output", "name"), "removed")
	})

	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	took := p.stop() // the second interrupt
	t.Logf("stopped after %s", took)
	if took > stopsSoon {
		t.Errorf("stopping took %s", took)
	}
	_ = helm.Process.Signal(os.Interrupt) // it may have ended with the cluster
	if helm.Wait() == nil {
		t.Error("helm says that it has installed what cannot become ready")
	}
	if _, err := os.Stat(p.file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the endpoints file is left: %v", err)
	}
	nothingLeft(t, tmp)
}

// TestInterruptedDemoLeavesNothing interrupts `demo` twice while helm installs.
func TestInterruptedDemoLeavesNothing(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	stdout, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	cmd := exec.Command("dpesim", "demo", "--once")
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := func() string {
		b, err := os.ReadFile(stdout.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	until(t, "helm installs", func() bool { return strings.Contains(said(), "Install it with Helm") })
	from := time.Now()
	for range 2 {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
	}
	err = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("ended with %v\n%s%s", err, said(), stderr.String())
	}
	if took := time.Since(from); took > stopsSoon {
		t.Errorf("stopping took %s", took)
	}
	nothingLeft(t, tmp)
}

// until waits for half a minute at most until holds does.
func until(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("%s: not so in half a minute", what)
		}
	}
}

// nothingLeft makes sure that no state and, where the system tells, no process is left of programs whose temporary
// directory was tmp.
func nothingLeft(t *testing.T, tmp string) {
	t.Helper()
	if left, err := filepath.Glob(filepath.Join(tmp, "dpesim-*")); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v %v", left, err)
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range processes {
		environ, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil { // somebody else's, or gone meanwhile
			continue
		}
		if bytes.Contains(environ, []byte("TMPDIR="+tmp+"\x00")) {
			name, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
			t.Errorf("process %s is left: %s", filepath.Base(dir), bytes.ReplaceAll(name, []byte{0}, []byte{' '}))
		}
	}
}
