package portal_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/portal"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/residue"
)

func TestResidueIsWhatTheCloudSays(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	want := residue.Filter{Environment: "acme", DPE: "edge-eu", All: true}
	if got := must(s.Residue(ctx, want))(t); got == nil || len(got) != 0 || s.cloud.asked != want {
		t.Errorf("%+v, asked for %+v", got, s.cloud.asked)
	}
	if got := s.send(t, http.MethodGet, "/api/v1/residue?all=perhaps", ""); got.code != http.StatusBadRequest {
		t.Errorf("a strange question is answered with %d", got.code)
	}
}

func TestHoldingsAreTheRowsOfWhatIsThere(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	env := s.environment(t, api.EnvironmentSpec{Name: "Acme"})
	must(s.AddDPE(ctx, env.ID, api.DPESpec{Name: "Edge EU"}))(t)
	must(s.EditDPE(ctx, env.ID, "edge-eu", api.DPEEdit{Replicas: new(2)}, 0))(t)
	want := []portal.Holding{
		{Environment: "acme", Created: epoch},
		{Environment: "acme", Label: "edge-eu", Created: epoch},
		{Environment: "acme", Label: "edge-eu", Revision: 1, Created: epoch},
		{Environment: "acme", Label: "edge-eu", Revision: 2, Created: epoch},
	}
	if d := cmp.Diff(want, must(s.Holdings(ctx))(t)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if err := s.RemoveDPE(ctx, env.ID, sim.Label("edge-eu"), 0); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want[:1], must(s.Holdings(ctx))(t)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
