package portal

import (
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim"
)

// "Therefore, we recommend not using any segments specific to the platform release versions in the label name." (seed, "Name
// and label")
func TestLabelsWithReleasesAreWarnedOf(t *testing.T) {
	t.Parallel()
	for name, segment := range map[string]string{
		"Finance 15.3": "15-3", "Finance 15.3.0 EU": "15-3-0", "v15 finance": "v15", "Finance release 15": "release-15", "15.1 finance": "15-1",
		"Finance": "", "Finance 2": "", "Revenue 2026": "", "DC 7 rack": "", "server1": "", "river": "", "": "",
	} {
		l := sim.Label(sim.Slug(name))
		got := labelWarning(l)
		if (got == "") != (segment == "") || !strings.HasPrefix(got, segment) {
			t.Errorf("%q, label %s: %q, want it to name %q", name, l, got, segment)
		}
	}
}
