package portal_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/pagetest"
	"github.com/dpesim/dpesim/sim"
)

// pageBytes is what may go over the wire for a page that is opened for the first time, with all that it loads.
const pageBytes = 300_000

// TestPagesStaySmallWithManyJobsAndPods: with 10,000 jobs, 500 pods that are connected, 500 objects and a long timeline.
func TestPagesStaySmallWithManyJobsAndPods(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod", Release: "15.3.0"})
	d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance"}))(t)
	var engines []api.Engine
	for i := range 500 {
		x := engine(d, fmt.Sprintf("7d9c5b6f4d-%05d", i))
		x.Remote = fmt.Sprintf("203.0.113.10:%d", 20_000+i)
		engines = append(engines, x)
		s.simulator.pods = append(s.simulator.pods, api.ClusterPod{
			Namespace: "dpe", Name: string(x.Replica), Ready: "1/1", Status: "Running", Node: fmt.Sprintf("dpesim-node-%d", i%20), Image: "localhost:8443/dpe/engine:15.3.0", Created: epoch,
		})
		s.cloud.put("sample-data", fmt.Sprintf("batch/%05d.csv", i), "a,b")
	}
	s.simulator.open = len(engines)
	s.cloud.connect(ctx, e.ID, engines...)
	jobs := make([]api.Job, 10_000)
	for i := range jobs {
		jobs[i] = api.Job{
			ID: sim.JobID(fmt.Sprintf("job-%d-%05x", i, i*7919)), Spec: api.JobSpec{Bucket: "sample-data", Key: fmt.Sprintf("batch/%05d.csv", i)}, State: api.JobEnqueued,
			Reason: "no engine of DPE hr is connected", Created: epoch,
		}
		s.bus.Publish(ctx, sim.Event{Part: sim.PartDPM, Environment: e.ID, DPE: d.Label, What: "job submitted", Detail: map[string]string{
			"job_id": string(jobs[i].ID), "type": "profile", "bucket": "sample-data", "key": jobs[i].Spec.Key,
		}})
	}
	s.cloud.jobs[e.ID] = jobs
	b := pagetest.New(s.URL())
	if err := b.SignIn(ctx, "tess"); err != nil {
		t.Fatal(err)
	}
	for _, path := range allPages(e.ID, d.Label) {
		b.Forget()
		v := must(b.Open(ctx, path))(t)
		t.Logf("%6d bytes, %6d of them the page, %d requests: %s", v.Bytes, v.Page, v.Requests, path)
		if v.Status != http.StatusOK || v.Bytes > pageBytes {
			t.Errorf("%s: %d, %d bytes, more than %d", path, v.Status, v.Bytes, pageBytes)
		}
	}
	b.Forget()
	first := must(b.Open(ctx, "/environments"))(t)
	if again := must(b.Open(ctx, "/environments"))(t); first.Requests < 5 || again.Requests != 1 {
		t.Errorf("%d requests for the first page, %d for the same again: what is kept is asked for", first.Requests, again.Requests)
	}
}
