package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/scenarios/verb"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cli"
	"github.com/dpesim/dpesim/sim/residue"
	"github.com/dpesim/dpesim/sim/simtest"
	"github.com/dpesim/dpesim/sim/why"
)

// TestMain lets this test binary be helm and kubectl.
func TestMain(m *testing.M) {
	if code, ok := verb.Dispatch(os.Args); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// world is where commands of a test run.
type world struct {
	t   *testing.T
	env map[string]string
	dir string

	contained error // why the program cannot run in a container
}

// nowhere is a world without a simulator.
func nowhere(t *testing.T) world {
	t.Helper()
	dir := t.TempDir()
	return world{t: t, dir: dir, env: map[string]string{"DPESIM_ENDPOINTS": filepath.Join(dir, "endpoints.json"), "PATH": os.Getenv("PATH")}}
}

// with is a world with a simulator, whose endpoints file is there.
func with(t *testing.T, s *simtest.Sim) world {
	t.Helper()
	w := nowhere(t)
	if err := s.Endpoints().WriteFile(w.env["DPESIM_ENDPOINTS"]); err != nil {
		t.Fatal(err)
	}
	return w
}

// result is what a command did.
type result struct {
	code           int
	stdout, stderr string
}

func (w world) run(args ...string) result {
	w.t.Helper()
	return w.runContext(w.t.Context(), args...)
}

func (w world) runContext(ctx context.Context, args ...string) result {
	w.t.Helper()
	var out, err bytes.Buffer
	code := cli.Main(ctx, w.environment(args, &out, &err))
	return result{code: code, stdout: out.String(), stderr: err.String()}
}

func (w world) environment(args []string, stdout, stderr io.Writer) cli.Env {
	return cli.Env{
		Args: args, Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr, Dir: w.dir,
		Getenv: func(name string) string { return w.env[name] },
		Environ: func() []string {
			var out []string
			for k, v := range w.env {
				out = append(out, k+"="+v)
			}
			return out
		},
		Contained: func() error { return w.contained }, // the race detector's programs cannot
	}
}

// ok runs a command that succeeds and says nothing on stderr, and gives its stdout.
func (w world) ok(args ...string) string {
	w.t.Helper()
	r := w.run(args...)
	if r.code != 0 || r.stderr != "" {
		w.t.Fatalf("%v: exit code %d\n%s%s", args, r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// fails runs a command that ends with code, prints no result, and says each of says on stderr.
func (w world) fails(code int, says []string, args ...string) {
	w.t.Helper()
	r := w.run(args...)
	if r.code != code || r.stdout != "" || !strings.HasPrefix(r.stderr, "Error: ") {
		w.t.Errorf("%v: exit code %d, want %d\nstdout: %s\nstderr: %s", args, r.code, code, r.stdout, r.stderr)
	}
	for _, s := range says {
		if !strings.Contains(r.stderr, s) {
			w.t.Errorf("%v: stderr does not say %q:\n%s", args, s, r.stderr)
		}
	}
}

func decode[T any](t *testing.T, s string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("%v in %s", err, s)
	}
	return v
}

func TestMistakesInTheCommandLineExitWithTwo(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		says string
		args []string
	}{
		{`unknown command "frobnicate"`, []string{"frobnicate"}},
		{`unknown command "frobnicate"`, []string{"environment", "frobnicate"}},
		{"unknown flag: --nonsense", []string{"up", "--nonsense"}},
		{"takes no arguments", []string{"timeline", "extra"}},
		{"dpesim environment get ENVIRONMENT", []string{"environment", "get"}},
		{"use table, json or yaml", []string{"environment", "list", "-o", "xml"}},
		{"unknown log level", []string{"up", "--log", "loud"}},
		{`"many" describes no nodes: the number of nodes must be 1 to 200`, []string{"up", "--nodes", "many"}},
		{"dpesim node stop NODE", []string{"node", "stop"}},
		{"no command to run", []string{"exec"}},
		{"no scenario to run", []string{"scenario", "run"}},
		{"neither a file nor built in", []string{"scenario", "run", "nothing"}},
		{"--data is for one scenario", []string{"scenario", "run", "lifecycle", "lifecycle", "--data", "d"}},
		{"not as yaml", []string{"demo", "--once", "-o", "yaml"}},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			t.Parallel()
			nowhere(t).fails(2, []string{tc.says}, tc.args...)
		})
	}
}

