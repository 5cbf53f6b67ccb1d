package portal_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// exceptional is a portal with an environment of tier M whose contract allows an exceptional sizing.
func exceptional(t *testing.T) (*sut, api.Environment) {
	t.Helper()
	s := start(t)
	return s, s.environment(t, api.EnvironmentSpec{Name: "Prod", Tier: sim.TierM, ExceptionalSizing: true})
}

// TestExceptionalSizingIfTheContractAllowsIt: "an exceptional sizing can be set (if allowed by Ataccama) as value override to
// the default values provided in the DPE installation wizard in the administration interface" (seed, "Sizing and resource
// requirements").
func TestExceptionalSizingIfTheContractAllowsIt(t *testing.T) {
	t.Parallel()
	s, e := exceptional(t)
	ctx := t.Context()
	if !e.Contract.ExceptionalSizing {
		t.Errorf("the contract is %+v", e.Contract)
	}
	plain := s.environment(t, api.EnvironmentSpec{Name: "Plain"})
	big := sim.Sizing{CPURequest: "2", CPULimit: "4000m", MemoryRequest: "8Gi", MemoryLimit: "8192Mi"}
	_, err := s.AddDPE(ctx, plain.ID, api.DPESpec{Name: "Finance", ExceptionalSizing: big})
	wantError(t, err, sim.Forbidden, "the contract of environment plain does not allow an exceptional sizing: its DPEs have the sizing of tier S", "leave the sizing out")
	if f, ok := errors.AsType[*api.FieldError](err); !ok || f.Field != "exceptional_sizing" {
		t.Errorf("the field to blame: %v", err)
	}
	must(s.AddDPE(ctx, plain.ID, api.DPESpec{Name: "Finance"}))(t)
	_, err = s.EditDPE(ctx, plain.ID, "finance", api.DPEEdit{ExceptionalSizing: &big}, 0)
	wantError(t, err, sim.Forbidden, "does not allow an exceptional sizing")

	d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance", ExceptionalSizing: big}))(t)
	kept := sim.Sizing{CPURequest: "2", CPULimit: "4", MemoryRequest: "8Gi", MemoryLimit: "8Gi"}
	all := kept
	all.Disk = "350Gi" // the tier's
	if d.ExceptionalSizing != kept || d.Sizing != all {
		t.Errorf("added with %+v in place of the tier's: %+v", d.ExceptionalSizing, d.Sizing)
	}
	v := must(chart.ParseValues(must(s.Values(ctx, e.ID, d.Label, ""))(t)))(t)
	if v.Tier != sim.TierM || v.Sizing != kept {
		t.Errorf("values.yaml has tier %s and %+v", v.Tier, v.Sizing)
	}
	if same := must(s.EditDPE(ctx, e.ID, d.Label, api.DPEEdit{ExceptionalSizing: &big}, 0))(t); same.Revision != 1 {
		t.Errorf("the same sizing again is revision %d", same.Revision)
	}
	three := 3
	if d = must(s.EditDPE(ctx, e.ID, d.Label, api.DPEEdit{Replicas: &three}, 0))(t); d.ExceptionalSizing != kept {
		t.Errorf("an edit of the replicas leaves %+v", d.ExceptionalSizing)
	}
	if d = must(s.EditDPE(ctx, e.ID, d.Label, api.DPEEdit{ExceptionalSizing: &sim.Sizing{CPULimit: "1500m"}}, 0))(t); d.ExceptionalSizing != (sim.Sizing{}) || d.Revision != 3 {
		t.Errorf("with the tier's own figure it is exceptional: %+v, revision %d", d.ExceptionalSizing, d.Revision)
	}
	for _, x := range must(s.Audit(ctx, api.AuditFilter{Environment: e.ID}))(t) {
		if got := x.Detail["sizing"]; x.Action == "dpe added" && got != "CPU request 2, CPU limit 4, RAM request 8Gi, RAM limit 8Gi" {
			t.Errorf("the audit log tells of the sizing %q", got)
		}
	}
}

// TestSizingNeedsARedeployment: "any changes to a self-managed DPE in Ataccama PaaS+ requires that you redeploy the edited
// DPE" (seed, "Edit a self-managed DPE"). An upgrade of the platform keeps the sizing.
func TestSizingNeedsARedeployment(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod", Release: "15.1.0", ExceptionalSizing: true})
	d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance"}))(t)
	s.cloud.connect(ctx, e.ID, engine(d, "a"))
	s.status(t, api.StateConnected, "1 of 1 replicas connected", 0)
	d = must(s.EditDPE(ctx, e.ID, d.Label, api.DPEEdit{ExceptionalSizing: &sim.Sizing{Disk: "1024Gi"}}, 0))(t)
	want := []api.Difference{{Field: "sizing", Running: "the tier's", Wanted: "disk space 1Ti"}, {Field: "revision", Running: "1", Wanted: "2"}}
	if diff := cmp.Diff(want, d.Status.Differences); diff != "" || !d.Status.RedeployNeeded {
		t.Errorf("redeploy needed: %v\n%s", d.Status.RedeployNeeded, diff)
	}
	must(s.UpgradeEnvironment(ctx, e.ID, "15.3.0", 0))(t)
	if d = must(s.DPE(ctx, e.ID, d.Label))(t); d.ExceptionalSizing.Disk != "1Ti" {
		t.Errorf("after the upgrade it is %+v", d.ExceptionalSizing)
	}
	if old := string(must(s.Values(ctx, e.ID, d.Label, "15.1.0"))(t)); !strings.Contains(old, "# Exceptional sizing for each replica, in place of what tier S has.") || !strings.Contains(old, `size: "1Ti"`) {
		t.Errorf("the older file: %s", old)
	}
}

