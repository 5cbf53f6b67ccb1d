package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dpesim/dpesim/sim/stack"
)

// process is a running `up`.
type process struct {
	tb   testing.TB
	exe  string
	dir  string // where its commands run, and HOME
	file string // endpoints file
	args []string
	cmd  *exec.Cmd
	out  bytes.Buffer

	ended chan struct{} // closed once it has ended
	err   error         // of its end
}

// start starts the program exe as `up` and gives it with how long it took until its endpoints file was there.
func start(tb testing.TB, exe string, args ...string) (*process, time.Duration) {
	tb.Helper()
	p := &process{tb: tb, exe: exe, dir: tb.TempDir(), args: args}
	p.file = filepath.Join(p.dir, "endpoints.json")
	return p, p.up()
}

// up starts it, again if need be.
func (p *process) up() time.Duration {
	p.tb.Helper()
	args := append([]string{"up", "--http", "localhost:0", "--tls", "localhost:0", "--endpoints-file", p.file}, p.args...)
	p.out.Reset()
	p.cmd = p.command(args...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	from := time.Now()
	if err := p.cmd.Start(); err != nil {
		p.tb.Fatal(err)
	}
	ended := make(chan struct{})
	p.ended = ended
	go func(cmd *exec.Cmd) {
		p.err = cmd.Wait()
		close(ended)
	}(p.cmd)
	p.tb.Cleanup(func() { // the test may have failed before it stopped it
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	for {
		if _, err := stack.ReadEndpoints(p.file); err == nil {
			return time.Since(from)
		}
		patience := time.Minute
		if slices.Contains(p.args, "kind") {
			patience = 5 * time.Minute // the cluster is made first
		}
		if time.Since(from) > patience {
			p.tb.Fatalf("not up after %s:\n%s", patience, p.out.String())
		}
		select {
		case <-p.ended:
			p.tb.Fatalf("up has ended: %v\n%s", p.err, p.out.String())
		case <-time.After(time.Millisecond):
		}
	}
}

// command makes a command of the program that finds p.
func (p *process) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.exe, args...)
	cmd.Env = append(os.Environ(), "DPESIM_ENDPOINTS="+p.file, "HOME="+p.dir, "XDG_CACHE_HOME="+p.dir)
	cmd.Dir = p.dir
	return cmd
}

// run runs a command against p and gives its output; a failure ends the test.
func (p *process) run(args ...string) string {
	p.tb.Helper()
	cmd := p.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		p.tb.Fatalf("dpesim %s: %v\n%s%s\nup said:\n%s", strings.Join(args, " "), err, out, stderr.String(), p.out.String())
	}
	return string(out)
}

// stop interrupts p and gives how long it took to end.
func (p *process) stop() time.Duration {
	p.tb.Helper()
	from := time.Now()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.tb.Fatal(err)
	}
	if <-p.ended; p.err != nil {
		p.tb.Fatalf("stop: %v\n%s", p.err, p.out.String())
	}
	return time.Since(from)
}

// kill ends p as a power cut would.
func (p *process) kill() {
	p.tb.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.tb.Fatal(err)
	}
	<-p.ended // by "signal: killed", which is what we want
	if err := os.Remove(p.file); err != nil {
		p.tb.Fatal(err)
	}
}

// install adds a DPE and installs it with the linked-in helm, by hand as an operator would.
func (p *process) install(env, name, label, release string, replicas int) {
	p.tb.Helper()
	p.run("dpe", "add", env, name, "--replicas", strconv.Itoa(replicas))
	p.write("values.yaml", p.run("dpe", "values", env, label))
	e := p.endpoints()
	login := p.command("helm", "registry", "login", e.RegistryHost(), "--ca-file", e.CA, "--username", env+"."+label, "--password-stdin")
	login.Stdin = strings.NewReader(p.run("dpe", "token", env, label))
	if out, err := login.CombinedOutput(); err != nil {
		p.tb.Fatalf("log in: %v\n%s", err, out)
	}
	p.run("helm", "install", label, "oci://"+e.RegistryHost()+"/charts/dpe", "--version", release, "--namespace", "dpe", "--create-namespace",
		"--values", "values.yaml", "--ca-file", e.CA, "--wait", "--timeout", "60s")
}

// endpoints reads where p is.
func (p *process) endpoints() stack.Endpoints {
	p.tb.Helper()
	e, err := stack.ReadEndpoints(p.file)
	if err != nil {
		p.tb.Fatal(err)
	}
	return e
}

func (p *process) write(name, text string) {
	p.tb.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		p.tb.Fatal(err)
	}
}
