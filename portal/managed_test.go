package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// TestLicenceIsSharedWithManagedDPEs: "The number of allowed replicas is shared between all self-managed DPEs and
// Ataccama-managed DPEs." (seed, "Replicas")
func TestLicenceIsSharedWithManagedDPEs(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod", EnginesAllowed: 1, ReplicasAllowed: 5})
	if m := must(s.ScaleManaged(ctx, e.ID, 3, 0))(t); m.Replicas != 3 || m.Label != "ataccama-managed" || m.Release != e.Release {
		t.Errorf("scaled: %+v", m)
	}
	_, err := s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance", Replicas: 3})
	wantError(t, err, sim.Exhausted, "has no room for 3 replicas: the licence allows 5, others use 3 (Ataccama-managed 3) and 2 are free")
	d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance", Replicas: 2}))(t) // the one engine of the contract: managed ones do not count
	_, err = s.ScaleManaged(ctx, e.ID, 4, 0)
	wantError(t, err, sim.Exhausted, "has no room for 4 replicas: the licence allows 5, others use 2 (finance 2) and 3 are free")
	three := 3
	_, err = s.EditDPE(ctx, e.ID, d.Label, api.DPEEdit{Replicas: &three}, 0)
	wantError(t, err, sim.Exhausted, "others use 3 (Ataccama-managed 3)")
	if u := must(s.Environment(ctx, e.ID))(t).Usage; u.Engines != 1 || u.Replicas != 5 || u.Managed != 3 {
		t.Errorf("usage %+v", u)
	}
	if got := s.post(t, "/environments/prod/managed", url.Values{"replicas": {"4"}}); got.code != 422 || !strings.Contains(got.body, "finance 2") {
		t.Errorf("the form: %d", got.code)
	} else {
		checkPage(t, got.body)
	}
	// "This frees up the DPE replicas allocated to the self-managed deployment and makes them available for use elsewhere
	// (for example, for cloud DPEs [...])." (seed, "Remove a self-managed DPE")
	if err := s.RemoveDPE(ctx, e.ID, d.Label, 0); err != nil {
		t.Fatal(err)
	}
	if got := s.post(t, "/environments/prod/managed", url.Values{"replicas": {"5"}}); got.code != http.StatusSeeOther {
		t.Errorf("the form: %d %s", got.code, got.body)
	}
	if got := s.get(t, "/environments/prod/jobs"); !strings.Contains(got.body, `value="ataccama-managed"`) {
		t.Errorf("the form of a job does not offer the managed DPEs: %d", got.code)
	}
	in := must(s.Intents(ctx))(t)[0].Managed
	if in.Replicas != 5 || in.PublicKey == nil || in.Key == "" || in.SecretKey == "" {
		t.Errorf("the intent: %d replicas", in.Replicas)
	}
	if must(s.ScaleManaged(ctx, e.ID, 0, 0))(t); must(s.Intents(ctx))(t)[0].Managed.KeyID != in.KeyID {
		t.Error("scaling made another key")
	}
	s.wait(t, func(x sim.Event) bool {
		return x.What == "managed dpes scaled" && x.Detail["from"] == "5" && x.Detail["to"] == "0"
	})
	if a := must(s.Audit(ctx, api.AuditFilter{Environment: e.ID}))(t)[0]; a.Action != "Ataccama-managed DPEs scaled" || a.Detail["to"] != "0" {
		t.Errorf("audit: %+v", a)
	}
	_, err = s.ScaleManaged(ctx, e.ID, -1, 0)
	wantError(t, err, sim.Invalid, "there cannot be -1 replicas")
	_, err = s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Ataccama managed"})
	wantError(t, err, sim.Conflict, "is that of the Ataccama-managed DPEs")
	if _, err = s.as("mia").ScaleManaged(ctx, e.ID, 1, 0); sim.KindOf(err) != sim.Forbidden {
		t.Errorf("a member scales: %v", err)
	}
}
