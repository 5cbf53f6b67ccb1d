package kind_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/kind"
	"github.com/dpesim/dpesim/sim/simtest"
)

// The words are what Docker, Podman, kubelets and kind said on real machines.
func TestEachFailureHasItsRemedy(t *testing.T) {
	t.Parallel()
	for cause, remedy := range map[string]string{
		`permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.50/containers/json": dial unix /var/run/docker.sock: connect: permission denied`: "group docker",
		"Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?":                                                                                                                               "start the container engine",
		"error during connect: this error may indicate that the docker daemon is not running: open //./pipe/docker_engine: The system cannot find the file specified.":                                                                    "start the container engine",
		"Error: unable to connect to Podman socket: failed to connect: dial tcp 127.0.0.1:49180: connect: connection refused":                                                                                                             "start the container engine",
		"docker: Error response from daemon: failed to create endpoint: write /var/lib/docker/network/files/local-kv.db: no space left on device":                                                                                         "disk is full",
		"Error response from daemon: toomanyrequests: You have reached your unauthenticated pull rate limit.":                                                                                                                             "docker login",
		"Error response from daemon: no matching manifest for linux/riscv64 in the manifest list entries":                                                                                                                                 "processor",
		`failed to pull image "kindest/node:v9": command "docker pull kindest/node:v9" failed with error: exit status 1`:                                                                                                                  "--kind-node-image",
		"Error response from daemon: pull access denied for nosuch/node, repository does not exist or may require 'docker login'":                                                                                                         "--kind-node-image",
		"Error response from daemon: manifest for kindest/node:v9 not found: manifest unknown: manifest unknown":                                                                                                                          "--kind-node-image",
		"docker: Error response from daemon: driver failed programming external connectivity on endpoint dpesim-control-plane: Bind for 127.0.0.1:6443 failed: port is already allocated.":                                                "has a port",
		"Error response from daemon: could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network":                                                                                          "docker network prune",
		`docker: Error response from daemon: Conflict. The container name "/dpesim-control-plane" is already in use by container "8c1f".`:                                                                                                 "--kind-name",
		"Error response from daemon: container 8c1f is not running":                                                                                                                                                                       "run it again",
		"Error response from daemon: No such container: dpesim-control-plane":                                                                                                                                                             "run it again",
		`could not find a log line that matches "Reached target .*Multi-User System.*|detected cgroup v1"`:                                                                                                                                "inotify",
		"running kind with rootless provider requires cgroup v2, see https://kind.sigs.k8s.io/docs/user/rootless/":                                                                                                                        "cgroup v2",
		"KubeletNotReady: container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized":                                                          "network was not set up",
		"something that nobody has seen before": "dpesim doctor --cluster kind",
	} {
		if got := kind.Remedy(cause); !strings.Contains(got, remedy) {
			t.Errorf("%s\n  got %q, want %q", cause, got, remedy)
		}
	}
}

// engine puts a docker on the PATH that has no cluster yet. What it does beyond that is written in shell.
func engine(t *testing.T, script string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the docker of this test is a shell script")
	}
	dir := t.TempDir()
	text := `#!/bin/sh
case "$1" in
-v) echo "Docker version 28.2.2, build e6534b4"; exit ;;
` + script + `
info) echo '{"CgroupVersion": "2", "MemoryLimit": true, "PidsLimit": true, "CPUShares": true}' ;;
esac
`
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(text), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

// open tries to make a cluster and gives what was told, and the error.
func open(t *testing.T, o kind.Options) (told []string, failure *sim.Error) {
	t.Helper()
	o.Name, o.Dir = "dpesim-test-fails", t.TempDir()
	o.Progress = func(what string) { told = append(told, what) }
	c, err := kind.Open(t.Context(), o)
	if err == nil {
		t.Fatal(errors.Join(errors.New("the cluster was made"), c.Close()))
	}
	failure, ok := errors.AsType[*sim.Error](err)
	if !ok || failure.Kind != sim.Unavailable {
		t.Fatalf("got %v", err)
	}
	return told, failure
}

func expect(t *testing.T, e *sim.Error, msg, help string) {
	t.Helper()
	if !strings.Contains(e.Msg, msg) || !strings.Contains(e.Help, help) {
		t.Errorf("got %q and %q, want %q and %q", e.Msg, e.Help, msg, help)
	}
}

