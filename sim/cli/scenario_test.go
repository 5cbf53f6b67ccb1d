package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cli"
	"github.com/dpesim/dpesim/sim/simtest"
)

// file writes a file into the world's directory and gives its name.
func (w world) file(name, text string) string {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return name
}

// scenario is a file with one step for each list of shell lines.
func scenario(steps ...string) string {
	var b strings.Builder
	b.WriteString("---\ntitle: A test\nsummary: For a test.\n---\n")
	for i, s := range steps {
		fmt.Fprintf(&b, "\n## Step %d\n\n```sh run\n%s\n```\n", i+1, s)
	}
	return b.String()
}

func TestScenarioThatFailsNamesStepAndLine(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	w.file("good.md", scenario("dpesim environment create Acme", "dpesim environment get acme"))
	w.file("bad.md", scenario("dpesim environment list", "dpesim environment get nowhere"))
	r := w.run("scenario", "run", "bad.md", "good.md")
	if r.code != 1 || !strings.Contains(r.stderr, "1 of 2 scenarios failed") {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
	for _, says := range []string{"bad.md:15", "Step 2", "nowhere", "Step 1"} {
		if !strings.Contains(r.stdout, says) {
			t.Errorf("the report does not say %q:\n%s", says, r.stdout)
		}
	}
	w.file("broken.md", scenario("if true"))
	w.fails(3, []string{"broken.md:"}, "scenario", "run", "good.md", "broken.md") // and none of them ran
}

// Nothing that a person has set up is touched by a scenario.
func TestScenarioLeavesTheRunningSimulatorAlone(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	w := with(t, s)
	w.file("s.md", scenario("dpesim environment create Acme\ndpesim endpoints -o json\nkubectl get nodes"))
	before, err := os.ReadFile(w.env["DPESIM_ENDPOINTS"])
	if err != nil {
		t.Fatal(err)
	}
	w.ok("scenario", "run", "s.md")
	w.ok("exec", "--", "env")
	if after, err := os.ReadFile(w.env["DPESIM_ENDPOINTS"]); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the endpoints file was\n%s\nand is\n%s\n%v", before, after, err)
	}
	if got := w.ok("environment", "list", "-o", "json"); got != "[]\n" {
		t.Errorf("the running simulator has %s", got)
	}
}

