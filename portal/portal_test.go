package portal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/portal"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/sim/jwk"
)

// wantError checks an error's kind, and that its words hold all of words.
func wantError(t *testing.T, err error, kind sim.Kind, words ...string) {
	t.Helper()
	e, ok := errors.AsType[*sim.Error](err)
	if !ok || e.Kind != kind {
		t.Fatalf("error is %v (%v), want kind %v", err, sim.KindOf(err), kind)
	}
	for _, w := range words {
		if !strings.Contains(e.Msg+" "+e.Help, w) {
			t.Errorf("error %q, help %q: does not say %q", e.Msg, e.Help, w)
		}
	}
}

func TestNewPortalHasAcmeWithItsAgreements(t *testing.T) {
	t.Parallel()
	s := start(t)
	o := must(s.Organisation(t.Context()))(t)
	want := api.Organisation{
		ID: "acme", Name: "Acme", Contract: api.Contract{EnginesPerEnvironment: 5},
		Licence: api.Licence{ReplicasPerEnvironment: 10, Expires: epoch.AddDate(1, 0, 0)}, Usage: []api.EnvironmentUsage{},
	}
	if d := cmp.Diff(want, o); d != "" {
		t.Error(d)
	}
	if got := must(s.Releases(t.Context()))(t); !slices.Contains(got, "15.3.0") {
		t.Errorf("releases are %v", got)
	}
	if d := cmp.Diff(sim.Drivers(), must(s.Client.Drivers(t.Context()))(t)); d != "" {
		t.Error(d)
	}
}

// TestSizingIsThatOfTheTiers: "These are the default sizing values for existing tiers (per replica)" (seed, "Sizing and resource
// requirements").
func TestSizingIsThatOfTheTiers(t *testing.T) {
	t.Parallel()
	s := start(t)
	want := []api.TierSizing{
		{Tier: "S", Sizing: sim.Sizing{CPURequest: "600m", CPULimit: "1600m", MemoryRequest: "2000Mi", MemoryLimit: "2000Mi", Disk: "100Gi"}},
		{Tier: "M", Sizing: sim.Sizing{CPURequest: "1000m", CPULimit: "1500m", MemoryRequest: "3000Mi", MemoryLimit: "3000Mi", Disk: "350Gi"}},
		{Tier: "L", Sizing: sim.Sizing{CPURequest: "1000m", CPULimit: "2000m", MemoryRequest: "5000Mi", MemoryLimit: "5000Mi", Disk: "600Gi"}},
	}
	if diff := cmp.Diff(want, must(s.Sizing(t.Context()))(t)); diff != "" {
		t.Error(diff)
	}
	s.environment(t, api.EnvironmentSpec{Name: "Prod", Tier: sim.TierL})
	page := s.get(t, "/environments/prod/settings").body
	for _, row := range []string{
		`<th scope="row">S</th><td>600m</td><td>1600m</td><td>2000Mi</td><td>2000Mi</td><td>100Gi</td>`,
		`<th scope="row">M</th><td>1000m</td><td>1500m</td><td>3000Mi</td><td>3000Mi</td><td>350Gi</td>`,
		`<th scope="row">L <span class="badge">this</span></th><td>1000m</td><td>2000m</td><td>5000Mi</td><td>5000Mi</td><td>600Gi</td>`,
	} {
		if !strings.Contains(page, row) {
			t.Errorf("the Service sizing table on the Settings tab has no %s", row)
		}
	}
}

