package cli_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim/cli"
)

func TestScenarioRunTellsBuildServers(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	summary := filepath.Join(w.dir, "summary.md")
	if err := os.WriteFile(summary, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.env["GITHUB_ACTIONS"], w.env["GITHUB_STEP_SUMMARY"] = "true", summary
	w.file("good.md", scenario("dpesim environment create Acme"))
	w.file("bad.md", scenario("dpesim version", "false", "true"))
	r := w.run("scenario", "run", "good.md", "bad.md", "--junit", "out.xml", "--parallel", "2")
	if r.code != 1 || r.stderr != "Error: 1 of 2 scenarios failed: bad.md\n" || !strings.Contains(r.stdout, "\n1 of 2 scenarios ok in ") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if !strings.Contains(r.stdout, "::error file=bad.md,line=15,title=bad.md%3A Step 2::exit status 1: false%0Aevents before this step") {
		t.Errorf("no annotation:\n%s", r.stdout)
	}
	for path, says := range map[string]string{
		filepath.Join(w.dir, "out.xml"): `<testsuites tests="4" failures="1" skipped="1"`,
		summary:                         "before\n### Scenarios",
	} {
		if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), says) {
			t.Errorf("%s: %v\n%s", path, err, text)
		}
	}
}

func TestScenarioRunPicksAndRepeats(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	tagged := func(name, tag string) {
		w.file(name, strings.Replace(scenario("say "+name), "title:", "tags: ["+tag+"]\ntitle:", 1))
	}
	tagged("a.md", "one")
	tagged("b.md", "two")
	out := w.ok("scenario", "run", "a.md", "b.md", "--tags", "two", "--repeat", "2", "--parallel", "1")
	if strings.Count(out, "b.md") != 2 || strings.Contains(out, "a.md") || !strings.Contains(out, "2 of 2 scenarios ok") {
		t.Error(out)
	}
	if out := w.ok("scenario", "run", "a.md", "b.md", "--shard", "3/3"); out != "" {
		t.Errorf("a shard without work prints %q", out)
	}
	r := w.run("scenario", "run", "a.md", "--shuffle", "7", "--no-exec")
	if r.code != 0 || r.stderr != "shuffled: run with --shuffle 7 for this order\n" {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
}

func TestScenarioRunSaysWhatItCannotDo(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	w.file("good.md", scenario("true"))
	w.file("kind.md", strings.Replace(scenario("true"), "title:", "clusters: [kind]\ntitle:", 1))
	w.file("program.md", scenario("env"))
	w.fails(2, []string{"no scenario to run"}, "scenario", "run")
	w.fails(2, []string{"neither a file nor built in"}, "scenario", "run", "nosuch")
	w.fails(2, []string{`"3/2" is no shard`}, "scenario", "run", "good.md", "--shard", "3/2")
	w.fails(2, []string{"use on, or a number"}, "scenario", "run", "good.md", "--shuffle", "yes")
	w.fails(2, []string{"--repeat cannot be 0"}, "scenario", "run", "good.md", "--repeat", "0")
	w.fails(2, []string{"no scenario has the tags nosuch"}, "scenario", "run", "good.md", "--tags", "nosuch")
	w.fails(2, []string{"--data is for one scenario"}, "scenario", "run", "good.md", "good.md", "--data", "d")
	w.fails(4, []string{`there is no cluster "moon"`}, "scenario", "run", "good.md", "--cluster", "moon")
	w.fails(4, []string{"written for clusters of another kind: kind"}, "scenario", "run", "kind.md")
	if r := w.run("scenario", "run", "program.md", "--no-exec"); r.code != 1 || !strings.Contains(r.stdout, "env: no such word; no programs run here") {
		t.Errorf("exit code %d\n%s", r.code, r.stdout)
	}
	if r := w.run("scenario", "run", "good.md", "--domain", "not a domain"); r.code != 6 || !strings.Contains(r.stdout, "FAILED after 0 of 1 steps") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	w.file("slow.md", scenario("dpesim environment create Acme", "dpesim timeline --follow"))
	if r := w.run("scenario", "run", "slow.md", "--timeout", "2s"); r.code != 5 || !strings.Contains(r.stdout, "not done after 2s: it was ended") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// --keep leaves the simulator as the failure left it, for a person to look at.
func TestScenarioRunKeepsWhatFailed(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	w.file("bad.md", scenario("dpesim environment create Acme", "false")+"\n```sh finally\ndpesim environment delete acme --yes\n```\n")
	ctx, interrupt := context.WithCancel(t.Context())
	var stdout, stderr lines
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Main(ctx, w.environment([]string{"scenario", "run", "bad.md", "--keep"}, &stdout, &stderr))
	}()
	stderr.wait(t, "export DPESIM_ENDPOINTS=")
	_, after, _ := strings.Cut(stderr.String(), "export DPESIM_ENDPOINTS=")
	path, _, _ := strings.Cut(after, "\n")
	if out := w.ok("environment", "get", "acme", "--endpoints-file", path, "-o", "json"); !strings.Contains(out, `"acme"`) {
		t.Error(out)
	}
	interrupt()
	if code := <-ended; code != 130 {
		t.Errorf("exit code %d\n%s%s", code, &stdout, &stderr)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", path, err)
	}
}

func TestScenarioShowPrintsTheFile(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	w.file("mine.md", w.ok("scenario", "show", "lifecycle"))
	if out := w.ok("scenario", "show", "mine.md"); !strings.HasPrefix(out, "---\ntitle: ") {
		t.Error(out)
	}
	w.fails(2, []string{"neither a file nor built in"}, "scenario", "show", "nosuch")
}

func TestScenarioTestProvesChecks(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	w.ok("scenario", "new", "mine.md")
	if out := w.ok("scenario", "test", "mine.md"); !strings.Contains(out, "2 of 2 scenarios ok") {
		t.Error(out)
	}
	w.file("bad.md", scenario("true")+"\n## Bad\n\n```sh solve\ndpesim environment create Acme\n```\n\n```sh check\ndpesim environment list\n```\n")
	if r := w.run("scenario", "test", "bad.md"); r.code != 1 || !strings.Contains(r.stdout, "bad.md:18: this check is green before the step is solved: it proves nothing") {
		t.Errorf("exit code %d\n%s", r.code, r.stdout)
	}
	w.ok("scenario", "run", "bad.md")
}

// What failed is explained by what the simulator knows: the events, why the objects involved are as they are, what their pods said.
func TestScenarioRunExplainsAFailure(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	w.file("bad.md", scenario("dpesim environment create Acme\ndpesim dpe add acme Finance --replicas 2", install+`
eventually 30s expect dpe/acme/finance status.replicas_connected=1
expect dpe/acme/finance status.state=connected`))
	r := w.run("scenario", "run", "bad.md", "--nodes", "1x2cpu,3Gi,500Gi")
	if r.code != 1 {
		t.Errorf("exit code %d", r.code)
	}
	for _, says := range []string{
		"status.state=connected: is partially_connected", // how it is instead
		"     events of this step (the last 10 of ", "engine connected",
		"     why dpe/acme/finance:\n", "1 Insufficient memory", "<- first cause", "What to do: make room",
		"     log of pod/dpe/finance-", "connected to dpm",
	} {
		if !strings.Contains(r.stdout, says) {
			t.Errorf("it does not say %q", says)
		}
	}
	if t.Failed() {
		t.Log(r.stdout)
	}
}

// install installs the DPE finance of acme as an operator does.
const install = `dpesim dpe values acme finance > values.yaml
dpesim dpe token acme finance > token
helm registry login "$DPESIM_REGISTRY" --username acme.finance --password-stdin --ca-file "$DPESIM_CA" < token
helm upgrade --install finance "oci://$DPESIM_REGISTRY/charts/dpe" --namespace dpe --create-namespace -f values.yaml --ca-file "$DPESIM_CA"`