func TestExecGivesEndpointsAndPassesTheExitCode(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	for _, code := range []int{0, 3} {
		r := w.run("exec", "--", "sh", "-c", fmt.Sprintf("env; cat $DPESIM_ENDPOINTS; test -s $DPESIM_CA; test -s $KUBECONFIG; exit %d", code))
		if r.code != code {
			t.Errorf("exit code %d, want %d\n%s%s", r.code, code, r.stdout, r.stderr)
		}
		for _, name := range []string{"DPESIM_SERVER=http://", "DPESIM_ENDPOINTS=/", "DPESIM_CA=/", "DPESIM_REGISTRY=localhost:", "DPESIM_PROXY=http://", "KUBECONFIG=/", `"portal": "http://`} {
			if !strings.Contains(r.stdout, name) {
				t.Errorf("the command does not see %s:\n%s", name, r.stdout)
			}
		}
	}
	w.fails(1, []string{"there is no program no-such-program"}, "exec", "--", "no-such-program")
	w.file("run.sh", "#!/bin/sh\nexit 4\n")
	if err := os.Chmod(filepath.Join(w.dir, "run.sh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if r := w.run("exec", "--", "./run.sh"); r.code != 4 {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
}

func TestDemoOnceIsTheLifecycleInJSONLines(t *testing.T) {
	t.Parallel()
	out := nowhere(t).ok("demo", "--once", "-o", "json")
	n := 0
	for line := range strings.Lines(out) {
		n++
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	if n < 10 {
		t.Errorf("%d lines:\n%s", n, out)
	}
}

func TestEngineWithoutItsConfigurationSaysSoInOneLine(t *testing.T) {
	t.Parallel()
	r := nowhere(t).run("dpe", "run")
	first, rest, _ := strings.Cut(r.stderr, "\n")
	if r.code != 1 || !strings.HasPrefix(first, "Error: ") || !strings.Contains(first, "/etc/dpe/") || strings.Count(rest, "\n") > 1 || r.stdout != "" {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
}

// lines is a writer that tells when a line that contains something has come.
type lines struct {
	mu    sync.Mutex
	text  strings.Builder
	waits map[string]chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	for s, c := range l.waits {
		if strings.Contains(l.text.String(), s) {
			close(c)
			delete(l.waits, s)
		}
	}
	return len(p), nil
}

// String gives all that was written.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// wait waits until s was written.
func (l *lines) wait(t *testing.T, s string) {
	t.Helper()
	c := make(chan struct{})
	l.mu.Lock()
	if strings.Contains(l.text.String(), s) {
		close(c)
	} else {
		if l.waits == nil {
			l.waits = map[string]chan struct{}{}
		}
		l.waits[s] = c
	}
	l.mu.Unlock()
	select {
	case <-c:
	case <-time.After(30 * time.Second):
		t.Fatalf("%q was not written in half a minute:\n%s", s, l)
	}
}

func TestTimelineFollowsUntilInterrupted(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	w := with(t, s)
	ctx, interrupt := context.WithCancel(t.Context())
	var out lines
	var stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Main(ctx, w.environment([]string{"timeline", "--follow", "--environment", "acme", "-o", "json"}, &out, &stderr))
	}()
	s.Environment(t, api.EnvironmentSpec{Name: "Acme"})
	out.wait(t, "environment ready")
	interrupt()
	if code := <-ended; code != 0 || stderr.Len() > 0 {
		t.Errorf("exit code %d\n%s", code, stderr.String())
	}
	for line := range strings.Lines(out.String()) {
		if e := decode[sim.Event](t, line); e.Environment != "acme" {
			t.Errorf("an event of another environment: %s", line)
		}
	}
}

// An interrupt in mid-step runs what cleans up, against a simulator that is still there, and leaves nothing.
func TestInterruptedScenarioCleansUp(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	record := filepath.Join(w.dir, "record")
	w.file("s.md", scenario("dpesim environment create Acme", "touch "+record+".started\ndpesim wait acme/nobody --timeout 1m || dpesim timeline --follow")+
		"\n```sh finally\ndpesim environment list -o json > "+record+"\necho \"$DPESIM_ENDPOINTS\" > "+record+".endpoints\n```\n")
	ctx, interrupt := context.WithCancel(t.Context())
	var stdout, stderr lines
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Main(ctx, w.environment([]string{"scenario", "run", "s.md"}, &stdout, &stderr))
	}()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(record + ".started"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the step did not start:\n%s%s", &stdout, &stderr)
		}
	}
	interrupt()
	if code := <-ended; code != 130 || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("exit code %d\n%s", code, &stderr)
	}
	cleaned, err := os.ReadFile(record)
	if err != nil {
		t.Fatalf("the clean-up did not run: %v\n%s%s", err, &stdout, &stderr)
	}
	if envs := decode[[]api.Environment](t, string(cleaned)); len(envs) != 1 || envs[0].ID != "acme" {
		t.Errorf("the clean-up saw %s", cleaned)
	}
	at, err := os.ReadFile(record + ".endpoints")
	if err != nil {
		t.Fatal(err)
	}
	if dir := filepath.Dir(strings.TrimSpace(string(at))); !strings.Contains(dir, "dpesim-") {
		t.Errorf("the state was in %s", dir)
	} else if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", dir, err)
	}
}

// An interrupt reaches the command of exec, which may end as it likes; then the simulator goes.
func TestInterruptedExecLetsItsCommandEnd(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	ctx, interrupt := context.WithCancel(t.Context())
	var stdout, stderr lines
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Main(ctx, w.environment([]string{
			"exec", "--", "sh", "-c", `trap "echo cleaned up in $DPESIM_CA; exit 7" INT; echo started; while :; do sleep 0.02; done`,
		}, &stdout, &stderr))
	}()
	stdout.wait(t, "started")
	interrupt()
	if code := <-ended; code != 130 || !strings.Contains(stdout.String(), "cleaned up in /") {
		t.Errorf("exit code %d\n%s%s", code, &stdout, &stderr)
	}
}