// TestEnvironmentIsCreatingUntilSettledAndGoneWhenDeleted: "It is not possible to install a self-managed DPE during the initial
// creation of an environment. Create an environment first." (seed, "Create a regular environment")
func TestEnvironmentIsCreatingUntilSettledAndGoneWhenDeleted(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := must(s.CreateEnvironment(ctx, api.EnvironmentSpec{Name: " Acme Production "}))(t)
	if e.ID != "acme-production" || e.Name != "Acme Production" || e.Phase != api.PhaseCreating || e.Release != "15.3.0" || e.Tier != "S" || e.Cloud != "azure" || e.Region != "westeurope" {
		t.Errorf("created %+v", e)
	}
	_, err := s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance"})
	wantError(t, err, sim.Conflict, "still being created", "initial creation")
	_, err = s.CreateEnvironment(ctx, api.EnvironmentSpec{Name: "acme  production"})
	wantError(t, err, sim.Conflict, "Acme Production", "acme-production")

	stale := must(s.Intents(ctx))(t)[0]
	s.reconcile(t)
	if got := must(s.Environment(ctx, e.ID))(t); got.Phase != api.PhaseReady {
		t.Errorf("phase after Settled is %s", got.Phase)
	}
	if got := must(s.DeleteEnvironment(ctx, e.ID, 0))(t); got.Phase != api.PhaseDeleting {
		t.Errorf("phase after DELETE is %s", got.Phase)
	}
	if err := s.Settled(ctx, stale); err != nil {
		t.Fatal(err)
	}
	if got := must(s.Environment(ctx, e.ID))(t); got.Phase != api.PhaseDeleting {
		t.Errorf("a stale intent settled phase %s", got.Phase)
	}
	s.reconcile(t)
	_, err = s.Environment(ctx, e.ID)
	wantError(t, err, sim.NotFound, "acme-production")
	want := []string{"environment created", "environment ready", "environment deletion requested", "environment deleted"}
	events := s.bus.Since(0)
	if d := cmp.Diff(want, whats(events)); d != "" {
		t.Error(d)
	}
	if events[1].Cause != events[0].Seq || events[3].Cause != events[2].Seq {
		t.Errorf("causes do not chain: %+v", events)
	}
}

func TestEnvironmentSpecIsChecked(t *testing.T) {
	t.Parallel()
	s := start(t)
	for name, c := range map[string]struct {
		spec  api.EnvironmentSpec
		words string
	}{
		"no name":          {api.EnvironmentSpec{Name: "  "}, "name is missing"},
		"no letters":       {api.EnvironmentSpec{Name: "!!!"}, "host name"},
		"long name":        {api.EnvironmentSpec{Name: strings.Repeat("a", 101)}, "longer than 100"},
		"control":          {api.EnvironmentSpec{Name: "a\x00b"}, "printed"},
		"unknown release":  {api.EnvironmentSpec{Name: "a", Release: "99.0.0"}, "15.3.0"},
		"broken release":   {api.EnvironmentSpec{Name: "a", Release: "new"}, "MAJOR.MINOR.PATCH"},
		"unknown tier":     {api.EnvironmentSpec{Name: "a", Tier: "XL"}, "sizing tier"},
		"unknown location": {api.EnvironmentSpec{Name: "a", Cloud: "azure", Region: "eu-central-1"}, "aws/eu-central-1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := s.CreateEnvironment(t.Context(), c.spec)
			wantError(t, err, sim.Invalid, c.words)
		})
	}
}

