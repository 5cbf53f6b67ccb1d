package portal_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// TestComplianceIsKeptOverTime: "Ataccama keeps track of whether self-managed DPE deployments are in accordance with the
// agreed-upon licensing." (seed, "Operational responsibilities")
func TestComplianceIsKeptOverTime(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod", ReplicasAllowed: 2})
	d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance", Replicas: 2}))(t)
	// step connects engines an hour later and waits until that is recorded.
	step := func(replicas ...string) time.Time {
		t.Helper()
		if err := s.clock.Advance(ctx, time.Hour); err != nil {
			t.Fatal(err)
		}
		sub := s.bus.Subscribe(s.bus.Last())
		var engines []api.Engine
		for _, r := range replicas {
			engines = append(engines, engine(d, r))
		}
		s.cloud.connect(ctx, e.ID, engines...)
		wait, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		for {
			got := must(s.Compliance(ctx, e.ID))(t)
			if n := len(got); n > 0 && got[n-1].Connected == len(replicas) {
				return s.clock.Now()
			}
			if _, err := sub.Next(wait); err != nil { // the change of the DPE's status is told after the sample
				t.Fatalf("%v: samples are %+v", err, got)
			}
		}
	}
	first := step("a")
	second := step("a", "b", "c")
	got := must(s.Compliance(ctx, e.ID))(t)
	last := got[len(got)-1]
	want := api.ComplianceSample{Time: second, Licensed: 2, SelfManaged: 2, Connected: 3}
	if diff := cmp.Diff(want, last); diff != "" {
		t.Error(diff)
	}
	for i, x := range got {
		if i > 0 && !x.Time.After(got[i-1].Time) {
			t.Errorf("sample %d is not later than the one before: %+v", i, got)
		}
		if x.Time.Equal(first) && (x.Connected != 1 || !x.Compliant) {
			t.Errorf("after the first connection: %+v", x)
		}
	}
	s.wait(t, func(e sim.Event) bool {
		return e.What == "compliance changed" && e.Detail["compliant"] == "false" && e.Detail["connected"] == "3"
	})
	csv := string(must(s.ComplianceCSV(ctx, e.ID))(t))
	if !strings.HasPrefix(csv, "time,licensed,self_managed,managed,connected,compliant\n") || !strings.HasSuffix(csv, second.Format(time.RFC3339Nano)+",2,2,0,3,false\n") {
		t.Errorf("as CSV: %s", csv)
	}
	res := s.send(t, http.MethodGet, "/api/v1/environments/prod/compliance.csv", "")
	if res.header.Get("Content-Disposition") != "attachment; filename=compliance-prod.csv" {
		t.Errorf("the CSV is answered with %v", res.header)
	}
	_, err := s.as("gwen").Compliance(ctx, e.ID)
	wantError(t, err, sim.NotFound, "prod")
}
