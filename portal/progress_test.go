package portal_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// TestCreationIsSeenStepByStep: "It is not possible to install a self-managed DPE during the initial creation of an
// environment." (seed, "Create a regular environment")
func TestCreationIsSeenStepByStep(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := must(s.CreateEnvironment(ctx, api.EnvironmentSpec{Name: "Prod"}))(t)
	states := func() (out []string) {
		for _, x := range must(s.Environment(ctx, e.ID))(t).Steps {
			out = append(out, x.Name+" "+string(x.State))
		}
		return out
	}
	if d := cmp.Diff([]string{"Data Processing Module waiting", "ONE Object Storage waiting", "Buckets and sample data waiting", "Credentials waiting"}, states()); d != "" {
		t.Error(d)
	}
	in := must(s.Intents(ctx))(t)[0]
	s.Progress(ctx, in, api.StepDPM, api.StepDone)
	s.Progress(ctx, in, api.StepStorage, api.StepFailed)
	if got := states(); got[0] != "Data Processing Module done" || got[1] != "ONE Object Storage failed" || got[2] != "Buckets and sample data waiting" {
		t.Errorf("steps are %v", got)
	}
	s.wait(t, func(x sim.Event) bool {
		return x.What == "environment step" && x.Detail["state"] == "failed" && x.Cause == in.Cause
	})
	if page := s.get(t, "/environments/prod/settings").body; !strings.Contains(page, "ONE Object Storage: failed") {
		t.Error("the page does not show the steps")
	}
	_, err := s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance"})
	wantError(t, err, sim.Conflict, "is still being created")
	s.reconcile(t)
	if got := states(); len(got) != 0 {
		t.Errorf("ready, and the steps are %v", got)
	}
}