// TestDPEIsAddedWithWhatItNeeds: "provides you with the Helm values required to install the DPE Helm chart in your cluster"
// (seed, "Installation"); "The Ataccama repository address [...] is a part of the shown installation command as well." (seed,
// "Connectivity to the installation artifacts registry")
func TestDPEIsAddedWithWhatItNeeds(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod", Release: "15.1.0", Tier: sim.TierM})
	d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance Warehouse", Drivers: []sim.Driver{"s3", "postgresql"}, Replicas: 2}))(t)
	want := api.DPE{
		Environment: "prod", Label: "finance-warehouse", Name: "Finance Warehouse", Drivers: []sim.Driver{"postgresql", "s3"}, Replicas: 2,
		Sizing:  sim.Sizing{CPURequest: "1000m", CPULimit: "1500m", MemoryRequest: "3000Mi", MemoryLimit: "3000Mi", Disk: "350Gi"},
		Release: "15.1.0", Revision: 1, KeyID: d.KeyID, Created: epoch, RegistryTokenExpires: epoch.Add(365 * 24 * time.Hour),
		Status: api.Status{
			State: api.StateNotConnected, Colour: api.Orange, Message: "DPE isn't connected yet", Detail: "0 of 2 replicas connected",
			ReplicasWanted: 2, Differences: []api.Difference{}, Running: []sim.Release{}, Platform: "15.1.0", OldestRelease: "14.5.0",
		},
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
	in := must(s.Intents(ctx))(t)[0]
	if len(in.DPEs) != 1 {
		t.Fatalf("intent is %+v", in)
	}
	x := in.DPEs[0]
	if x.Label != d.Label || x.KeyID != d.KeyID || jwk.Fingerprint(x.PublicKey) != d.KeyID || x.AccessKey == "" || x.SecretKey == "" || x.RegistryToken == "" {
		t.Errorf("intent of the DPE is incomplete: %+v", x)
	}
	values := string(must(s.Values(ctx, e.ID, d.Label, ""))(t))
	for _, secret := range []sim.Secret{x.SecretKey, x.RegistryToken} {
		if !strings.Contains(values, secret.Reveal()) {
			t.Error("values.yaml lacks a secret of the intent")
		}
	}
	if token := must(s.RegistryToken(ctx, e.ID, d.Label))(t); !token.Equal(x.RegistryToken) {
		t.Error("the registry token is not that of the intent")
	}
	if ca := must(s.CA(ctx, e.ID))(t); string(ca) != testCA {
		t.Errorf("CA is %q", ca)
	}
	o := must(s.ObjectStorage(ctx, e.ID))(t)
	if o.AccessKey != in.Operator.AccessKey || !o.SecretKey.Equal(in.Operator.SecretKey) || o.Endpoint != s.cloud.Endpoints(e.ID).ObjectStorage {
		t.Errorf("object storage is %+v", o)
	}
	if got := must(s.DPEs(ctx, e.ID))(t); len(got) != 1 || got[0].Label != d.Label {
		t.Errorf("list is %+v", got)
	}
	if got := must(s.DPE(ctx, e.ID, d.Label))(t); cmp.Diff(d, got) != "" {
		t.Error(cmp.Diff(d, got))
	}
	cmds := must(s.Commands(ctx, e.ID, d.Label))(t)
	direct := must(cmds.Variant(api.VariantDirect))(t)
	if want := "helm upgrade --install finance-warehouse oci://localhost:8443/charts/dpe --version 15.1.0 --namespace dpe -f values.yaml --ca-file ca.pem --create-namespace --wait --timeout 5m"; direct.Install[0].Command != want {
		t.Errorf("install command is %s", direct.Install[0].Command)
	}
	if want := "helm registry login localhost:8443 --username " + x.RegistryUser + " --password-stdin --ca-file ca.pem < registry-token"; direct.Prepare[0].Command != want {
		t.Errorf("login command is %s", direct.Prepare[0].Command)
	}
	mirror, own := must(cmds.Variant(api.VariantMirror))(t), must(cmds.Variant(api.VariantPrivateCA))(t)
	for got, want := range map[string]string{
		mirror.Install[0].Command: `"oci://$MIRROR/charts/dpe" --version 15.1.0 --namespace dpe -f values.yaml --set global.registry="$MIRROR" ${MIRROR_CA:+"--ca-file=$MIRROR_CA"} --create-namespace`,
		mirror.Prepare[2].Command: `helm push dpe-15.1.0.tgz "oci://$MIRROR/charts" ${MIRROR_CA:+"--ca-file=$MIRROR_CA"}`,
		mirror.Prepare[3].Command: `crane copy localhost:8443/images/dpe:15.1.0 "$MIRROR/images/dpe:15.1.0"`,
		own.Prepare[0].Command:    "cat ca.pem corporate-ca.pem > trusted-ca.pem",
		own.Diff[0].Command:       "--set-file extraCaCertificates.corporate=corporate-ca.pem --ca-file trusted-ca.pem --skip-tests | kubectl diff --namespace dpe -f -",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if _, err := cmds.Variant("sideways"); sim.KindOf(err) != sim.NotFound {
		t.Errorf("an unknown variant: %v", err)
	}
}

// TestLimitsSayWhatIsUsedByWhom: "How many engines can be installed is defined in the organization contract and is applied to
// each environment." (seed, "Add a self-managed DPE to an existing environment"); "The number of replicas used is counted towards
// the limit set for the entire environment." (seed, "Replicas")
func TestLimitsSayWhatIsUsedByWhom(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance", Replicas: 6}))(t)
	_, err := s.AddDPE(ctx, e.ID, api.DPESpec{Name: "HR", Replicas: 5})
	wantError(t, err, sim.Exhausted, "licence allows 10", "others use 6", "finance 6", "4 are free")
	must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "HR", Replicas: 1}))(t)
	eleven := 10
	_, err = s.EditDPE(ctx, e.ID, "finance", api.DPEEdit{Replicas: &eleven}, 0)
	wantError(t, err, sim.Exhausted, "licence allows 10", "hr 1")
	for _, n := range []string{"Sales", "Stock", "Legal"} {
		must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: n}))(t)
	}
	_, err = s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Sixth"})
	wantError(t, err, sim.Exhausted, "contract allows 5", "finance, hr, legal, sales, stock")
	if u := must(s.Environment(ctx, e.ID))(t).Usage; u != (api.Usage{Engines: 5, EnginesAllowed: 5, Replicas: 10, ReplicasLicensed: 10}) {
		t.Errorf("usage is %+v", u)
	}
	if err := s.RemoveDPE(ctx, e.ID, "finance", 0); err != nil {
		t.Fatal(err)
	}
	must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Sixth", Replicas: 6}))(t)
}

