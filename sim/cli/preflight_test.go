package cli_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim/cluster/preflight"
	"github.com/dpesim/dpesim/sim/simtest"
)

// look runs a preflight check and gives its rows.
func (w world) look(code int, args ...string) []preflight.Check {
	w.t.Helper()
	r := w.run(append([]string{"cluster", "preflight", "-o", "json"}, args...)...)
	if r.code != code || r.stderr != "" {
		w.t.Fatalf("%v: exit code %d, want %d\n%s%s", args, r.code, code, r.stdout, r.stderr)
	}
	return decode[[]preflight.Check](w.t, r.stdout)
}

// tool runs a linked-in program, which must end well, and gives its stdout. With the race detector kubectl says so on stderr.
func (w world) tool(args ...string) string {
	w.t.Helper()
	r := w.run(args...)
	if r.code != 0 {
		w.t.Fatalf("%v: exit code %d\n%s", args, r.code, r.stderr)
	}
	return r.stdout
}

// says looks for a row in that state that says so.
func says(t *testing.T, checks []preflight.Check, check string, state preflight.State, seen string) {
	t.Helper()
	i := slices.IndexFunc(checks, func(c preflight.Check) bool { return c.Check == check })
	if i < 0 {
		t.Fatalf("no row %s in %+v", check, checks)
	}
	if c := checks[i]; c.State != state || !strings.Contains(c.Seen, seen) || (c.State == preflight.OK) != (c.Remedy == "") {
		t.Errorf("got %+v, want %s, %s: %s", c, check, state, seen)
	}
}

func TestPreflightTellsWhatWouldFail(t *testing.T) {
	t.Parallel()
	w := with(t, simtest.Start(t))
	w.ok("environment", "create", "Acme", "--tier", "L")

	before := w.look(0, "--tier", "L", "--replicas", "2")
	says(t, before, "admission", preflight.OK, "admits")
	says(t, before, "room", preflight.OK, "for 3 of the 3 replicas that an update has")
	says(t, before, "storage class", preflight.OK, "volumes are made where the pod is scheduled")
	says(t, before, "reach", preflight.Unknown, "no DPE yet")

	w.ok("dpe", "add", "acme", "Finance", "--replicas", "2")
	good := w.look(0, "acme", "finance")
	says(t, good, "release", preflight.OK, "the name finance is free in the namespace dpe")
	for _, row := range []string{"pod", "DPM", "object storage"} {
		says(t, good, row, preflight.OK, "")
	}
	says(t, good, "network", preflight.Unknown, "not modelled")

	says(t, w.look(1, "acme", "finance", "--replicas", "6"), "room", preflight.Failed, "for 6 of the 7 replicas")
	says(t, w.look(1, "acme", "finance", "--storage-class", "fast"), "storage class", preflight.Failed, `none called "fast"; it has standard`)

	nodes := strings.Fields(w.tool("kubectl", "get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"))
	w.tool("kubectl", "cordon", nodes[0])
	w.tool("kubectl", "taint", "node", nodes[1], "only=others:NoSchedule")
	narrow := w.look(1, "acme", "finance")
	says(t, narrow, "room", preflight.Failed, "for 2 of the 3 replicas")
	says(t, narrow, "room", preflight.Failed, nodes[0]+" takes no new pods (cordoned)")
	says(t, narrow, "room", preflight.Failed, nodes[1]+" has the taint only=others:NoSchedule")
	w.tool("kubectl", "uncordon", nodes[0])
	w.tool("kubectl", "taint", "node", nodes[1], "only-")

	w.tool("kubectl", "create", "namespace", "dpe")
	w.tool("kubectl", "create", "deployment", "other", "--image", "x", "-n", "dpe")
	says(t, w.look(1, "acme", "finance", "--release-name", "other"), "release", preflight.Failed, "not Helm's")
	w.tool("kubectl", "delete", "deployment", "other", "-n", "dpe", "--wait=true")

	// A release of the DPE's chart is its own; one of another chart is not.
	for name, chart := range map[string]string{"finance": "dpe", "foreign": "nginx"} {
		dir := filepath.Join(w.dir, name)
		if err := os.MkdirAll(filepath.Join(dir, "templates"), 0o700); err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string]string{
			"Chart.yaml":          "apiVersion: v2\nname: " + chart + "\nversion: 1.0.0\n",
			"templates/some.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: of-" + name + "}\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(file)), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.tool("helm", "install", name, dir, "--namespace", "dpe")
	}
	says(t, w.look(0, "acme", "finance"), "release", preflight.OK, "would be upgraded")
	says(t, w.look(1, "acme", "finance", "--release-name", "foreign"), "release", preflight.Failed, "another chart: nginx")

	w.fails(2, []string{"ENVIRONMENT DPE"}, "cluster", "preflight", "acme")
	w.fails(1, []string{"sizing tier"}, "cluster", "preflight", "--tier", "XL")
}

// An endpoint that refuses the organisation's address is found before helm waits in vain.
func TestPreflightFindsAnAllowlistThatShutsOut(t *testing.T) {
	t.Parallel()
	w := with(t, simtest.Start(t))
	w.ok("environment", "create", "Acme")
	w.ok("dpe", "add", "acme", "Finance")
	w.ok("allowlist", "add", "acme", "192.0.2.1/32")
	w.ok("allowlist", "on", "acme")
	checks := w.look(1, "acme", "finance")
	says(t, checks, "DPM", preflight.Failed, "dpm-grpc-acme")
	says(t, checks, "object storage", preflight.Failed, "minio-acme")
}
