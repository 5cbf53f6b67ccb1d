package store

import (
	"testing"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// FuzzExceptionalSizing: what is accepted is a quantity that the chart takes, in one form, with requests within limits.
func FuzzExceptionalSizing(f *testing.F) {
	for _, s := range []string{"", "600m", "0.6", "1.5", "2000Mi", "2000m", "1e3", "100Gi", "-1", "0", " 2 ", "1Pi", "9999999999999999999Gi", "0.0001", "1.0000000001Gi"} {
		f.Add(s, s, s, s, s)
	}
	e := Environment{ID: "prod", Tier: sim.TierM, Contract: api.EnvironmentContract{ExceptionalSizing: true}}
	base, err := e.Tier.Sizing()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, cpuRequest, cpuLimit, memoryRequest, memoryLimit, disk string) {
		got, err := exceptional(e, sim.Sizing{CPURequest: cpuRequest, CPULimit: cpuLimit, MemoryRequest: memoryRequest, MemoryLimit: memoryLimit, Disk: disk})
		if err != nil {
			if sim.KindOf(err) != sim.Invalid {
				t.Fatal(err)
			}
			return
		}
		for _, x := range Figures() {
			v := *x.Of(&got)
			if _, ok := chart.ParseQuantity(v); v != "" && (!ok || v == *x.Of(&base)) {
				t.Errorf("%s is kept as %q", x.Words, v)
			}
		}
		if again, err := exceptional(e, got); err != nil || again != got {
			t.Errorf("%+v is not kept as it is: %+v, %v", got, again, err)
		}
	})
}