// TestLabelIsUniqueAndUsedAgainOnlyWithNewKeys: "It must be unique among all DPE installations associated with the
// environment" (seed, "Name and label"); "You cannot restore a self-managed DPE once removed. Instead, you would have to deploy a
// new self-managed DPE with identical configuration." (seed, "Remove a self-managed DPE")
func TestLabelIsUniqueAndUsedAgainOnlyWithNewKeys(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	first := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance"}))(t)
	_, err := s.AddDPE(ctx, e.ID, api.DPESpec{Name: "finance!"})
	wantError(t, err, sim.Conflict, "finance", "Finance")
	old := must(s.Intents(ctx))(t)[0].DPEs[0]
	if err := s.RemoveDPE(ctx, e.ID, first.Label, 0); err != nil {
		t.Fatal(err)
	}
	_, err = s.DPE(ctx, e.ID, first.Label)
	wantError(t, err, sim.NotFound, "finance")
	in := must(s.Intents(ctx))(t)[0]
	if len(in.DPEs) != 0 || !slices.Equal(in.RevokedKeys, []sim.KeyID{old.KeyID}) || !slices.Equal(in.RevokedAccessKeys, []string{old.AccessKey}) || !slices.Equal(in.RevokedUsers, []string{old.RegistryUser}) {
		t.Errorf("after the removal the intent is %+v", in)
	}
	again := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance"}))(t)
	in = must(s.Intents(ctx))(t)[0]
	if x := in.DPEs[0]; again.KeyID == first.KeyID || x.AccessKey == old.AccessKey || x.SecretKey.Equal(old.SecretKey) || x.RegistryToken.Equal(old.RegistryToken) {
		t.Error("the new DPE has a credential of the removed one")
	}
	if len(in.RevokedKeys) != 1 || len(in.RevokedUsers) != 0 {
		t.Errorf("the user of a living DPE must not be withdrawn: %+v", in)
	}
	s.reconcile(t)
	if in = must(s.Intents(ctx))(t)[0]; len(in.RevokedKeys)+len(in.RevokedAccessKeys) != 0 {
		t.Errorf("after Settled the intent is %+v", in)
	}
}