func TestSizingThatNoPodCanHaveIsRefused(t *testing.T) {
	t.Parallel()
	s, e := exceptional(t)
	for name, c := range map[string]struct {
		sizing sim.Sizing
		field  string
		words  []string
	}{
		"no quantity":      {sim.Sizing{CPURequest: "many"}, "cpu_request", []string{`the CPU request "many" is no quantity`, "600m or 2"}},
		"exponent":         {sim.Sizing{CPURequest: "1e0"}, "cpu_request", []string{"is no quantity"}},
		"negative":         {sim.Sizing{CPULimit: "-1"}, "cpu_limit", []string{"is no quantity"}},
		"none":             {sim.Sizing{CPULimit: "0"}, "cpu_limit", []string{"the CPU limit 0 is less than 1m"}},
		"too fine":         {sim.Sizing{CPULimit: "2.0001"}, "cpu_limit", []string{"too finely divided", "thousandths"}},
		"thousandths":      {sim.Sizing{MemoryLimit: "8000m"}, "memory_limit", []string{"the RAM limit 8000m is less than 64Mi", "m is a thousandth"}},
		"far too much":     {sim.Sizing{MemoryLimit: "8000Gi"}, "memory_limit", []string{"is more than 4Ti", "no node has more"}},
		"a large disk":     {sim.Sizing{Disk: "65Ti"}, "disk", []string{"the disk space 65Ti is more than 64Ti"}},
		"request > limit":  {sim.Sizing{CPURequest: "3", CPULimit: "2"}, "cpu_request", []string{"the CPU request 3 is more than the CPU limit 2"}},
		"above the tier's": {sim.Sizing{MemoryRequest: "4Gi"}, "memory_request", []string{"the RAM request 4Gi is more than the RAM limit 3000Mi", "left out is the tier's"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := s.AddDPE(t.Context(), e.ID, api.DPESpec{Name: "Finance", ExceptionalSizing: c.sizing})
			wantError(t, err, sim.Invalid, c.words...)
			if f, ok := errors.AsType[*api.FieldError](err); !ok || f.Field != "exceptional_sizing."+c.field {
				t.Errorf("the field to blame: %v", err)
			}
		})
	}
}

func TestSizingIsTypedAndShown(t *testing.T) {
	t.Parallel()
	s, e := exceptional(t)
	form := url.Values{"name": {"Finance"}, "driver": {"s3"}, "replicas": {"1"}, "memory_limit": {"1Gi"}}
	got := s.post(t, "/environments/prod/dpes", form)
	if got.code != http.StatusBadRequest || !strings.Contains(got.body, "the RAM request 3000Mi is more than the RAM limit 1Gi") ||
		!strings.Contains(got.body, "<details open><summary>Exceptional sizing") || !strings.Contains(got.body, `name="memory_limit" value="1Gi" placeholder="3000Mi"`) {
		t.Errorf("a limit below the request: %d %s", got.code, got.body)
	}
	checkPage(t, got.body)
	form.Set("memory_limit", "6Gi")
	if got = s.post(t, "/environments/prod/dpes", form); got.code != http.StatusSeeOther {
		t.Fatalf("add: %d %s", got.code, got.body)
	}
	settings := s.get(t, "/environments/prod/settings").body
	if !strings.Contains(settings, `<th scope="row">Finance</th><td>1000m</td><td>1500m</td><td>3000Mi</td><td>6Gi</td><td>350Gi</td>`) {
		t.Errorf("the Service sizing table: %s", settings)
	}
	if !strings.Contains(settings, "exceptional sizing: RAM limit 6Gi") {
		t.Error("the DPE's line does not tell of its sizing")
	}
	edit := s.get(t, "/environments/prod/dpes/finance/edit").body
	if !strings.Contains(edit, `name="memory_limit" value="6Gi"`) || !strings.Contains(edit, `name="disk" value=""`) {
		t.Errorf("the form of Edit: %s", edit)
	}
	got = s.post(t, "/environments/prod/dpes/finance/edit", url.Values{"driver": {"s3"}, "replicas": {"1"}, "revision": {"1"}, "memory_limit": {""}})
	if d := must(s.DPE(t.Context(), e.ID, "finance"))(t); got.code != http.StatusSeeOther || d.ExceptionalSizing != (sim.Sizing{}) {
		t.Errorf("emptied: %d, %+v", got.code, d.ExceptionalSizing)
	}
	if got = s.post(t, "/environments", url.Values{"name": {"Plain"}, "release": {"15.3.0"}, "tier": {"S"}}); got.code != http.StatusSeeOther {
		t.Fatalf("create: %d %s", got.code, got.body)
	}
	s.reconcile(t)
	if page := s.get(t, "/environments/plain/dpes/new").body; strings.Contains(page, "cpu_limit") || !strings.Contains(page, "the contract does not allow another") {
		t.Errorf("without it in the contract: %s", page)
	}
	if got = s.post(t, "/environments", url.Values{"name": {"Other"}, "release": {"15.3.0"}, "tier": {"S"}, "exceptional": {"yes"}}); got.code != http.StatusSeeOther ||
		!must(s.Environment(t.Context(), "other"))(t).Contract.ExceptionalSizing {
		t.Errorf("create with it: %d %s", got.code, got.body)
	}
}
