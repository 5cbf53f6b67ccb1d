package portal_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// TestUpgradeIsPreviewed: "The new values.yml file might have additional values. This means that if you reuse an outdated
// configuration file, the upgrade can fail." (seed, "Self-managed DPE upgrades")
func TestUpgradeIsPreviewed(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod", Release: "14.5.0"})
	d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance"}))(t)
	must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "HR"}))(t)
	s.cloud.connect(ctx, e.ID, engine(d, "a"))
	values := []api.ValueChange{{Key: "dpm.endpoint", Change: "renamed", Was: "dpm.url"}, {Key: "objectStorage.bucket", Change: "new"}, {Key: "objectStorage.region", Change: "new"}}
	want := api.UpgradePreview{Revision: must(s.Environment(ctx, e.ID))(t).Revision, From: "14.5.0", To: "15.3.0", Oldest: "15.1.0", DPEs: []api.DPEUpgrade{
		{Label: "finance", Name: "Finance", Running: []sim.Release{"14.5.0"}, Outdated: true, UpgradeRequired: true, Values: values},
		{Label: "hr", Name: "HR", Running: []sim.Release{}, Values: values},
	}}
	if diff := cmp.Diff(want, must(s.as("mia").PreviewUpgrade(ctx, e.ID, "15.3.0"))(t)); diff != "" {
		t.Error(diff)
	}
	if x := must(s.PreviewUpgrade(ctx, e.ID, "15.1.0"))(t).DPEs[0]; x.UpgradeRequired || !x.Outdated {
		t.Errorf("to 15.1.0: %+v", x)
	}
	page := s.get(t, "/environments/prod/upgrade?release=15.3.0")
	for _, w := range []string{"Upgrade required", "DPM will refuse it until it is upgraded", "<code>dpm.url</code> is renamed to <code>dpm.endpoint</code>", "<code>objectStorage.region</code> is new", "not installed yet", "Upgrade platform"} {
		if !strings.Contains(page.body, w) {
			t.Errorf("the page does not say %q", w)
		}
	}
	checkPage(t, page.body)
	if r := must(s.Environment(ctx, e.ID))(t).Release; r != "14.5.0" {
		t.Errorf("a preview upgraded to %s", r)
	}
	_, err := s.PreviewUpgrade(ctx, e.ID, "14.5.0")
	wantError(t, err, sim.Invalid, "it has release 14.5.0")
}