// TestEditKeepsRevisionsApart: "After installation, you can change the enabled drivers and the number of DPE replicas." (seed,
// "Edit a self-managed DPE")
func TestEditKeepsRevisionsApart(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance", Drivers: []sim.Driver{"s3"}}))(t)
	three, none := 3, []sim.Driver{}
	d2 := must(s.EditDPE(ctx, e.ID, d.Label, api.DPEEdit{Replicas: &three}, d.Revision))(t)
	if d2.Revision != 2 || d2.Replicas != 3 || !slices.Equal(d2.Drivers, d.Drivers) || d2.KeyID != d.KeyID || d2.Label != d.Label {
		t.Errorf("after the edit: %+v", d2)
	}
	_, err := s.EditDPE(ctx, e.ID, d.Label, api.DPEEdit{Drivers: &none}, d.Revision)
	wantError(t, err, sim.Conflict, "DPE finance was changed meanwhile, its revision is 2, not 1: dpe edited (finance) by Tess Trainer at 2026-03-04 09:00:00 UTC (drivers s3, replicas 3, revision 2)")
	if d3 := must(s.EditDPE(ctx, e.ID, d.Label, api.DPEEdit{Replicas: &three}, 2))(t); d3.Revision != 2 {
		t.Errorf("an edit that changes nothing made revision %d", d3.Revision)
	}
	if d3 := must(s.EditDPE(ctx, e.ID, d.Label, api.DPEEdit{Drivers: &none}, 0))(t); d3.Revision != 3 || len(d3.Drivers) != 0 {
		t.Errorf("after taking all drivers away: %+v", d3)
	}
	zero, unknown := 0, []sim.Driver{"cobol"}
	_, err = s.EditDPE(ctx, e.ID, d.Label, api.DPEEdit{Replicas: &zero}, 0)
	wantError(t, err, sim.Invalid, "0 replicas")
	_, err = s.EditDPE(ctx, e.ID, d.Label, api.DPEEdit{Drivers: &unknown}, 0)
	wantError(t, err, sim.Invalid, "cobol")
	_, err = s.EditDPE(ctx, e.ID, d.Label, api.DPEEdit{}, 0)
	wantError(t, err, sim.Invalid, "changes nothing")
}

// TestPlatformUpgradeMakesNewFilesAndKeepsOldOnes: "a new version of the Helm chart is used along with a newly generated
// values.yml file" (seed, "Self-managed DPE upgrades")
func TestPlatformUpgradeMakesNewFilesAndKeepsOldOnes(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod", Release: "15.1.0"})
	d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance"}))(t)
	before := must(s.Values(ctx, e.ID, d.Label, ""))(t)
	_, err := s.UpgradeEnvironment(ctx, e.ID, "15.1.0", 0)
	wantError(t, err, sim.Invalid, "it has release 15.1.0", "newer")
	if up := must(s.UpgradeEnvironment(ctx, e.ID, "15.3.0", 0))(t); up.Release != "15.3.0" {
		t.Errorf("after the upgrade: %+v", up)
	}
	d2 := must(s.DPE(ctx, e.ID, d.Label))(t)
	if d2.Release != "15.3.0" || d2.Revision != 2 {
		t.Errorf("after the upgrade the DPE is %+v", d2)
	}
	if now := must(s.Values(ctx, e.ID, d.Label, ""))(t); bytes.Equal(now, before) || !bytes.Contains(now, []byte("15.3.0")) {
		t.Error("values.yaml is not that of the new release")
	}
	if old := must(s.Values(ctx, e.ID, d.Label, "15.1.0"))(t); !bytes.Equal(old, before) {
		t.Errorf("the old values.yaml changed: %s", cmp.Diff(string(before), string(old)))
	}
	_, err = s.UpgradeEnvironment(ctx, e.ID, "15.1.0", 0)
	wantError(t, err, sim.Invalid, "never downgraded")
	late := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Late"}))(t)
	_, err = s.Values(ctx, e.ID, late.Label, "15.1.0")
	wantError(t, err, sim.NotFound, "15.1.0")
	if in := must(s.Intents(ctx))(t)[0]; in.Release != "15.3.0" {
		t.Errorf("intent has release %s", in.Release)
	}
}