func TestAnEngineThatFailsIsExplained(t *testing.T) {
	for name, tc := range map[string]struct{ script, msg, help string }{
		"not started": {
			`ps) echo "Cannot connect to the Docker daemon at tcp://127.0.0.1:1. Is the docker daemon running?" >&2; exit 1 ;;`,
			"does not answer: Cannot connect to the Docker daemon", "start the container engine",
		},
		"not allowed": {
			`ps) echo "permission denied while trying to connect to the Docker daemon socket" >&2; exit 1 ;;`,
			"does not answer: permission denied", "group docker",
		},
		"a taken port": {
			`run) echo "Bind for 127.0.0.1:6443 failed: port is already allocated." >&2; echo "Run 'docker run --help' for more information" >&2; exit 125 ;;`,
			"the kind cluster dpesim-test-fails was not made (preparing nodes): Bind for 127.0.0.1:6443 failed: port is already allocated.", "another program has a port",
		},
		"a full disk": {
			`run) echo "mkdir /var/lib/docker/overlay2/1: no space left on device." >&2; exit 125 ;;`,
			"no space left on device", "disk is full",
		},
		"gone in the middle": {
			`run) exit ;; logs) echo "Cannot connect to the Docker daemon" >&2; exit 1 ;;`,
			"was not made (preparing nodes): Cannot connect to the Docker daemon", "start the container engine",
		},
	} {
		t.Run(name, func(t *testing.T) {
			engine(t, tc.script)
			_, failure := open(t, kind.Options{})
			expect(t, failure, tc.msg, tc.help)
		})
	}
	t.Run("none", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		_, failure := open(t, kind.Options{})
		expect(t, failure, "neither Docker, nor nerdctl, nor Podman is on the PATH", "--cluster inprocess")
	})
}

// A busy machine may be too slow for kind at the first time.
func TestASlowNodeIsMadeOnceMore(t *testing.T) {
	made := filepath.Join(t.TempDir(), "made")
	engine(t, `run) echo node >> `+made+` ;; logs) echo "still starting" ;;`)
	told, failure := open(t, kind.Options{})
	expect(t, failure, "could not find a log line", "inotify")
	if text, err := os.ReadFile(made); err != nil || strings.Count(string(text), "node") != 2 || !slices.Contains(told, "the node was slow to start, and is made once more") {
		t.Errorf("made was %q, %v; told %q", text, err, told)
	}
}

// A phase that lasts is told again, with what it waits for.
func TestALongPhaseSaysWhatItWaitsFor(t *testing.T) {
	engine(t, `inspect) exit 1 ;; pull) sleep 0.3 ;; run) echo "no space left on device" >&2; exit 125 ;;`)
	fast := clock.New()
	fast.Scale(100)
	told, _ := open(t, kind.Options{Clock: fast, NodeImage: "node:big"})
	if !slices.ContainsFunc(told, func(s string) bool {
		return strings.HasPrefix(s, "still ensuring node image (node:big), for ") && strings.HasSuffix(s, "is being pulled")
	}) {
		t.Errorf("told was %q", told)
	}
	if i := slices.Index(told, "Ensuring node image (node:big)"); i < 0 || !slices.Contains(told[i:], "Preparing nodes") {
		t.Errorf("the phases are %q", told)
	}
}

func TestOnlyAnUnusedClusterOfASimulatorIsRemoved(t *testing.T) {
	const ps = `case "$*" in *kind.cluster=*) echo %s-control-plane ;; ps*) echo %s ;; esac`
	for name, tc := range map[string]struct {
		name, owner string
		kind        sim.Kind
		says        string
	}{
		"kept":            {"dpesim-kept", "echo 0", -1, ""},
		"left":            {"dpesim-left", "echo 2147483647", -1, ""},
		"in use":          {"dpesim-used", "echo 1", sim.Conflict, "is used by the simulator with process id 1"},
		"somebody else's": {"work", "exit 1", sim.Conflict, "no simulator made it"},
		"not there":       {"dpesim-other", "", sim.NotFound, "no kind cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			there := tc.name
			if tc.owner == "" {
				there = "dpesim"
			}
			removed := filepath.Join(t.TempDir(), "removed")
			engine(t, `ps) `+strings.ReplaceAll(ps, "%s", there)+` ;; inspect) echo control-plane ;; exec) `+tc.owner+` ;; rm) echo "$@" > `+removed+` ;;`)
			err := kind.Remove(kind.Options{Name: tc.name})
			_, stat := os.Stat(removed)
			if tc.says == "" {
				if err != nil || stat != nil {
					t.Errorf("got %v, %v", err, stat)
				}
				return
			}
			if e, ok := errors.AsType[*sim.Error](err); !ok || e.Kind != tc.kind || !strings.Contains(e.Msg, tc.says) || stat == nil {
				t.Errorf("got %v; removed: %t", err, stat == nil)
			}
		})
	}
}

// With a real engine: an image that is nowhere, and an engine that is elsewhere.
func TestRealFailuresAreExplained(t *testing.T) {
	simtest.RequireBuilt(t, "kind")
	t.Run("no image", func(t *testing.T) {
		_, failure := open(t, kind.Options{NodeImage: "nosuch.invalid/node:1"})
		expect(t, failure, "was not made (ensuring node image (nosuch.invalid/node:1)): Error response from daemon", "the node image cannot be had")
		if left, err := exec.CommandContext(t.Context(), "docker", "ps", "--all", "--format", "{{.Names}}").Output(); err != nil || strings.Contains(string(left), "dpesim-test-fails") {
			t.Errorf("left are %q, %v", left, err)
		}
	})
	t.Run("no engine", func(t *testing.T) {
		t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
		_, failure := open(t, kind.Options{})
		expect(t, failure, "the container engine does not answer: Cannot connect to the Docker daemon at tcp://127.0.0.1:1", "DOCKER_HOST")
	})
}
