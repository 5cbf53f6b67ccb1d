package cli_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/simtest"
)

// The commands run here are a test's own: root's tests run the real ones.
func TestRunCommandsPrintsWhatTheyPrintAndExitsAsTheyDo(t *testing.T) {
	t.Parallel()
	c := simtest.Config(t)
	c.Shell = func(ctx context.Context, _ string, _ map[string]string, command string, out io.Writer) (int, error) {
		switch {
		case strings.Contains(command, "uninstall"):
			fmt.Fprintln(out, "Error: uninstall: Release not loaded: finance: release: not found")
			return 5, nil
		case strings.Contains(command, "rollback"):
			<-ctx.Done()
			fmt.Fprintln(out, "Release finance has been cancelled.")
			return 0, ctx.Err()
		}
		fmt.Fprintln(out, "done")
		return 0, nil
	}
	s := simtest.StartConfig(t, c)
	w := with(t, s)
	w.ok("environment", "create", "Acme")
	w.ok("wait", "acme")
	w.ok("dpe", "add", "acme", "Finance")
	w.fails(1, []string{"no commands of DPE finance were run since the simulator started"}, "dpe", "run-commands", "acme", "finance", "--last")

	out := w.ok("dpe", "run-commands", "acme", "finance")
	if !strings.HasPrefix(out, "$ helm registry login ") || !strings.HasSuffix(out, "--wait --timeout 5m\ndone\n") {
		t.Errorf("printed\n%s", out)
	}
	if again := w.ok("dpe", "run-commands", "acme", "finance", "--last"); again != out {
		t.Errorf("the last run printed\n%s", again)
	}
	r := w.run("dpe", "run-commands", "acme", "finance", "uninstall")
	if r.code != 5 || !strings.HasSuffix(r.stdout, "\nError: uninstall: Release not loaded: finance: release: not found\n") ||
		!strings.HasPrefix(r.stderr, `Error: the run failed: exit code 5 of "helm uninstall finance --namespace dpe --wait --timeout 5m"`) || !strings.Contains(r.stderr, "it is gone already") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	w.fails(1, []string{`there is no task "dance"`, "the tasks are"}, "dpe", "run-commands", "acme", "finance", "dance")
	w.fails(1, []string{"no commands of DPE finance are running", "the task uninstall: failed"}, "dpe", "run-commands", "acme", "finance", "--cancel")
	w.fails(2, []string{"usage: dpesim dpe run-commands ENVIRONMENT LABEL [TASK]"}, "dpe", "run-commands", "acme")
	w.fails(2, []string{"usage: "}, "dpe", "run-commands", "acme", "finance", "install", "--last")

	// Interrupting the command line cancels what it started.
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan result, 1)
	go func() { ended <- w.runContext(ctx, "dpe", "run-commands", "acme", "finance", "rollback") }()
	events := s.Bus().Subscribe(0)
	next := func(what string) sim.Event {
		for {
			e, err := events.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if e.What == what && e.Detail["task"] == "rollback" {
				return e
			}
		}
	}
	next("commands started")
	w.fails(1, []string{"tess started the task rollback of DPE finance at ", "and it still runs"}, "dpe", "run-commands", "acme", "finance")
	interrupt()
	if r := <-ended; r.code != 130 || !strings.Contains(r.stderr, "cancelling the commands\n") || !strings.HasSuffix(r.stdout, "\nRelease finance has been cancelled.\n") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if e := next("commands ended"); e.Detail["reason"] != "tess cancelled it" {
		t.Errorf("%+v", e)
	}
}
