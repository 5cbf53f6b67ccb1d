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
	"github.com/dpesim/dpesim/sim/rehearse"
	"github.com/dpesim/dpesim/sim/simtest"
)

// On a real cluster the built-in scenarios that name kind run unchanged, with the engines in containers that a kubelet pulled
// from the simulator's registry. Before that a simulator is killed: the next one recognises the cluster that it left, and
// removes it. With --preload a pod starts that could not pull its image; that cluster is kept for the library, and then removed.
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

	remove := func() (string, error) {
		out, err := exec.CommandContext(context.WithoutCancel(t.Context()), exe, "cluster", "remove", "--kind-name", name).CombinedOutput()
		return string(out), err
	}
	t.Cleanup(func() { _, _ = remove() }) // where the test has ended too early

	killed, _ := start(t, exe, "--cluster", "kind", "--kind-name", name)
	killed.kill()

	preload := filepath.Join(dir, "preload.md")
	if err := os.WriteFile(preload, []byte(preloaded), 0o600); err != nil {
		t.Fatal(err)
	}
	run, out := command("scenario", "run", "--timeout", "4m", "--keep-cluster", "--preload", preload)
	err := run.Run()
	t.Log(out)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "kind: removing the cluster that an earlier run has left") {
		t.Error("the cluster of the killed one was not recognised")
	}

	args := []string{"scenario", "run", "--timeout", "4m", "--keep-cluster"}
	library, err := scenarios.Library()
	if err != nil {
		t.Fatal(err)
	}
	for _, sc := range library {
		if len(sc.Clusters) > 0 && rehearse.Suits(sc, rehearse.Kind) {
			args = append(args, sc.Name())
		}
	}
	run, out = command(args...)
	err = run.Run()
	t.Log(out)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "kind: creating cluster") {
		t.Error("the kept cluster was not used again")
	}

	if out, err := remove(); err != nil || out != "kind cluster "+name+" removed\n" {
		t.Errorf("removing the kept cluster: %v, %s", err, out)
	}
	left, err := exec.CommandContext(t.Context(), "docker", "ps", "--all", "--format", "{{.Names}}").Output()
	if err != nil || strings.Contains(string(left), name) {
		t.Errorf("left are %q, %v", left, err)
	}
}

// preloaded installs with an access token that is not valid any more.
const preloaded = "---\ntitle: An image that was brought needs no access token\n---\n\n## Install\n\n```sh run\n" + `
dpesim environment create Acme --release 15.3.0
dpesim dpe add acme Finance
dpesim dpe values acme finance > values.yaml
dpesim dpe token acme finance --rotate > registry-token
dpesim environment ca acme > ca.pem
helm registry login "$DPESIM_REGISTRY" --username acme.finance --password-stdin --ca-file ca.pem < registry-token
helm upgrade --install finance oci://$DPESIM_REGISTRY/charts/dpe --version 15.3.0 --namespace dpe -f values.yaml --ca-file ca.pem --create-namespace --wait --timeout 2m
dpesim expect dpe/acme/finance status.colour=green
kubectl get events -n dpe --field-selector reason=Pulled | grep 'already present on machine'
` + "```\n"
