package portal_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/runs"
	"github.com/dpesim/dpesim/sim"
)

// follow gives what a run printed, by lines, and how it ended.
func follow(t *testing.T, c *api.Client, r api.Run) (string, api.Run) {
	t.Helper()
	var out strings.Builder
	last := must(c.FollowRun(t.Context(), r.Environment, r.DPE, r.ID, 0, func(l api.OutputLine) error {
		out.WriteString(l.Text + "\n")
		return nil
	}))(t)
	return out.String(), last
}

// What is printed is what runs, with the files that the portal gives for download.
func TestARunRunsWhatThePagePrints(t *testing.T) {
	t.Parallel()
	s, e, d := owned(t)
	ctx, ada := t.Context(), s.as("ada")
	printed := must(must(ada.Commands(ctx, e.ID, d.Label))(t).Variant(api.VariantDirect))(t)
	want := map[api.Task][]api.Command{
		api.TaskInstall: append(printed.Prepare, printed.Install...), api.TaskVerify: printed.Verify,
		api.TaskRollback: printed.Rollback, api.TaskUninstall: printed.Uninstall[:1],
	}
	for i, task := range api.Tasks() {
		out, r := follow(t, ada, must(ada.StartRun(ctx, e.ID, d.Label, api.RunSpec{Task: task}))(t))
		if r.State != api.RunSucceeded || r.ExitCode == nil || *r.ExitCode != 0 || r.By != "ada" || r.Ended == nil || r.Revision != 1 {
			t.Errorf("%s: %+v", task, r)
		}
		var commands []string
		var shown strings.Builder
		for k, c := range want[task] {
			commands = append(commands, c.Command)
			fmt.Fprintf(&shown, "$ %s\ncommand %d ran\n", c.Command, k+1)
		}
		w := s.runner.works()[i]
		if diff := cmp.Diff(commands, w.Commands); diff != "" {
			t.Errorf("commands of %s (-printed +run):\n%s", task, diff)
		}
		if out != shown.String() {
			t.Errorf("%s prints\n%s", task, out)
		}
		if got := must(ada.Run(ctx, e.ID, d.Label, r.ID))(t); got.Output != out {
			t.Errorf("%s printed\n%s", task, got.Output)
		}
		files := map[string]string{}
		for name, content := range w.Files {
			files[name] = content.Reveal()
		}
		own := map[string]string{
			"values.yaml": string(must(ada.Values(ctx, e.ID, d.Label, ""))(t)), "registry-token": must(ada.RegistryToken(ctx, e.ID, d.Label))(t).Reveal(), "ca.pem": testCA,
		}
		if diff := cmp.Diff(own, files); diff != "" {
			t.Errorf("files of %s (-downloaded +run):\n%s", task, diff)
		}
	}
	list := must(ada.Runs(ctx, e.ID, d.Label))(t)
	if len(list) != 4 || list[0].Task != api.TaskUninstall || list[3].ID != "run-1" || list[0].Output != "" {
		t.Errorf("listed are %+v", list)
	}
}

