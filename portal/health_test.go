package portal_test

import (
	"html"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

func TestARestartOfTheDPMIsTold(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	if err := s.RestartDPM(ctx, e.ID); err != nil {
		t.Fatal(err)
	}
	s.wait(t, func(x sim.Event) bool {
		return x.What == "dpm restarted" && x.Environment == e.ID && x.Detail["by"] == "tess"
	})
	if a := must(s.Audit(ctx, api.AuditFilter{Environment: e.ID}))(t)[0]; a.Action != "DPM restarted" {
		t.Errorf("audit: %+v", a)
	}
	s.cloud.mu.Lock()
	if s.cloud.restarts != 1 {
		t.Errorf("restarted %d times", s.cloud.restarts)
	}
	s.cloud.mu.Unlock()
	wantError(t, s.RestartDPM(ctx, "none"), sim.NotFound, "there is no environment")
}

// TestServicesTellHowTheyAre: "The exact DPM and Object Storage endpoints can be retrieved from the administration interface
// by locating them on the environment Service tab" (seed, "Additional considerations"), with their versions and health.
func TestServicesTellHowTheyAre(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := must(s.CreateEnvironment(ctx, api.EnvironmentSpec{Name: "Prod", Release: "15.1.0"}))(t)
	if got := must(s.Health(ctx, e.ID))(t); len(got) != 0 {
		t.Errorf("while it is being created: %+v", got)
	}
	if page := s.get(t, "/environments/prod/services").body; strings.Contains(page, "Versions and health") {
		t.Error("while it is being created the page tells of health")
	}
	s.reconcile(t)
	want := []api.Check{{Name: "DPM", OK: true}, {Name: "Object storage", OK: true}}
	if diff := cmp.Diff(want, must(s.Health(ctx, e.ID))(t)); diff != "" {
		t.Error(diff)
	}
	page := s.get(t, "/environments/prod/services").body
	for _, w := range []string{"https://dpm-grpc-prod", "https://minio-prod", `<th scope="row">DPM</th><td data-is="Version">15.1.0</td>`, `<span class="badge green">healthy</span>`, "DPM Admin Console", "Storage console", `data-copy="dpm"`, `data-copy="storage"`} {
		if !strings.Contains(page, w) {
			t.Errorf("the Services tab does not say %q", w)
		}
	}
	checkPage(t, page)
	s.cloud.mu.Lock()
	s.cloud.sick = "it's cut off"
	s.cloud.mu.Unlock()
	if page = html.UnescapeString(s.get(t, "/environments/prod/services").body); !strings.Contains(page, "does not answer") || !strings.Contains(page, "it's cut off") {
		t.Errorf("a DPM that does not answer: %s", page)
	}
}
