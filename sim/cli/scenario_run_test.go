package cli_test

import (
	"archive/zip"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
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
	r := w.run("scenario", "run", "good.md", "bad.md", "--junit", "out.xml", "--html", "out.html", "--parallel", "2")
	if r.code != 1 || !strings.HasSuffix(r.stderr, "/dpesim-failures/bad.zip\nError: 1 of 2 scenarios failed: bad.md\n") || !strings.Contains(r.stdout, "\n1 of 2 scenarios ok in ") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if !strings.Contains(r.stdout, "::error file=bad.md,line=15,title=bad.md%3A Step 2::exit status 1: false%0Aevents before this step") {
		t.Errorf("no annotation:\n%s", r.stdout)
	}
	for path, says := range map[string]string{
		filepath.Join(w.dir, "out.xml"):  `<testsuites tests="4" failures="1" skipped="1"`,
		filepath.Join(w.dir, "out.html"): "<title>1 of 2 scenarios failed</title>",
		summary:                          "before\n### Scenarios",
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
	w.fails(4, []string{"kind.md is not for the cluster inprocess, but for kind", "--cluster kind"}, "scenario", "run", "kind.md")
	w.fails(4, []string{"ninety-days-later.md is not for the cluster kind, but for inprocess. It moves the clock", "--cluster inprocess"}, "scenario", "run", "ninety-days-later", "--cluster", "kind")
	for _, clusters := range []string{"inprocess", "kind,inprocess", "inprocess,inprocess", "inprocess,kind,moon"} {
		w.fails(2, []string{"--compare cannot hold", "--compare inprocess,kind"}, "scenario", "run", "good.md", "--compare", clusters)
	}
	w.fails(2, []string{"--repeat is for runs on one cluster"}, "scenario", "run", "good.md", "--compare", "inprocess,kind", "--repeat", "2")
	w.fails(4, []string{`there is no cluster "moon"`}, "scenario", "run", "good.md", "--compare", "inprocess,moon")
	w.fails(4, []string{"kind.md is not for the cluster inprocess"}, "scenario", "run", "kind.md", "--compare", "inprocess,kind")
	w.fails(4, []string{"ninety-days-later.md is not for the cluster kind"}, "scenario", "run", "ninety-days-later", "--compare", "inprocess,kind")
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

	w.file("chance.md", scenario("dpesim environment create \"Acme $RANDOM\""))
	r := w.run("scenario", "test", "chance.md")
	if r.code != 1 || !strings.Contains(r.stderr, "chance.md: two runs with the same seed differ") ||
		!strings.Contains(r.stderr, "\n  - portal acme-") || !strings.Contains(r.stderr, "\n  + portal acme-") {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
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

// Whatever secrets a scenario makes and shows, none is in what is reported of it, nor in the bundle.
func TestSecretsAreInNoReportAndNoBundle(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	shown := t.TempDir() // what the scenario saw, for this test to know
	w.file("bad.md", scenario("dpesim environment create Acme\ndpesim dpe add acme Finance\ndpesim dpe add acme Removed\ndpesim managed scale acme 1\n"+install, `
dpesim dpe values acme removed > values-removed.yaml
dpesim dpe remove acme removed --yes
dpesim dpe token acme finance --rotate > rotated
echo 'p4ssw0rd-of-eve' > password
dpesim user add eve Eve --password-file password --as ada
dpesim token create ci > api-token
kubectl create secret generic mine --from-literal=key=my-own-s3cret -n dpe
kubectl get secrets -A -o json > secrets.json
cp secrets.json values.yaml values-removed.yaml token rotated password api-token "$KUBECONFIG" "`+shown+`"
cp "$DPESIM_TOKEN_FILE" "`+shown+`/own-token"
dpesim timeline > /dev/null`, `
say "$(cat password)"
cat values.yaml values-removed.yaml rotated password api-token "$DPESIM_TOKEN_FILE" "$KUBECONFIG"
cat secrets.json
kubectl get secrets -A -o yaml
eventually 1s expect secret/mine -n dpe data.key=other || kubectl get secret mine -n dpe -o jsonpath='{.data.key}'
helm get values finance -n dpe
helm get manifest finance -n dpe
false`))
	r := w.run("scenario", "run", "bad.md", "--bundle", "out.zip", "--junit", "out.xml", "--html", "out.html")
	if r.code != 1 || !strings.Contains(r.stderr, "bad.md: what helps to understand the failure is in "+filepath.Join(w.dir, "out.zip")) || !strings.Contains(r.stdout, "exit status 1: false") {
		t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	files := map[string]string{"stdout": r.stdout, "stderr": r.stderr, "out.xml": read(t, filepath.Join(w.dir, "out.xml")), "out.html": read(t, filepath.Join(w.dir, "out.html"))}
	packed, err := zip.OpenReader(filepath.Join(w.dir, "out.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	for _, f := range packed.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(text)
	}
	for _, name := range []string{
		"bad/events.jsonl", "bad/run.json", "bad/output.txt", "bad/scenario.md", "bad/state/acme/dpes.json", "bad/cluster/deployments.apps.yaml", "bad/cluster/secrets.yaml",
	} {
		if files[name] == "" {
			t.Errorf("there is no %s", name)
		}
	}
	secrets := secretsIn(t, shown)
	if len(secrets) < 20 {
		t.Errorf("there are but %d secrets: %q", len(secrets), secrets)
	}
	for name, text := range files {
		for _, s := range secrets {
			for _, form := range []string{s, base64.StdEncoding.EncodeToString([]byte(s)), strings.TrimRight(base64.StdEncoding.EncodeToString([]byte("x"+s)), "=")[2:]} {
				if strings.Contains(text, strings.TrimRight(form, "=")) {
					t.Errorf("%s has the secret %.80s", name, s)
				}
			}
		}
	}
}

// secretsIn finds the secrets in files that a scenario wrote: passwords and keys of values files, what Secrets hold, tokens.
func secretsIn(t *testing.T, dir string) (out []string) {
	t.Helper()
	for _, name := range []string{"values.yaml", "values-removed.yaml", "kubeconfig"} {
		for _, m := range regexp.MustCompile(`(?m)^ *(?:password|secretKey|jwtKey|token): "?([^"\n]+)"?$`).FindAllStringSubmatch(read(t, filepath.Join(dir, name)), -1) {
			out = append(out, m[1])
		}
	}
	for _, name := range []string{"token", "rotated", "password", "api-token", "own-token"} {
		for word := range strings.FieldsSeq(read(t, filepath.Join(dir, name))) {
			if len(word) > 8 {
				out = append(out, word)
			}
		}
	}
	list := decode[struct {
		Items []struct{ Data map[string][]byte }
	}](t, read(t, filepath.Join(dir, "secrets.json")))
	for _, s := range list.Items {
		for _, value := range s.Data {
			out = append(out, string(value))
		}
	}
	for _, s := range out { // the private part of a key
		var key struct{ D string }
		if text, err := base64.StdEncoding.DecodeString(s); err == nil && json.Unmarshal(text, &key) == nil && key.D != "" {
			out = append(out, key.D)
		}
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestScenarioSchemaPrintsWhatTheDocsHave(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	for name, file := range map[string]string{"front-matter": "scenario", "events": "scenario-events"} {
		if out := w.ok("scenario", "schema", name); out != read(t, "../../docs/schema/"+file+".schema.json") {
			t.Errorf("%s: %s", name, out)
		}
	}
	w.fails(2, []string{`there is no "nosuch": use events or front-matter`}, "scenario", "schema", "nosuch")
}

func TestScenarioRunUpdatesGoldenFences(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	file := "---\ntitle: T\n---\n## A\n```sh run\ndpesim environment create Acme\n```\n" +
		"```sh check\ndpesim environment get acme -o json | jq '{id, phase, dpm: .endpoints.dpm}'\n```\n```json golden mask=port\n```\n```sh check\nkubectl get nodes -o name\n```\n\n```text golden\nold\n```\n"
	w.file("mine.md", file)
	w.fails(2, []string{"--update is for files of your own"}, "scenario", "run", "--all", "--update")
	w.fails(2, []string{"--update cannot write into lifecycle, which is built in"}, "scenario", "run", "lifecycle", "--update")
	if r := w.run("scenario", "run", "mine.md"); r.code != 1 || !strings.Contains(r.stdout, "mine.md:11: the check printed something else") || !strings.Contains(r.stdout, `| +  "id": "acme",`) {
		t.Errorf("exit code %d\n%s", r.code, r.stdout)
	}
	if r := w.run("scenario", "run", "mine.md", "--update"); r.code != 0 || !strings.HasSuffix(r.stderr, "mine.md: what its checks print is written into it\n") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	want := strings.Replace(strings.Replace(file, "mask=port\n", "mask=port\n{\n  \"dpm\": \"https://dpm-grpc-acme.dpesim.localhost:PORT\",\n  \"id\": \"acme\",\n  \"phase\": \"ready\"\n}\n", 1),
		"old\n", "node/dpesim-node-1\nnode/dpesim-node-2\nnode/dpesim-node-3\n", 1)
	if got := read(t, filepath.Join(w.dir, "mine.md")); got != want {
		t.Errorf("the file is\n%s\nwant\n%s", got, want)
	}
	w.ok("scenario", "run", "mine.md")
	if r := w.run("scenario", "run", "mine.md", "--update"); r.code != 0 || r.stderr != "" {
		t.Errorf("what is right is written again: %s", r.stderr)
	}
	w.file("bad.md", strings.Replace(file, "create Acme", "create Acme; false", 1))
	if r := w.run("scenario", "run", "bad.md", "--update"); r.code != 1 || !strings.Contains(read(t, filepath.Join(w.dir, "bad.md")), "\nold\n") {
		t.Errorf("a run that fails is written down: exit code %d", r.code)
	}
}