func TestJobsAreCheckedAndHandedOn(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	j := must(s.SubmitJob(ctx, e.ID, api.JobSpec{Bucket: "sample-data", Key: "movies.csv"}))(t)
	if j.Spec.Kind != api.JobProfile || j.State.Final() {
		t.Errorf("submitted %+v", j)
	}
	if got := must(s.Job(ctx, e.ID, j.ID))(t); got.ID != j.ID {
		t.Errorf("got %+v", got)
	}
	if got := must(s.Jobs(ctx, e.ID, api.JobFilter{}))(t); len(got) != 1 {
		t.Errorf("jobs are %+v", got)
	}
	_, err := s.Job(ctx, e.ID, "nobody")
	wantError(t, err, sim.NotFound, "nobody")
	_, err = s.SubmitJob(ctx, e.ID, api.JobSpec{Bucket: "b"})
	wantError(t, err, sim.Invalid, "what to read")
	_, err = s.SubmitJob(ctx, e.ID, api.JobSpec{Bucket: "b", Key: "k", Kind: "mine"})
	wantError(t, err, sim.Invalid, "mine", "profile")
	_, err = s.SubmitJob(ctx, e.ID, api.JobSpec{Bucket: "b", Key: "k", Label: "nobody"})
	wantError(t, err, sim.NotFound, "nobody")
	_, err = s.SubmitJob(ctx, "nowhere", api.JobSpec{Bucket: "b", Key: "k"})
	wantError(t, err, sim.NotFound, "nowhere")
}

func TestEnginesAndCredentialsAreWhatTheCloudSays(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	if got := must(s.Engines(ctx, e.ID))(t); got == nil || len(got) != 0 {
		t.Errorf("engines are %v, want []", got)
	}
	d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance"}))(t)
	s.cloud.connect(ctx, e.ID, engine(d, "b"), engine(d, "a"))
	if got := must(s.Engines(ctx, e.ID))(t); len(got) != 2 || got[0].Version != "15.3.0" || got[0].Replica != "finance-a" {
		t.Errorf("engines are %+v", got)
	}
	s.cloud.mu.Lock()
	s.cloud.credentials[e.ID] = []api.Credential{{Kind: api.CredentialDPMKey, ID: string(d.KeyID), Label: d.Label}}
	s.cloud.mu.Unlock()
	if got := must(s.Credentials(ctx, e.ID))(t); len(got) != 1 || got[0].ID != string(d.KeyID) {
		t.Errorf("credentials are %+v", got)
	}
	_, err := s.Engines(ctx, "nowhere")
	wantError(t, err, sim.NotFound, "nowhere")
}

func TestReadinessListsEachPart(t *testing.T) {
	t.Parallel()
	s := start(t)
	if err := s.Live(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := api.Readiness{Ready: true, Checks: []api.Check{{Name: "portal", OK: true}, {Name: "registry", OK: true}}}
	if d := cmp.Diff(want, must(s.Client.Ready(t.Context()))(t)); d != "" {
		t.Error(d)
	}
	s.cloud.mu.Lock()
	s.cloud.checks = []api.Check{{Name: "dpm prod", Detail: "it does not answer"}}
	s.cloud.mu.Unlock()
	if r := must(s.Client.Ready(t.Context()))(t); r.Ready || r.Checks[1].Detail != "it does not answer" {
		t.Errorf("readiness is %+v", r)
	}
	res := must(s.HTTP.Get(s.URL() + "/readyz"))(t)
	defer res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %s", res.Status)
	}
}

