package portal_test

import (
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

func TestWhyIsAnsweredFromEventsAndStatuses(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	env := s.environment(t, api.EnvironmentSpec{Name: "Acme"})
	must(s.AddDPE(ctx, env.ID, api.DPESpec{Name: "Edge EU"}))(t)

	x := must(s.Why(ctx, "dpe/edge-eu"))(t)
	if want := "dpe/acme/edge-eu: DPE isn't connected yet (0 of 1 replicas connected): nobody has installed it yet"; x.Summary != want {
		t.Errorf("%q, want %q", x.Summary, want)
	}
	if len(x.Chains) != 1 || x.Chains[0].Steps[0].What != "dpe added" || !strings.Contains(x.Hint, "dpesim dpe commands acme edge-eu") {
		t.Errorf("%+v", x)
	}

	refused := s.bus.Publish(ctx, sim.Event{Part: sim.PartDPM, Environment: env.ID, DPE: "edge-eu", What: "engine refused", Detail: map[string]string{
		"kind": "unauthenticated", "reason": "the token has expired",
	}})
	x = must(s.Why(ctx, "dpe/acme/edge-eu"))(t)
	if !strings.HasSuffix(x.Summary, ": engine refused: the token has expired") || x.FirstCause != refused.Seq {
		t.Errorf("%+v", x)
	}

	j := must(s.SubmitJob(ctx, env.ID, api.JobSpec{Bucket: "sample-data", Key: "birdstrikes.csv"}))(t)
	x = must(s.Why(ctx, "job/"+string(j.ID)))(t)
	if want := "job/" + string(j.ID) + " of acme: ENQUEUED: no DPE is connected"; x.Summary != want {
		t.Errorf("%q, want %q", x.Summary, want)
	}

	_, err := s.Why(ctx, "dpe/edge-us")
	wantError(t, err, sim.NotFound, "nothing was told of dpe/edge-us in this run")
	if _, help := sim.Explain(err); help != "the nearest are dpe/acme/edge-eu" {
		t.Errorf("help: %q", help)
	}
	_, err = s.Why(ctx, "")
	wantError(t, err, sim.Invalid, "is nothing that can be explained")
}
