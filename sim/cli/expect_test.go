package cli_test

import (
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim/simtest"
)

func TestExpectAndMatch(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	s.Environment(t, api.EnvironmentSpec{Name: "Acme", Release: "15.1.0"})
	w := with(t, s)
	w.ok("dpe", "add", "acme", "Finance", "--replicas", "2", "--drivers", "s3,postgresql")

	w.ok("expect", "environment/acme", "phase=ready", "usage.replicas=2", "name~^Acme$")
	w.ok("expect", "dpe/acme/finance", "replicas>=2", "drivers|length=2", "status.state!=connected")
	w.ok("expect", "managed/acme", "replicas=0")
	w.ok("expect", "allowlist/acme", "on=false")
	w.ok("expect", "node/dpesim-node-1", `status.conditions|map(select(.type == "Ready"))[0].status=True`)
	w.ok("expect", "nodes", "items|length=3")
	w.fails(1, []string{"dpe/acme/finance is not as expected", "replicas>=3: is 2", "status.state=connected: is not_connected"},
		"expect", "dpe/acme/finance", "replicas>=3", "label=finance", "status.state=connected")
	if r := w.run("expect", "pod/nosuch", "-n", "default", "a=1"); r.code != 1 || !strings.HasSuffix(r.stderr, "Error from server (NotFound): pods \"nosuch\" not found\n") {
		t.Errorf("a pod that is not there: exit code %d\n%s", r.code, r.stderr)
	}
	w.fails(1, []string{"no self-managed DPE", "nosuch"}, "expect", "dpe/acme/nosuch", "a=1")
	w.fails(2, []string{"is no condition"}, "expect", "environment/acme", "phase")
	w.fails(2, []string{"names no dpe"}, "expect", "dpe/finance", "a=1")
	w.fails(2, []string{"no namespaces"}, "expect", "environment/acme", "-n", "dpe", "a=1")
	w.fails(2, []string{"at least one condition"}, "expect", "environment/acme")

	file := w.file("want.yaml", "label: finance\nstatus:\n  colour: orange\ndrivers: [postgresql]\n")
	w.ok("match", file, "dpe/acme/finance")
	file = w.file("more.yaml", "label: finance\nreplicas: 5\nstatus: {colour: green}\n")
	w.fails(1, []string{"dpe/acme/finance is not as expected", ".replicas: wanted 5, is 2", `.status.colour: wanted "green", is "orange"`}, "match", file, "dpe/acme/finance")
	w.fails(2, []string{"is no YAML"}, "match", w.file("bad.yaml", "a: [\n"), "dpe/acme/finance")
	w.fails(2, []string{"cannot be read"}, "match", "nosuch.yaml", "dpe/acme/finance")
}
