package stack_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/dpm"
	"github.com/dpesim/dpesim/objstore"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/jwk"
	"github.com/dpesim/dpesim/sim/registry"
	"github.com/dpesim/dpesim/sim/residue"
	"github.com/dpesim/dpesim/sim/simtest"
)

// Services that keep what a removed DPE could be let in with are found out, each by itself, and until it is withdrawn.
func TestLeaksOfTheCloudAreFound(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	env := s.Environment(t, api.EnvironmentSpec{Name: "Acme"}).ID
	add(t, s.API, env, "Edge")
	if err := s.API.RemoveDPE(t.Context(), env, "edge", 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "nothing is left of the DPE", func() bool { return len(kinds(t, s, env, "edge")) == 0 })

	private, err := jwk.Generate()
	if err != nil {
		t.Fatal(err)
	}
	key := jwk.Fingerprint(&private.PublicKey)
	const secret = sim.Secret("0123456789abcdef0123456789abcdef")
	err = s.Plant(t.Context(), dpm.Component{Key: key, Label: "edge", PublicKey: &private.PublicKey},
		objstore.Credential{AccessKey: "PLANTEDPLANTED000000", SecretKey: secret, Label: "edge"}, registry.Token{User: "acme.edge", Secret: secret, Environment: env, Label: "edge"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PlantToken(t.Context(), registry.Token{User: "past.edge", Secret: secret, Environment: "past", Label: "edge"}); err != nil {
		t.Fatal(err)
	}
	leaked := func() (out []string) {
		all, err := s.API.Residue(t.Context(), residue.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if e.Class == residue.Leaked {
				out = append(out, string(e.Side)+" "+e.Kind+" "+e.Name+" by "+e.By+": "+e.Reason)
			}
		}
		slices.Sort(out)
		return out
	}
	want := []string{
		"dpm Key " + string(key) + " by dpe added: the DPE was removed in the portal",
		"registry Token acme.edge by dpe added: the DPE was removed in the portal",
		"registry Token past.edge by : environment past was deleted",
		"storage Credential PLANTEDPLANTED000000 by dpe added: the DPE was removed in the portal",
	}
	if diff := cmp.Diff(want, leaked()); diff != "" {
		t.Errorf("leaked (-want +got):\n%s", diff)
	}
	if err := s.Withdraw(t.Context(), env, key, "PLANTEDPLANTED000000", "acme.edge", "past.edge"); err != nil {
		t.Fatal(err)
	}
	if left := leaked(); len(left) > 0 {
		t.Errorf("still leaked: %q", left)
	}
}
