package stack

import (
	"testing"

	"github.com/dpesim/dpesim/sim"
)

// An image that no registry has does not run, least of all under a release that does not exist.
func TestOnlyImagesOfKnownReleasesRun(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]struct {
		release sim.Release
		kind    sim.Kind
	}{
		"localhost:8443/images/dpe:15.1.0":    {release: "15.1.0"},
		"registry.example/images/dpe:15.3.0":  {release: "15.3.0"},
		"localhost:8443/images/dpe:99.9.9":    {kind: sim.NotFound},
		"localhost:8443/images/dpe:latest":    {kind: sim.NotFound},
		"localhost:8443/images/dpe:":          {kind: sim.NotFound},
		"localhost:8443/images/nosuch:15.1.0": {kind: sim.Invalid},
		"nginx":                               {kind: sim.Invalid},
	} {
		release, err := imageRelease(image)
		if want.release != "" && (err != nil || release != want.release) {
			t.Errorf("%s: %q, %v; want %q", image, release, err, want.release)
		}
		if want.release == "" && (err == nil || sim.KindOf(err) != want.kind) {
			t.Errorf("%s: %q, %v; want %v", image, release, err, want.kind)
		}
	}
}
