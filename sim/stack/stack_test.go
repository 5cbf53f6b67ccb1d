package stack_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/simtest"
	"github.com/dpesim/dpesim/sim/stack"
)

// open opens a stack that is closed when the test ends.
func open(t *testing.T, c stack.Config) *stack.Stack {
	t.Helper()
	s, err := stack.Open(t.Context(), c)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// refused opens what cannot be opened and gives the kind of the error.
func refused(t *testing.T, c stack.Config) (kind sim.Kind, text string) {
	t.Helper()
	s, err := stack.Open(t.Context(), c)
	if err == nil {
		t.Fatal(errors.Join(errors.New("opened what should be refused"), s.Close()))
	}
	return sim.KindOf(err), err.Error()
}

// kept is the configuration of a simulator on a data directory.
func kept(t *testing.T, dir string) stack.Config {
	t.Helper()
	c := simtest.Config(t)
	c.DataDir = dir
	return c
}

func TestDataDirectoryOfSomebodyElseIsRefusedAndUntouched(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		files map[string]string
		want  sim.Kind
		says  string
	}{
		"foreign files":  {map[string]string{"thesis.txt": "mine"}, sim.Invalid, "was not made by dpesim"},
		"newer format":   {map[string]string{"format": "99\n", "portal.db": "?"}, sim.Conflict, "has format 99"},
		"garbage format": {map[string]string{"format": "tea\n"}, sim.Invalid, "does not hold a format number"},
		"format zero":    {map[string]string{"format": "0\n"}, sim.Invalid, "does not hold a format number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for file, text := range tc.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			kind, text := refused(t, kept(t, dir))
			if kind != tc.want || !strings.Contains(text, tc.says) {
				t.Errorf("refused as %s: %s; want %s that says %q", kind, text, tc.want, tc.says)
			}
			if diff := cmp.Diff(tc.files, contents(t, dir)); diff != "" {
				t.Errorf("the directory was touched (-before +after):\n%s", diff)
			}
		})
	}
}

// contents reads the files of a flat directory.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(b)
	}
	return out
}

func TestDataDirectoryIsForOneAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, kept(t, dir))
	if kind, text := refused(t, kept(t, dir)); kind != sim.Conflict || !strings.Contains(text, "another dpesim uses") {
		t.Errorf("the second was refused as %s: %s", kind, text)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, kept(t, dir)) // the refused one left the lock to the first, and the first gave it back
}

// A dpesim that is killed before it has stamped its new directory leaves a lock file, and may leave half a stamp.
func TestDataDirectoryThatWasNeverStampedIsTaken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"lock", "format.123"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open(t, kept(t, dir))
}

func TestTemporaryDirectoryIsRemovedAtClose(t *testing.T) {
	t.Parallel()
	s := open(t, simtest.Config(t))
	e := s.Endpoints()
	if !e.Temporary {
		t.Error("a run without --data does not say that its state is temporary")
	}
	if _, err := os.Stat(e.Kubeconfig); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(e.DataDir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", e.DataDir, err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
	if s.Path("x") == "" { // still right after Close
		t.Error("no path")
	}
}

func TestKeptDirectoryKeepsItsPorts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := run(t, kept(t, dir))
	samePorts(t, first, run(t, kept(t, dir)))

	// Taken by somebody else meanwhile: another one is had.
	taken := listen(t, address(t, first.Portal))
	if taken == nil {
		return // by somebody else indeed
	}
	second := run(t, kept(t, dir))
	if second.Portal == first.Portal {
		t.Errorf("the portal is at %s, which is taken", second.Portal)
	}
	if second.Edge != first.Edge && listen(t, first.Edge) != nil {
		t.Errorf("the edge was at %s and is at %s, though nobody took its port", first.Edge, second.Edge)
	}
}

// run opens a stack, closes it and gives where it was.
func run(t *testing.T, c stack.Config) stack.Endpoints {
	t.Helper()
	s, err := stack.Open(t.Context(), c)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	return s.Endpoints()
}

// samePorts fails unless the ports of a and b are the same, but for those that another process took in between.
func samePorts(t *testing.T, a, b stack.Endpoints) {
	t.Helper()
	for name, at := range map[string][2]string{
		"portal":     {address(t, a.Portal), address(t, b.Portal)},
		"edge":       {a.Edge, b.Edge},
		"proxy":      {address(t, a.Proxy), address(t, b.Proxy)},
		"kubernetes": {address(t, a.Kubernetes), address(t, b.Kubernetes)},
	} {
		if at[0] != at[1] && listen(t, at[0]) != nil {
			t.Errorf("%s was at %s and is at %s, though nobody took its port", name, at[0], at[1])
		}
	}
}