func TestWithoutASimulatorOneIsToldWhatToDo(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"environment", "list"}, {"endpoints"}, {"timeline"}, {"s3", "ls", "acme"}} {
		nowhere(t).fails(1, []string{"no running simulator was found", "What to do: start one with 'dpesim up'"}, args...)
	}
	nowhere(t).fails(1, []string{"cannot be reached", "What to do: "}, "environment", "list", "--server", "http://127.0.0.1:1")
	nowhere(t).fails(1, []string{"no simulator is up after 30ms"}, "wait", "--timeout", "30ms")
}

func TestWhatNeedsNoSimulator(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	if s := w.ok("completion", "bash"); !strings.Contains(s, "__start_dpesim") {
		t.Errorf("completion for bash:\n%.200s", s)
	}
	if s := w.ok("--help"); !strings.Contains(s, "scenario") || !strings.Contains(s, "kubectl") {
		t.Errorf("help:\n%s", s)
	}
	sameData(t, w, "version")
	sameData(t, w, "scenario", "list")
	if s := w.ok("scenario", "list"); !strings.Contains(strings.Join(strings.Fields(s), " "), "ninety-days-later only inprocess: It moves the clock") {
		t.Errorf("the list does not say why one is for the cluster in the process alone:\n%s", s)
	}
	if v := decode[map[string]any](t, w.ok("version", "-o", "json")); v["version"] == "" || v["releases"] == nil {
		t.Errorf("version is %v", v)
	}
}

// sameData runs a listing in all formats, makes sure that JSON and YAML carry the same and that the table is one, and
// gives the JSON.
func sameData(t *testing.T, w world, args ...string) string {
	t.Helper()
	asJSON := w.ok(append(args, "-o", "json")...)
	asYAML := w.ok(append(args, "-o", "yaml")...)
	var a, b any
	if err := json.Unmarshal([]byte(asJSON), &a); err != nil {
		t.Errorf("%v: %v in %s", args, err, asJSON)
	}
	if err := yaml.Unmarshal([]byte(asYAML), &b); err != nil {
		t.Errorf("%v: %v in %s", args, err, asYAML)
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("%v: JSON and YAML differ (-json +yaml):\n%s", args, diff)
	}
	if a == nil {
		t.Errorf("%v: JSON is null", args)
	}
	if table := w.ok(args...); strings.HasPrefix(table, "{") || strings.HasPrefix(table, "[") || strings.Contains(table, "%!") || table == "" {
		t.Errorf("%v: not a table:\n%s", args, table)
	}
	return asJSON
}