// The audit log and the timeline tell who ran what, and how it ended; what happens in the cluster follows from it.
func TestARunIsToldWithoutSecrets(t *testing.T) {
	t.Parallel()
	s, e, d := owned(t)
	ctx, otto := t.Context(), s.as("otto")
	token := must(otto.RegistryToken(ctx, e.ID, d.Label))(t).Reveal()
	s.runner.does(func(_ context.Context, w runs.Work) (int, error) {
		w.Begin(0)
		fmt.Fprintf(w.Output, "the token is %s, in base64 %s\n", token, base64.StdEncoding.EncodeToString([]byte("user:"+token)))
		w.Begin(1)
		fmt.Fprint(w.Output, "Error: no such thing")
		return 3, nil
	})
	out, r := follow(t, otto, must(otto.StartRun(ctx, e.ID, d.Label, api.RunSpec{Task: api.TaskInstall}))(t))
	if r.State != api.RunFailed || *r.ExitCode != 3 || !strings.HasPrefix(r.Command, "helm upgrade --install finance ") || r.Reason != "" {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(out, "the token is [redacted], in base64 dXNlcj") || !strings.HasSuffix(out, "\nError: no such thing\n") {
		t.Errorf("printed\n%s", out)
	}
	ended := s.wait(t, func(e sim.Event) bool { return e.What == "commands ended" })
	started := s.bus.Since(ended.Cause - 1)[0]
	if started.What != "commands started" || started.Detail["by"] != "otto" || started.Detail["task"] != "install" || started.DPE != d.Label || s.runner.works()[0].Cause != started.Seq {
		t.Errorf("started: %+v", started)
	}
	if ended.Detail["state"] != "failed" || ended.Detail["exit_code"] != "3" {
		t.Errorf("ended: %+v", ended)
	}
	entries := must(s.as("ada").Audit(ctx, api.AuditFilter{Environment: e.ID, Limit: 2}))(t)
	for i, want := range []string{"commands ended", "commands started"} {
		if x := entries[i]; x.Action != want || x.User != "otto" || x.DPE != d.Label || x.Detail["task"] != "install" || x.Source == "" || want == "commands ended" && x.Detail["exit_code"] != "3" {
			t.Errorf("audited is %+v, want %s", x, want)
		}
	}
	for what, text := range map[string]string{"output": out, "log": s.log.String(), "events": asJSON(t, s.bus.Since(0)), "audit log": asJSON(t, entries)} {
		if strings.Contains(text, token) {
			t.Errorf("the token is in the %s", what)
		}
	}
}

// hang prints a line and waits to be interrupted, as helm --wait does.
func hang(ctx context.Context, w runs.Work) (int, error) {
	w.Begin(0)
	fmt.Fprintln(w.Output, "waiting")
	<-ctx.Done()
	fmt.Fprintln(w.Output, "interrupted")
	return 0, ctx.Err()
}

func TestOneRunOfADPEAtATimeAndItCanBeCancelled(t *testing.T) {
	t.Parallel()
	s, e, d := owned(t)
	ctx, ada := t.Context(), s.as("ada")
	s.runner.does(hang)
	first := must(s.as("otto").StartRun(ctx, e.ID, d.Label, api.RunSpec{Task: api.TaskInstall}))(t)
	_, err := ada.StartRun(ctx, e.ID, d.Label, api.RunSpec{Task: api.TaskVerify})
	words(t, err, sim.Conflict, "otto started the task install of DPE finance at 2026-03-04T09:00:00Z, and it still runs",
		"wait until it has ended, or cancel it: 'dpesim dpe run-commands prod finance --cancel'")
	other := must(ada.AddDPE(ctx, e.ID, api.DPESpec{Name: "HR"}))(t)
	second := must(ada.StartRun(ctx, e.ID, other.Label, api.RunSpec{Task: api.TaskInstall}))(t)

	must(ada.CancelRun(ctx, e.ID, d.Label, first.ID))(t)
	out, r := follow(t, ada, first)
	if r.State != api.RunCancelled || r.Reason != "ada cancelled it" || r.ExitCode != nil || !strings.HasSuffix(out, "\nwaiting\ninterrupted\n") {
		t.Errorf("%+v\n%s", r, out)
	}
	if got := must(ada.CancelRun(ctx, e.ID, d.Label, first.ID))(t); got.State != api.RunCancelled {
		t.Errorf("cancelled again: %+v", got)
	}
	s.runner.does(nil)
	if _, r := follow(t, ada, must(ada.StartRun(ctx, e.ID, d.Label, api.RunSpec{Task: api.TaskInstall}))(t)); r.State != api.RunSucceeded {
		t.Errorf("the next: %+v", r)
	}

	if err := ada.RemoveDPE(ctx, e.ID, other.Label, 0); err != nil {
		t.Fatal(err)
	}
	if e := s.wait(t, func(e sim.Event) bool { return e.What == "commands ended" && e.DPE == other.Label }); e.Detail["reason"] != "the DPE was removed" || e.Detail["run"] != second.ID {
		t.Errorf("%+v", e)
	}
	_, err = ada.Run(ctx, e.ID, d.Label, second.ID)
	words(t, err, sim.NotFound, `there is no run "run-2" of DPE finance`, "the last 5 of a DPE are remembered, until the simulator stops")
}

func TestWhatCannotBeRunSaysWhy(t *testing.T) {
	t.Parallel()
	s, e, d := owned(t)
	ctx := t.Context()
	_, err := s.StartRun(ctx, e.ID, d.Label, api.RunSpec{Task: "dance"})
	words(t, err, sim.Invalid, `there is no task "dance"`, "the tasks are [install verify rollback uninstall]")
	_, err = s.as("mia").StartRun(ctx, e.ID, d.Label, api.RunSpec{Task: api.TaskInstall})
	words(t, err, sim.Forbidden, "Mia Member may not do this", "only the environment's owner and organisation admins may: ask one of them, or sign in as another user")
	s.runner.does(func(context.Context, runs.Work) (int, error) { return 0, errors.New("the disk is full") })
	if _, r := follow(t, s.Client, must(s.StartRun(ctx, e.ID, d.Label, api.RunSpec{Task: api.TaskInstall}))(t)); r.State != api.RunFailed || r.Reason == "" || r.ExitCode != nil {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(s.log.String(), "the disk is full") {
		t.Error("why it could not run is not in the log")
	}

	o, alone := options(t, filepath.Join(t.TempDir(), "portal.db"))
	o.Runner = nil
	alone.serve(t, o)
	alone.environment(t, api.EnvironmentSpec{Name: "Prod"})
	must(alone.AddDPE(ctx, "prod", api.DPESpec{Name: "Finance"}))(t)
	_, err = alone.StartRun(ctx, "prod", "finance", api.RunSpec{Task: api.TaskInstall})
	words(t, err, sim.Unavailable, "this simulator cannot run commands by itself", "copy them, and run them in a terminal: 'dpesim dpe commands prod finance' prints them")
}

// A browser whose connection broke goes on after the last line that it saw.
func TestTheStreamOfARunResumes(t *testing.T) {
	t.Parallel()
	s, e, d := owned(t)
	r := must(s.StartRun(t.Context(), e.ID, d.Label, api.RunSpec{Task: api.TaskInstall}))(t)
	follow(t, s.Client, r)
	for path, want := range map[string]string{
		"/api/v1/environments/prod/dpes/finance/runs/" + r.ID + "/output": `{"line":4,"text":"command 2 ran"}`,
	} {
		req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+path, nil))(t)
		req.Header.Set("Authorization", "Bearer "+operator.Reveal())
		req.Header.Set("Last-Event-ID", "3")
		res := must(s.HTTP.Do(req))(t)
		b := must(io.ReadAll(res.Body))(t)
		_ = res.Body.Close()
		if first, rest, _ := strings.Cut(string(b), "\n\n"); !strings.HasSuffix(first, "id: 4\ndata: "+want) || !strings.HasPrefix(rest, "event: ended\ndata: {") || strings.Contains(string(b), "id: 3") {
			t.Errorf("%s: %s", path, b)
		}
	}
}

// A run ends with the simulator, and its end is in the audit log.
func TestARunEndsWithThePortal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "portal.db")
	o, s := options(t, path)
	s.runner.does(hang)
	stop := s.open(t, o)
	s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	must(s.AddDPE(t.Context(), "prod", api.DPESpec{Name: "Finance"}))(t)
	must(s.StartRun(t.Context(), "prod", "finance", api.RunSpec{Task: api.TaskInstall}))(t)
	stop()
	again := startAt(t, path)
	if got := must(again.Audit(t.Context(), api.AuditFilter{Limit: 1}))(t)[0]; got.Action != "commands ended" || got.Detail["state"] != "cancelled" || got.Detail["reason"] != "the simulator stopped" {
		t.Errorf("%+v", got)
	}
}