// address gives host:port of a URL.
func address(t *testing.T, s string) string {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// listen takes an address until the test ends; nil: it is taken.
func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", addr)
	if err != nil {
		return nil
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

func TestDamagedPortsFileIsExplained(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, kept(t, dir))
	if err := os.WriteFile(filepath.Join(dir, "ports.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if kind, text := refused(t, kept(t, dir)); kind != sim.Invalid || !strings.Contains(text, "is damaged") {
		t.Errorf("refused as %s: %s", kind, text)
	}
}

func TestWhatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*stack.Config){
		"portal for everybody":    func(c *stack.Config) { c.HTTPAddr = "0.0.0.0:0" },
		"edge for everybody":      func(c *stack.Config) { c.TLSAddr = ":0" },
		"proxy for everybody":     func(c *stack.Config) { c.ProxyAddr = "0.0.0.0:0" },
		"no port":                 func(c *stack.Config) { c.TLSAddr = "localhost" },
		"empty domain":            func(c *stack.Config) { c.Domain = "" },
		"upper-case domain":       func(c *stack.Config) { c.Domain = "Example.test" },
		"domain with a slash":     func(c *stack.Config) { c.Domain = "a/b" },
		"domain, empty label":     func(c *stack.Config) { c.Domain = "a..b" },
		"domain, leading hyphen":  func(c *stack.Config) { c.Domain = "-a.b" },
		"node CA without one":     func(c *stack.Config) { c.NodeCAs = []string{"stack_test.go"} },
		"node CA that is no file": func(c *stack.Config) { c.NodeCAs = []string{"none.pem"} },
		"no source address":       func(c *stack.Config) { c.Source = netip.Addr{} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := simtest.Config(t)
			change(&c)
			if kind, text := refused(t, c); kind != sim.Invalid {
				t.Errorf("refused as %s: %s", kind, text)
			}
		})
	}
}

// The portal is named as the user named it, whatever address that is.
func TestPortalKeepsTheHostNameThatTheUserGave(t *testing.T) {
	t.Parallel()
	c := simtest.Config(t)
	c.HTTPAddr = "localhost:0"
	s := simtest.StartConfig(t, c)
	if p := s.Endpoints().Portal; !strings.HasPrefix(p, "http://localhost:") {
		t.Errorf("the portal is at %s", p)
	}
	if err := s.API.Live(t.Context()); err != nil {
		t.Error(err)
	}
}

// Not parallel: it counts the goroutines of the process.
func TestNothingIsLeft(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	cycle := func() {
		s, err := stack.Open(t.Context(), simtest.Config(t))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx) }()
		if err := s.WaitReady(t.Context()); err != nil {
			t.Error(err)
		}
		stop()
		if err := errors.Join(<-served, s.Close()); err != nil {
			t.Error(err)
		}
	}
	cycle() // libraries start what they never stop, once

	t.Run("after serving", func(t *testing.T) {
		before := runtime.NumGoroutine()
		cycle()
		nothingLeft(t, before, tmp)
	})
	t.Run("after closing unserved", func(t *testing.T) {
		before := runtime.NumGoroutine()
		run(t, simtest.Config(t))
		nothingLeft(t, before, tmp)
	})
	t.Run("after closing while it serves", func(t *testing.T) {
		before := runtime.NumGoroutine()
		s, err := stack.Open(t.Context(), simtest.Config(t))
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- s.Serve(t.Context()) }()
		if err := errors.Join(s.WaitReady(t.Context()), s.Close(), <-served); err != nil {
			t.Error(err)
		}
		nothingLeft(t, before, tmp)
	})
	for part, change := range map[string]func(c *stack.Config, taken string){
		"edge":    func(c *stack.Config, taken string) { c.TLSAddr = taken },
		"proxy":   func(c *stack.Config, taken string) { c.ProxyAddr = taken },
		"cluster": func(c *stack.Config, taken string) { c.ClusterAddr = taken },
		"portal":  func(c *stack.Config, taken string) { c.HTTPAddr = taken },
	} {
		t.Run("after opening the "+part+" failed", func(t *testing.T) {
			before := runtime.NumGoroutine()
			dir := t.TempDir()
			first := run(t, kept(t, dir))
			ln := listen(t, "127.0.0.1:0")
			c := kept(t, dir)
			change(&c, ln.Addr().String())
			if _, text := refused(t, c); !strings.Contains(text, "taken") {
				t.Errorf("refused with %s", text)
			}
			samePorts(t, first, run(t, kept(t, dir)))
			nothingLeft(t, before, tmp)
		})
	}
}

// nothingLeft waits until there are no more goroutines than before and makes sure that no temporary file is left.
func nothingLeft(t *testing.T, before int, tmp string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
	if left, err := filepath.Glob(filepath.Join(tmp, "dpesim-*")); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v %v", left, err)
	}
}