// TestCommandsOfTheCloud goes through a session of the portal's commands with one simulator.
func TestCommandsOfTheCloud(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	w := with(t, s)

	if s := w.ok("environment", "list", "-o", "json"); s != "[]\n" {
		t.Errorf("no environments are %q", s)
	}
	if e := decode[api.Environment](t, w.ok("environment", "create", "Acme", "--release", "15.1.0", "-o", "json")); e.ID != "acme" || e.Phase != api.PhaseReady {
		t.Errorf("created %+v", e)
	}
	w.fails(1, []string{"What to do: "}, "environment", "create", "Acme")
	w.fails(1, []string{"nowhere"}, "environment", "get", "nowhere")
	w.ok("wait")
	w.ok("wait", "acme")
	w.fails(1, []string{"nowhere"}, "wait", "nowhere")
	w.fails(2, []string{"name it ENVIRONMENT/LABEL"}, "wait", "acme", "outdated=true")
	w.fails(2, []string{"is not FIELD=VALUE"}, "wait", "acme/finance", "colour")

	d := decode[api.DPE](t, w.ok("dpe", "add", "acme", "Finance", "--drivers", "postgresql, s3", "--replicas", "2", "-o", "json"))
	if d.Label != "finance" || d.Replicas != 2 || len(d.Drivers) != 2 {
		t.Errorf("added %+v", d)
	}
	w.fails(2, []string{"nothing to edit"}, "dpe", "edit", "acme", "finance")
	e := decode[api.DPE](t, w.ok("dpe", "edit", "acme", "finance", "--replicas", "1", "-o", "json"))
	if e.Replicas != 1 || e.Revision <= d.Revision || !cmp.Equal(e.Drivers, d.Drivers) {
		t.Errorf("edited %+v to %+v", d, e)
	}
	w.fails(1, nil, "dpe", "edit", "acme", "finance", "--replicas", "2", "--revision", "999")
	w.ok("wait", "acme/finance", "state=not_connected")
	w.fails(1, []string{"acme/finance replicas_connected=2: not so after 50ms", "--timeout"}, "wait", "acme/finance", "replicas_connected=2", "--timeout", "50ms")

	values := w.ok("dpe", "values", "acme", "finance")
	var parsed map[string]any
	if err := yaml.Unmarshal([]byte(values), &parsed); err != nil || len(parsed) == 0 {
		t.Errorf("values.yaml: %v\n%s", err, values)
	}
	token := strings.TrimSpace(w.ok("dpe", "token", "acme", "finance"))
	if token == "" || !strings.Contains(values, token) {
		t.Error("the token is not that of values.yaml")
	}
	if c := w.ok("dpe", "commands", "acme", "finance"); !strings.Contains(c, "helm") || strings.Contains(c, token) {
		t.Errorf("commands:\n%s", c)
	}

	w.fails(2, []string{`there is no variant "sideways"`, "[direct mirror private-ca]"}, "dpe", "commands", "acme", "finance", "--variant", "sideways")
	if c := w.ok("dpe", "commands", "acme", "finance", "--variant", "mirror"); !strings.Contains(c, `--set global.registry="$MIRROR"`) {
		t.Errorf("commands for a mirror:\n%s", c)
	}
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	if c := w.ok("dpe", "values", "acme", "finance", "--check", file); !strings.Contains(c, "is current: release 15.1.0, revision 2") {
		t.Errorf("check of the current file: %s", c)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(values, "replicaCount: 1", "replicas: hunter2", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := w.run("dpe", "values", "acme", "finance", "--check", file); r.code != 1 || !strings.Contains(r.stdout, "replicaCount") || strings.Contains(r.stdout+r.stderr, "hunter2") ||
		!strings.Contains(r.stderr, "is no file that the portal generated; the one asked for is for release 15.1.0, revision 2") {
		t.Errorf("check of an edited file: exit code %d\nstdout: %s\nstderr: %s", r.code, r.stdout, r.stderr)
	}

	job := decode[api.Job](t, w.ok("job", "submit", "acme", "profile", "sample-data/birdstrikes.csv", "-o", "json"))
	w.fails(2, []string{"unknown kind of job"}, "job", "submit", "acme", "paint", "sample-data/x.csv")
	w.fails(2, []string{"is not BUCKET/KEY"}, "job", "submit", "acme", "profile", "x.csv")
	w.fails(1, []string{"not so after 50ms"}, "job", "submit", "acme", "profile", "sample-data/birdstrikes.csv", "--wait", "--timeout", "50ms")
	ctx, interrupt := context.WithCancel(t.Context())
	var stdout, stderr lines
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Main(ctx, w.environment([]string{"job", "watch", "acme", string(job.ID), "-o", "json"}, &stdout, &stderr))
	}()
	stdout.wait(t, "\n")
	interrupt()
	if code := <-ended; code != 130 || stderr.String() != "interrupted\n" {
		t.Errorf("watch: exit code %d\n%s", code, &stderr)
	}
	if first, _, _ := strings.Cut(stdout.String(), "\n"); decode[api.Job](t, first).ID != job.ID {
		t.Errorf("watch printed %s", first)
	}

	sameData(t, w, "environment", "list")
	sameData(t, w, "environment", "get", "acme")
	sameData(t, w, "environment", "credentials", "acme")
	sameData(t, w, "environment", "engines", "acme")
	sameData(t, w, "dpe", "list", "acme")
	sameData(t, w, "dpe", "get", "acme", "finance")
	sameData(t, w, "dpe", "commands", "acme", "finance")
	sameData(t, w, "job", "list", "acme")
	sameData(t, w, "job", "get", "acme", string(job.ID))
	sameData(t, w, "endpoints")
	sameData(t, w, "s3", "ls", "acme")
	sameData(t, w, "s3", "ls", "acme", "sample-data")
	if ca := w.ok("environment", "ca", "acme"); !strings.HasPrefix(ca, "-----BEGIN CERTIFICATE-----") {
		t.Errorf("CA:\n%s", ca)
	}
	w.ok("environment", "upgrade", "acme", "15.3.0")

	// What is removed asks to be meant.
	w.fails(2, []string{"cannot be undone", "--yes"}, "dpe", "remove", "acme", "finance")
	w.ok("dpe", "remove", "acme", "finance", "--yes")
	w.fails(1, []string{"finance"}, "dpe", "get", "acme", "finance")
	w.fails(2, []string{"cannot be undone", "--yes"}, "environment", "delete", "acme")
	if said := w.ok("environment", "delete", "acme", "--yes"); !strings.HasPrefix(said, "deleted acme") {
		t.Errorf("delete said %q", said)
	}
	w.fails(1, nil, "environment", "get", "acme")

	events := decode[[]sim.Event](t, sameData(t, w, "timeline"))
	if len(events) == 0 || events[0].Seq != 1 {
		t.Errorf("the timeline is %v", events)
	}
	if after := decode[[]sim.Event](t, w.ok("timeline", "--after", "3", "--environment", "acme", "-o", "json")); len(after) == 0 || after[0].Seq <= 3 || after[0].Environment != "acme" {
		t.Errorf("the timeline after 3 is %v", after)
	}
}

func TestObjectsGoInAndComeOut(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	s.Environment(t, api.EnvironmentSpec{Name: "Acme"})
	w := with(t, s)
	text := "id,name\n1,\x00bytes as they are\n"
	if err := os.WriteFile(filepath.Join(w.dir, "mine.csv"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.ok("s3", "put", "acme", "mine.csv", "s3://sample-data/a/mine.csv")
	if got := w.ok("s3", "cat", "acme", "sample-data/a/mine.csv"); got != text {
		t.Errorf("got %q, put %q", got, text)
	}
	if ls := w.ok("s3", "ls", "acme", "sample-data/a/"); !strings.Contains(ls, "a/mine.csv") || strings.Contains(ls, "birdstrikes") {
		t.Errorf("ls:\n%s", ls)
	}
	w.fails(1, []string{"NoSuchKey", "dpesim s3 ls acme"}, "s3", "cat", "acme", "sample-data/none.csv")
	w.fails(1, []string{"NoSuchBucket", "dpesim s3 ls acme"}, "s3", "ls", "acme", "no-such-bucket")
	w.fails(1, []string{"none.csv"}, "s3", "put", "acme", "none.csv", "sample-data/none.csv")
	w.fails(2, []string{"is not BUCKET/KEY"}, "s3", "cat", "acme", "sample-data")
}

// What is said on the command line goes before what the environment says.
func TestFlagsGoBeforeTheEnvironment(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	w := with(t, s)
	file, nobody := w.env["DPESIM_ENDPOINTS"], "http://127.0.0.1:1"
	w.env["DPESIM_SERVER"] = nobody
	w.fails(1, []string{"cannot be reached"}, "environment", "list")
	w.ok("environment", "list", "--endpoints-file", file)
	w.ok("environment", "list", "--server", s.Endpoints().Portal)
	w.env["DPESIM_SERVER"] = s.Endpoints().Portal
	w.env["DPESIM_ENDPOINTS"] = "none.json"
	w.fails(1, []string{"nobody is signed in"}, "environment", "list")
	w.env["DPESIM_TOKEN"] = "wrong"
	w.fails(1, []string{"no such API token"}, "environment", "list")
	w.env["DPESIM_TOKEN_FILE"] = s.Endpoints().TokenFile
	w.ok("environment", "list")
	w.fails(1, []string{"Mia Member may not do this"}, "environment", "create", "Prod", "--as", "mia")
	w.fails(1, []string{"nowhere.txt"}, "environment", "list", "--token-file", "nowhere.txt")
	w.fails(1, []string{"cannot be reached"}, "environment", "list", "--endpoints-file", file, "--server", nobody)
}

func TestUpTellsWhereEverythingIsAndStopsWithZero(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	ctx, interrupt := context.WithCancel(t.Context())
	var stdout, stderr lines
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Main(ctx, w.environment([]string{"up", "--http", "localhost:0", "--tls", "localhost:0", "--data", "kept"}, &stdout, &stderr))
	}()
	stdout.wait(t, "Ctrl-C stops.")
	portal := decode[map[string]any](t, w.ok("endpoints", "-o", "json"))["portal"].(string)
	interrupt()
	if code := <-ended; code != 0 || stderr.String() != "" {
		t.Errorf("exit code %d\n%s", code, &stderr)
	}
	if !strings.HasPrefix(portal, "http://localhost:") {
		t.Errorf("the portal is at %s, localhost was asked for", portal)
	}
	column := -1
	for line := range strings.Lines(stdout.String()) {
		if at := strings.Index(line, "http"); at > 0 && strings.HasPrefix(line, "  ") {
			if column < 0 {
				column = at
			}
			if at != column {
				t.Errorf("not aligned:\n%s", &stdout)
				break
			}
		}
	}
	if !strings.Contains(stdout.String(), portal) || !strings.Contains(stdout.String(), "kept in "+filepath.Join(w.dir, "kept")) {
		t.Errorf("banner:\n%s", &stdout)
	}
	w.fails(1, []string{"no running simulator was found"}, "endpoints") // its file is gone
}

func TestWhyReadsFromTheSymptomToTheFirstCause(t *testing.T) {
	t.Parallel()
	w := with(t, simtest.Start(t))
	w.ok("environment", "create", "Acme")
	w.ok("dpe", "add", "acme", "Edge EU")
	out := w.ok("why", "dpe/edge-eu")
	lines := strings.Split(out, "\n")
	if lines[0] != "dpe/acme/edge-eu: DPE isn't connected yet (0 of 1 replicas connected): nobody has installed it yet" {
		t.Errorf("%s", out)
	}
	if len(lines) < 3 || !strings.HasPrefix(lines[2], "> ") || !strings.Contains(lines[2], "portal  dpe added (") || !strings.HasSuffix(lines[2], "   <- first cause") {
		t.Errorf("%s", out)
	}
	if !strings.HasSuffix(out, "\nWhat to do: install it: 'dpesim dpe commands acme edge-eu' prints how, 'dpesim dpe run-commands acme edge-eu' does it\n") {
		t.Errorf("%s", out)
	}
	x := decode[why.Explanation](t, w.ok("why", "dpe/acme/edge-eu", "-o", "json"))
	if x.Subject != "dpe/acme/edge-eu" || len(x.Chains) != 1 || x.Chains[0].Steps[0].Seq != x.FirstCause {
		t.Errorf("%+v", x)
	}
	w.fails(1, []string{"nothing was told of dpe/edge-us in this run", "the nearest are dpe/acme/edge-eu"}, "why", "dpe/edge-us")
	w.fails(1, []string{"is nothing that can be explained"}, "why", "edge-eu")
	w.fails(2, []string{"dpesim why SUBJECT"}, "why")
}

func TestResidueListsAndFailsOnLeaks(t *testing.T) {
	t.Parallel()
	w := with(t, simtest.Start(t))
	w.ok("environment", "create", "Acme")
	w.ok("dpe", "add", "acme", "Edge EU")
	out := w.ok("residue", "acme", "edge-eu")
	if !strings.HasPrefix(out, "CLASS ") || !strings.Contains(out, "the portal has it") || strings.Contains(out, "Bucket") {
		t.Errorf("%s", out)
	}
	if out := w.ok("residue", "--none"); out != "nothing leaked\n" {
		t.Errorf("%q", out)
	}
	w.ok("dpe", "remove", "acme", "edge-eu", "--yes")
	if out := w.ok("residue", "--none", "--timeout", "30s", "-o", "json"); out != "[]\n" {
		t.Errorf("%q", out)
	}
	gone := decode[[]residue.Entry](t, w.ok("residue", "acme", "edge-eu", "--all", "-o", "json"))
	if len(gone) == 0 || gone[0].Class != residue.Gone || gone[0].By != "dpe added" || gone[0].Gone == nil {
		t.Errorf("%+v", gone)
	}
	w.fails(2, []string{"--timeout is for --none"}, "residue", "--timeout", "1s")
	w.fails(2, []string{"takes at most 2 arguments"}, "residue", "a", "b", "c")
}
