package portal_test

import (
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

func TestOverviewTeachesTheNextStep(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	mia := s.session(t, "mia")
	must(s.CreateEnvironment(ctx, api.EnvironmentSpec{Name: "Prod"}))(t)
	says := func(stage string, words ...string) {
		t.Helper()
		body := s.get(t, "/environments/prod/overview").body
		checkPage(t, body)
		for _, w := range words {
			if !strings.Contains(body, w) {
				t.Errorf("%s: the Overview does not say %q", stage, w)
			}
		}
	}
	says("creating", "Wait until the environment is ready", "dpesim wait prod")
	s.reconcile(t)
	says("ready", "No self-managed DPE yet", "dpesim dpe add prod Finance", `href="/environments/prod/dpes/new"`)
	if body := s.see(t, mia, "/environments/prod/overview"); !strings.Contains(body, "organisation admin to add one") || strings.Contains(body, "/dpes/new") {
		t.Error("a member is shown what only others may do")
	}
	d := must(s.AddDPE(ctx, "prod", api.DPESpec{Name: "Finance"}))(t)
	says("added", "finance isn&#39;t connected yet", "/dpes/finance/installation", "dpesim dpe commands prod finance", "1 of 10 replicas")
	s.cloud.connect(ctx, "prod", engine(d, "a"))
	says("connected", "Have one profile an object", "dpesim job submit prod profile sample-data/birdstrikes.csv")
	must(s.SubmitJob(ctx, "prod", api.JobSpec{Bucket: "sample-data", Key: "birdstrikes.csv"}))(t)
	says("all done", "Nothing is to be done")
	must(s.EditDPE(ctx, "prod", "finance", api.DPEEdit{Replicas: new(2)}, 0))(t)
	says("edited", "differs from its settings")
	s.environment(t, api.EnvironmentSpec{Name: "Small", Offering: api.OfferingStandard})
	if body := s.get(t, "/environments/small/overview").body; !strings.Contains(body, "Professional tier and above") {
		t.Error("the Overview does not say why there can be no self-managed DPE")
	}
	if got := s.get(t, "/environments/prod"); got.code != http.StatusFound || got.header.Get("Location") != "/environments/prod/overview" {
		t.Errorf("the environment leads to %d %v", got.code, got.header)
	}
}

func TestJobsPageGoesBackThroughMany(t *testing.T) {
	t.Parallel()
	s := start(t)
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	s.cloud.mu.Lock()
	for i := range 10_000 {
		j := api.Job{ID: sim.JobID(fmt.Sprintf("j-%d", i)), Spec: api.JobSpec{Bucket: "b", Key: "k"}, State: api.JobSuccess, Created: epoch}
		if i%100 == 0 {
			j.State = api.JobFailure
		}
		s.cloud.jobs[e.ID] = append(s.cloud.jobs[e.ID], j)
	}
	s.cloud.mu.Unlock()
	next := regexp.MustCompile(`<a class="button" href="([^"]+)">Older</a>`)
	seen := map[string]bool{}
	id := regexp.MustCompile(`<code>(j-\d+)</code>`)
	walk := func(path string) (pages int) {
		for path != "" {
			pages++
			body := s.get(t, path).body
			if len(body) > 80<<10 {
				t.Fatalf("%s has %d bytes", path, len(body))
			}
			for _, m := range id.FindAllStringSubmatch(body, -1) {
				seen[m[1]] = true
			}
			path = ""
			if m := next.FindStringSubmatch(body); m != nil {
				path = html.UnescapeString(m[1])
			}
		}
		return pages
	}
	if pages := walk("/environments/prod/jobs"); pages != 100 || len(seen) != 10_000 {
		t.Errorf("%d jobs on %d pages", len(seen), pages)
	}
	clear(seen)
	if pages := walk("/environments/prod/jobs?state=FAILURE"); pages != 1 || len(seen) != 100 {
		t.Errorf("%d failed jobs on %d pages", len(seen), pages)
	}
	if body := s.get(t, "/environments/prod/jobs").body; !strings.Contains(body, "the newest 100") {
		t.Error("the page does not say how many it shows")
	}
	got := s.get(t, "/environments/prod/jobs?state=TIRED")
	if got.code != http.StatusBadRequest || !strings.Contains(got.body, "there is no state &#34;TIRED&#34;") {
		t.Errorf("a state that is none: %d %s", got.code, got.body)
	}
	checkPage(t, got.body)
}
