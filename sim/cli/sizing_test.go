package cli_test

import (
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/simtest"
)

func TestSizingFromTheCommandLine(t *testing.T) {
	t.Parallel()
	w := with(t, simtest.Start(t))
	w.ok("environment", "create", "Plain")
	w.fails(1, []string{"does not allow an exceptional sizing", "leave the sizing out"}, "dpe", "add", "plain", "Finance", "--sizing", "disk=200Gi")
	w.ok("environment", "create", "Acme", "--exceptional-sizing")
	if got := w.ok("environment", "get", "acme"); !strings.Contains(got, "Exceptional sizing  allowed") {
		t.Errorf("the environment: %s", got)
	}
	for _, wrong := range []string{"disk", "disk=", "memory=1Gi", "tier,disk=1Gi"} {
		w.fails(2, []string{"--sizing cannot have", "NAME=QUANTITY"}, "dpe", "add", "acme", "Finance", "--sizing", wrong)
	}
	w.fails(2, []string{"has disk twice"}, "dpe", "add", "acme", "Finance", "--sizing", "disk=1Gi,disk=2Gi")
	w.fails(1, []string{"the disk space \"much\" is no quantity"}, "dpe", "add", "acme", "Finance", "--sizing", "disk=much")
	d := decode[api.DPE](t, w.ok("dpe", "add", "acme", "Finance", "--sizing", "cpu-limit=4,memory-limit=8Gi", "-o", "json"))
	if d.ExceptionalSizing != (sim.Sizing{CPULimit: "4", MemoryLimit: "8Gi"}) {
		t.Errorf("added %+v", d.ExceptionalSizing)
	}
	if got := w.ok("dpe", "get", "acme", "finance"); !strings.Contains(got, "CPU 600m to 4, RAM 2000Mi to 8Gi, disk 100Gi (exceptional)") {
		t.Errorf("the DPE: %s", got)
	}
	d = decode[api.DPE](t, w.ok("dpe", "edit", "acme", "finance", "--sizing", "tier", "-o", "json"))
	if d.ExceptionalSizing != (sim.Sizing{}) || d.Revision != 2 {
		t.Errorf("with the tier's again: %+v", d)
	}
}
