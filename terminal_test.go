package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cli"
	"github.com/dpesim/dpesim/sim/simtest"
)

// terminal is where somebody who works with a customer's cluster types commands, in a folder of their own.
type terminal struct {
	t         testing.TB
	s         *simtest.Sim
	dir       string
	endpoints string
	environ   []string
}

func newTerminal(tb testing.TB, s *simtest.Sim) *terminal {
	tb.Helper()
	dir := tb.TempDir()
	endpoints := filepath.Join(dir, "endpoints.json")
	if err := s.Endpoints().WriteFile(endpoints); err != nil {
		tb.Fatal(err)
	}
	return &terminal{t: tb, s: s, dir: dir, endpoints: endpoints, environ: append(os.Environ(), "DPESIM_ENDPOINTS="+endpoints, "HOME="+dir)}
}

// run does a command of dpesim's and gives what it prints.
func (o *terminal) run(stdin string, args ...string) string {
	o.t.Helper()
	var out, errs bytes.Buffer
	code := cli.Main(o.t.Context(), cli.Env{
		Args: args, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Dir: o.dir, Environ: func() []string { return o.environ },
		Getenv: func(name string) string {
			if name == "DPESIM_ENDPOINTS" {
				return o.endpoints
			}
			return ""
		},
	})
	if code != 0 {
		o.t.Fatalf("dpesim %s: exit code %d\n%s%s", strings.Join(args, " "), code, out.String(), errs.String())
	}
	return out.String()
}

// deploy installs a DPE with the portal's present files, or brings it up to them, and waits until it is ready.
func (o *terminal) deploy(env sim.EnvironmentID, l sim.Label) {
	o.t.Helper()
	o.start(env, l, "--wait", "--timeout", "60s")
}

// start is deploy without the wait, with further flags of helm's.
func (o *terminal) start(env sim.EnvironmentID, l sim.Label, flags ...string) {
	o.t.Helper()
	d, err := o.s.API.DPE(o.t.Context(), env, l)
	if err != nil {
		o.t.Fatal(err)
	}
	values := string(l) + ".yaml"
	if err := os.WriteFile(filepath.Join(o.dir, values), []byte(o.run("", "dpe", "values", string(env), string(l))), 0o600); err != nil {
		o.t.Fatal(err)
	}
	registry, ca := o.s.Endpoints().RegistryHost(), o.s.Endpoints().CA
	o.run(o.run("", "dpe", "token", string(env), string(l)), "helm", "registry", "login", registry, "--ca-file", ca, "--username", string(env)+"."+string(l), "--password-stdin")
	o.run("", append([]string{
		"helm", "upgrade", "--install", string(l), "oci://" + registry + "/charts/dpe", "--version", string(d.Release), "--namespace", "dpe", "--create-namespace", "--values", values, "--ca-file", ca,
	}, flags...)...)
}

// added gives an environment and a DPE in it that is not installed.
func added(t *testing.T, s *simtest.Sim, environment string, spec api.DPESpec) api.DPE {
	t.Helper()
	e := s.Environment(t, api.EnvironmentSpec{Name: environment, Release: "15.1.0"})
	d, err := s.API.AddDPE(t.Context(), e.ID, spec)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
