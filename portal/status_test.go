package portal_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// TestLastFailureIsToldInOneSentence: "Ataccama lets you keep track of self-managed DPE installations through the Ataccama
// PaaS+ administration interface." (seed, "Operational responsibilities")
func TestLastFailureIsToldInOneSentence(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance"}))(t)
	fail := func(x sim.Event, want string) {
		t.Helper()
		if err := s.clock.Advance(ctx, time.Second); err != nil {
			t.Fatal(err)
		}
		x.Environment = e.ID
		told := s.bus.Publish(ctx, x)
		changed := s.wait(t, func(y sim.Event) bool { return y.What == "dpe status changed" && y.Detail["failure"] == want })
		got := must(s.DPE(ctx, e.ID, d.Label))(t).Status.LastFailure
		if changed.Cause != told.Seq || got == nil || got.Sentence != want || got.Event != told.Seq || got.Part != x.Part || !got.Time.Equal(s.clock.Now()) {
			t.Errorf("told %+v, status has %+v", changed, got)
		}
	}
	fail(sim.Event{Part: sim.PartEdge, What: "connection refused", Detail: map[string]string{"reason": "not allowed", "source": "203.0.113.10"}},
		"the edge refused 203.0.113.10: not on the allowlist")
	fail(sim.Event{Part: sim.PartDPM, What: "engine refused", Detail: map[string]string{"reason": "the token has expired by the DPM's clock", "remote": "203.0.113.10:4000"}},
		"DPM refused 203.0.113.10: the token has expired by the DPM's clock")
	if page := s.get(t, "/environments/prod/settings").body; !strings.Contains(page, "the token has expired by the DPM&#39;s clock") {
		t.Error("the page does not tell of it")
	}
	if err := s.clock.Advance(ctx, time.Second); err != nil {
		t.Fatal(err)
	}
	x := engine(d, "a")
	x.ConnectedAt = s.clock.Now()
	s.cloud.connect(ctx, e.ID, x)
	s.status(t, api.StateConnected, "1 of 1 replicas connected", 0)
	if got := must(s.DPE(ctx, e.ID, d.Label))(t).Status.LastFailure; got != nil {
		t.Errorf("connected, and still %+v", got)
	}
	s.cloud.connect(ctx, e.ID)
	fail(sim.Event{Part: sim.PartDPM, DPE: d.Label, What: "engine disconnected", Detail: map[string]string{"reason": "the stream broke", "replica": "finance-a"}},
		"DPM lost replica finance-a: the stream broke")
	if st := must(s.DPE(ctx, e.ID, d.Label))(t).Status; st.DisconnectedSince == nil {
		t.Errorf("not disconnected since anything: %+v", st)
	}
}

// TestMoreThanSpecifiedIsNonCompliant: "Ataccama keeps track of whether self-managed DPE deployments are in accordance with
// the agreed-upon licensing." (seed, "Operational responsibilities") One more is an update: "your cluster has to be sized for
// n + 1 number of replicas" (seed, "Sizing and resource requirements"), unless it stays.
func TestMoreThanSpecifiedIsNonCompliant(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance"}))(t)
	status := func() api.Status { return must(s.DPE(ctx, e.ID, d.Label))(t).Status }
	drains := engine(d, "c")
	drains.Draining = true
	s.cloud.connect(ctx, e.ID, engine(d, "a"), engine(d, "b"), drains)
	s.status(t, api.StateConnected, "3 of 1 replicas connected", 0)
	if st := status(); st.NonCompliant {
		t.Errorf("during an update: %+v", st)
	}
	after := s.bus.Last()
	if err := s.clock.Advance(ctx, 5*time.Minute); err != nil {
		t.Fatal(err)
	}
	told := s.wait(t, func(x sim.Event) bool { return x.Seq > after && x.What == "dpe status changed" }) // nothing else happened
	if st := status(); told.Detail["non_compliant"] != "true" || !st.NonCompliant || !strings.Contains(st.Compliance, "1 are specified") {
		t.Errorf("one more for five minutes: %+v", st)
	}
	s.cloud.connect(ctx, e.ID, engine(d, "a"))
	s.status(t, api.StateConnected, "1 of 1 replicas connected", after)
	late := []api.Engine{engine(d, "a"), engine(d, "b"), engine(d, "d")}
	for i := range late {
		late[i].ConnectedAt = s.clock.Now()
	}
	s.cloud.connect(ctx, e.ID, late...)
	if st := status(); !st.NonCompliant {
		t.Errorf("two more: %+v", st)
	}
}

// TestUpgradeIsRequiredWhenThePlatformDemandsIt: "The version of a self-managed DPE can differ from the platform version
// unless there are changes introduced on the platform side that would make the DPE upgrade a requirement." (seed,
// "Self-managed DPE upgrades")
func TestUpgradeIsRequiredWhenThePlatformDemandsIt(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod", Release: "14.5.0"})
	d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance"}))(t)
	s.cloud.connect(ctx, e.ID, engine(d, "a"))
	for _, c := range []struct {
		to       sim.Release
		required bool
	}{{"15.1.0", false}, {"15.3.0", true}} {
		must(s.UpgradeEnvironment(ctx, e.ID, c.to, 0))(t)
		if st := must(s.DPE(ctx, e.ID, d.Label))(t).Status; !st.Outdated || st.UpgradeRequired != c.required {
			t.Errorf("14.5.0 on platform %s: %+v", c.to, st)
		}
	}
	page := s.get(t, "/environments/prod/settings").body
	for _, w := range []string{"Upgrade required", "works with 15.1.0 and newer only", "Show upgrade steps"} {
		if !strings.Contains(page, w) {
			t.Errorf("the page does not say %q", w)
		}
	}
}