func TestFaultOnPurposeIsRecognisable(t *testing.T) {
	t.Parallel()
	s := start(t)
	err := s.faults.Arm(fault.Fault{
		Name: "portal-down", Point: portal.FaultRequest, Match: fault.Scope{Environment: "prod"},
		Err: sim.Errorf(sim.Unavailable, "the portal is under maintenance"),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Environment(t.Context(), "prod")
	wantError(t, err, sim.Unavailable, "maintenance")
	must(s.Environments(t.Context()))(t)
}

func TestOpenNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	o, _ := options(t, filepath.Join(t.TempDir(), "portal.db"))
	o.Cloud = nil
	_, err := portal.Open(t.Context(), o)
	wantError(t, err, sim.Invalid, "Cloud")
	if _, err := o.Listener.Accept(); err == nil {
		t.Error("the listener was left open")
	}
}

// TestNoSecretInEventsLogsCommandsOrPages: "Generated Helm values (values.yaml) contain passwords and other sensitive information
// and should be kept private." (seed, "Local installation")
func TestNoSecretInEventsLogsCommandsOrPages(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod", Release: "15.1.0"})
	d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance"}))(t)
	two := 2
	must(s.EditDPE(ctx, e.ID, d.Label, api.DPEEdit{Replicas: &two}, 0))(t)
	must(s.UpgradeEnvironment(ctx, e.ID, "15.3.0", 0))(t)
	in := must(s.Intents(ctx))(t)[0]
	values := string(must(s.Values(ctx, e.ID, d.Label, ""))(t))
	secrets := map[string]string{
		"operator's secret key": in.Operator.SecretKey.Reveal(), "secret key": in.DPEs[0].SecretKey.Reveal(), "registry token": in.DPEs[0].RegistryToken.Reveal(),
	}
	for line := range strings.Lines(values) {
		if _, key, ok := strings.Cut(line, "jwtKey: "); ok {
			secrets["key"] = strings.Trim(strings.TrimSpace(key), `"`)
		}
	}
	if len(secrets) != 4 {
		t.Fatal("values.yaml has no jwtKey")
	}
	seen := map[string]string{
		"commands": asJSON(t, must(s.Commands(ctx, e.ID, d.Label))(t)), "DPE": asJSON(t, must(s.DPE(ctx, e.ID, d.Label))(t)),
		"environment": asJSON(t, must(s.Environment(ctx, e.ID))(t)), "intent": asJSON(t, in.DPEs[0].SecretKey),
	}
	for _, path := range allPages(e.ID, d.Label) {
		seen["page "+path] = s.get(t, path).body
	}
	if err := s.RemoveDPE(ctx, e.ID, d.Label, 0); err != nil {
		t.Fatal(err)
	}
	seen["events"], seen["log"] = asJSON(t, s.bus.Since(0)), s.log.String()
	for where, text := range seen {
		for name, secret := range secrets {
			if secret == "" || strings.Contains(text, secret) {
				t.Errorf("the %s is in %s", name, where)
			}
		}
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	return string(must(json.Marshal(v))(t))
}

// TestTheRegistryTokenRotates: "The access token required to obtain the Helm chart for the purposes of the local installation and
// for the cluster to download the needed container images." (seed, "Local installation")
func TestTheRegistryTokenRotates(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance"}))(t)
	before := must(s.Intents(ctx))(t)[0]
	token := must(s.RotateRegistryToken(ctx, e.ID, d.Label))(t)
	after := must(s.Intents(ctx))(t)[0]
	if after.Generation <= before.Generation {
		t.Error("nothing else is wanted")
	}
	if x, old := after.DPEs[0], before.DPEs[0]; !x.RegistryToken.Equal(token) || token.Equal(old.RegistryToken) || x.RegistryUser != old.RegistryUser ||
		!x.SecretKey.Equal(old.SecretKey) || !x.RegistryExpires.Equal(epoch.Add(365*24*time.Hour)) {
		t.Errorf("intent after: %+v", x)
	}
	if values := string(must(s.Values(ctx, e.ID, d.Label, ""))(t)); !strings.Contains(values, token.Reveal()) || strings.Contains(values, before.DPEs[0].RegistryToken.Reveal()) {
		t.Error("values.yaml does not carry the new token alone")
	}
	if again := must(s.DPE(ctx, e.ID, d.Label))(t); again.Revision != d.Revision {
		t.Errorf("revision %d: the installation is as it was", again.Revision)
	}
	if cmds := fmt.Sprint(must(s.Commands(ctx, e.ID, d.Label))(t)); !strings.Contains(cmds, "It expires at "+epoch.Add(365*24*time.Hour).Format(time.RFC3339)) {
		t.Errorf("the commands do not tell when the token expires: %s", cmds)
	}
	told := false
	for _, x := range s.cloud.bus.Since(0) {
		told = told || x.What == "registry token rotated" && x.DPE == d.Label && !strings.Contains(fmt.Sprint(x.Detail), token.Reveal())
	}
	if !told {
		t.Error("the timeline does not tell of it")
	}
	if _, err := s.RotateRegistryToken(ctx, e.ID, "nobody"); sim.KindOf(err) != sim.NotFound {
		t.Errorf("an unknown DPE: %v", err)
	}
}
