package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/simtest"
)

// tools are the programs of an operator, built for a test.
type tools struct {
	dpesim, crane string
	helms         []helmCLI
}

// helmCLI is a helm that an operator may have, and its words where they differ.
type helmCLI struct {
	name     string
	path     string // empty: the one that is linked into dpesim
	rollback string // its flag for: roll back what failed
	refused  string // the registry does not take the token
	missing  string // a values file has no dpm.endpoint
	unknown  string // a values file has a key that the chart does not know
}

// compile builds a program and gives its path.
func compile(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	exe := filepath.Join(tb.TempDir(), name)
	cmd := exec.CommandContext(tb.Context(), "go", append([]string{"build", "-o", exe}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return exe
}

// refused is what the registry says to who comes with no token, or a wrong one.
const refused = "unauthorized: authentication required: log in with the access token that the portal shows for the DPE"

// buildHelm4 builds Helm 4.
func buildHelm4(tb testing.TB) helmCLI {
	tb.Helper()
	return helmCLI{
		name: "helm 4", rollback: "--rollback-on-failure", refused: "response status code 401: " + refused,
		missing: "at '/dpm': missing property 'endpoint'", unknown: "additional properties 'replicaCounts' not allowed",
		path: compile(tb, "helm4", "helm.sh/helm/v4/cmd/helm"),
	}
}

// buildTools builds dpesim, the oldest helm that the portal names, Helm 4, and crane, each from its module.
func buildTools(t *testing.T) tools {
	t.Helper()
	simtest.RequireBuilt(t, "helm")
	if runtime.GOOS == "windows" {
		t.Skip("the portal's commands are for a POSIX shell")
	}
	three := helmCLI{
		name: "helm 3.13", rollback: "--atomic", refused: `/v2/": ` + refused,
		missing: "dpm: endpoint is required", unknown: "(root): Additional property replicaCounts is not allowed",
		// Helm's own Makefile gives it the Kubernetes version that charts are rendered for where there is no cluster.
		path: compile(t, "helm3", "-modfile=.ci/helm3.mod", "-ldflags=-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=28", "helm.sh/helm/v3/cmd/helm"),
	}
	four := buildHelm4(t)
	linked := four
	linked.name, linked.path = "linked-in helm", ""
	return tools{
		dpesim: compile(t, "dpesim", "."),
		crane:  compile(t, "crane", "github.com/google/go-containerregistry/cmd/crane"),
		helms:  []helmCLI{three, four, linked},
	}
}

// operator is somebody with a folder, a shell, helm, kubectl and crane, who pastes the portal's commands.
type operator struct {
	*process
	helm    helmCLI
	env     []string // of the shell, beside the usual
	secrets []string // what no command may print
}

// newOperator starts dpesim and gives its operator the tools. A built helm comes with the kubectl of this machine, if
// there is one; the linked-in helm with the linked-in kubectl.
func newOperator(t *testing.T, with tools, helm helmCLI, args ...string) *operator {
	t.Helper()
	p, _ := start(t, with.dpesim, args...)
	bin := filepath.Join(p.dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	tool := map[string]string{"dpesim": with.dpesim, "crane": with.crane, "helm": helm.path, "kubectl": ""}
	if kubectl, err := exec.LookPath("kubectl"); err == nil && helm.path != "" {
		tool["kubectl"] = kubectl
	}
	for name, path := range tool {
		if path == "" {
			path = with.dpesim + " " + name
		}
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\nexec "+path+" \"$@\"\n"), 0o700); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
	return &operator{process: p, helm: helm}
}

// shell makes a command of the operator's shell.
func (o *operator) shell(command string) *exec.Cmd {
	cmd := o.command()
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", command}
	cmd.Env = append(cmd.Env, "PATH="+filepath.Join(o.dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"), "KUBECONFIG="+o.endpoints().Kubeconfig)
	cmd.Env = append(cmd.Env, o.env...)
	return cmd
}

// try pastes a command and gives its output and exit code.
func (o *operator) try(command string) (string, int) {
	o.tb.Helper()
	cmd := o.shell(command)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok || ok && exit.ExitCode() < 0 {
		o.tb.Fatalf("%s: %v\n%s", command, err, &out)
	}
	for _, s := range o.secrets {
		if strings.Contains(command, s) || strings.Contains(out.String(), s) {
			o.tb.Fatalf("a secret shows in\n$ %s\n%s", command, &out)
		}
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// does runs a command that must succeed, and say each of the words.
func (o *operator) does(command string, words ...string) {
	o.tb.Helper()
	out, code := o.try(command)
	if code != 0 {
		pods, _ := o.try("kubectl --namespace dpe get pods; kubectl --namespace dpe get events --sort-by=.lastTimestamp")
		o.tb.Fatalf("exit code %d\n$ %s\n%s\n%s\nup said:\n%s", code, command, out, pods, o.out.String())
	}
	o.says(command, out, words)
}

// paste runs commands of the portal, each of which must succeed; all of them together say each of the words.
func (o *operator) paste(commands []api.Command, words ...string) {
	o.tb.Helper()
	var all []string
	for _, c := range commands {
		all = append(all, "{ "+c.Command+"; }")
	}
	o.does(strings.Join(all, " && "), words...)
}

// fails runs a command that must fail, and say each of the words.
func (o *operator) fails(command string, words ...string) {
	o.tb.Helper()
	out, code := o.try(command)
	if code == 0 {
		o.tb.Errorf("it succeeds:\n$ %s\n%s", command, out)
	}
	o.says(command, out, words)
}

func (o *operator) says(command, out string, words []string) {
	o.tb.Helper()
	for _, w := range words {
		if !strings.Contains(out, w) {
			o.tb.Errorf("no %q in\n$ %s\n%s", w, command, out)
		}
	}
}

// commands gives a variant's commands after downloading the files that they need, as the portal offers them.
func (o *operator) commands(env, label string, v api.Variant) api.Installation {
	o.tb.Helper()
	all := decode[api.Commands](o.tb, o.run("dpe", "commands", env, label, "--variant", string(v), "-o", "json"))
	i, err := all.Variant(v)
	if err != nil {
		o.tb.Fatal(err)
	}
	for _, f := range i.Files {
		if f.Href != "" {
			o.write(f.Name, o.download(o.endpoints().Portal+f.Href))
		}
	}
	values, err := chart.ParseValues([]byte(o.read("values.yaml")))
	if err != nil {
		o.tb.Fatal(err)
	}
	for _, s := range []sim.Secret{values.Key, values.SecretKey, values.RegistryToken} {
		o.secrets = append(o.secrets, s.Reveal())
	}
	return i
}

func (o *operator) read(name string) string {
	o.tb.Helper()
	b, err := os.ReadFile(filepath.Join(o.dir, name))
	if err != nil {
		o.tb.Fatal(err)
	}
	return string(b)
}

func (o *operator) download(url string) string {
	o.tb.Helper()
	token, err := os.ReadFile(o.endpoints().TokenFile)
	if err != nil {
		o.tb.Fatal(err)
	}
	request, err := http.NewRequestWithContext(o.tb.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		o.tb.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		o.tb.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	b, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		o.tb.Fatalf("%s: %s, %v\n%s", url, answer.Status, err, b)
	}
	return string(b)
}
