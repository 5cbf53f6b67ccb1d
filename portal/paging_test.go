package portal_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// manyJobs gives an environment n jobs, the newest first.
func (s *sut) manyJobs(env sim.EnvironmentID, n int) {
	s.cloud.mu.Lock()
	defer s.cloud.mu.Unlock()
	all := make([]api.Job, n)
	for i := range all {
		all[i] = api.Job{ID: sim.JobID(fmt.Sprintf("job-%d", n-i)), Spec: api.JobSpec{Kind: api.JobProfile, Bucket: "b", Key: "k"}, State: api.JobSuccess, Created: epoch}
	}
	all[0].State = api.JobRunning
	s.cloud.jobs[env] = all
}

// unchecked gives a client whose answers are not held against the document, which takes long for long ones.
func (*sut) unchecked(tb testing.TB) *http.Client {
	tb.Helper()
	c := &http.Client{Transport: &http.Transport{}}
	tb.Cleanup(c.CloseIdleConnections)
	return c
}

func TestNoJobIsLostBetweenPages(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	const n = 10_000
	s.manyJobs(e.ID, n)
	c := *s.Client
	c.HTTP = s.unchecked(t)
	if first := must(c.Jobs(ctx, e.ID, api.JobFilter{}))(t); len(first) != 100 || first[0].ID != "job-10000" {
		t.Errorf("one answer has %d jobs from %s", len(first), first[0].ID)
	}
	if most := must(c.Jobs(ctx, e.ID, api.JobFilter{Limit: 1 << 40}))(t); len(most) != 1000 {
		t.Errorf("one answer has %d jobs at most", len(most))
	}
	next := n
	for j, err := range c.AllJobs(ctx, e.ID, api.JobFilter{Limit: 1000}) {
		if err != nil {
			t.Fatal(err)
		}
		if next == 9_500 { // jobs that come meanwhile move nothing
			must(s.SubmitJob(ctx, e.ID, api.JobSpec{Bucket: "b", Key: "k"}))(t)
		}
		if want := sim.JobID(fmt.Sprintf("job-%d", next)); j.ID != want {
			t.Fatalf("got %s, want %s", j.ID, want)
		}
		next--
	}
	if next != 0 {
		t.Errorf("%d jobs were lost", next)
	}
	var running []sim.JobID
	for j := range c.AllJobs(ctx, e.ID, api.JobFilter{State: api.JobRunning}) {
		running = append(running, j.ID)
	}
	if !slices.Equal(running, []sim.JobID{"job-10000"}) {
		t.Errorf("running: %v", running)
	}
	for range c.AllJobs(ctx, e.ID, api.JobFilter{}) {
		break
	}
}

func TestPagesAreLinked(t *testing.T) {
	t.Parallel()
	s := start(t)
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	s.manyJobs(e.ID, 3)
	const jobs = "/api/v1/environments/prod/jobs"
	got := s.send(t, http.MethodGet, jobs+"?limit=2&state=SUCCESS", "")
	if link := got.header.Get("Link"); link != "" || got.code != 200 {
		t.Errorf("two of two: %d, Link %q", got.code, link)
	}
	got = s.send(t, http.MethodGet, jobs+"?limit=1&state=SUCCESS", "")
	if link := got.header.Get("Link"); link != "<"+jobs+`?before=job-2&limit=1&state=SUCCESS>; rel="next"` {
		t.Errorf("Link %q", link)
	}
	for path, words := range map[string]string{
		jobs + "?limit=0": "whole number", jobs + "?limit=x": "whole number", jobs + "?state=done": "states are", "/api/v1/audit?before=-1": "whole number", "/api/v1/events?limit=-1": "whole number",
	} {
		if got := s.send(t, http.MethodGet, path, ""); got.code != http.StatusBadRequest || !strings.Contains(got.body, words) {
			t.Errorf("%s: %d %s", path, got.code, got.body)
		}
	}
	if got := s.send(t, http.MethodGet, jobs+"?before=job-9", ""); got.code != http.StatusNotFound {
		t.Errorf("before what is not there: %d %s", got.code, got.body)
	}
}

func TestAuditAndEventsAreReadWhole(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance"}))(t)
	for i := range 5 {
		must(s.EditDPE(ctx, e.ID, d.Label, api.DPEEdit{Replicas: new(i + 2)}, 0))(t)
	}
	var seqs []int64
	for x, err := range s.AllAudit(ctx, api.AuditFilter{Limit: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, x.Seq)
	}
	if want := []int64{7, 6, 5, 4, 3, 2, 1}; !slices.Equal(seqs, want) {
		t.Errorf("entries %v, want %v", seqs, want)
	}
	for i := range 2500 {
		s.bus.Publish(ctx, sim.Event{Part: sim.PartSim, Environment: e.ID, What: "something happened", Detail: map[string]string{"n": strconv.Itoa(i)}})
	}
	if got := must(s.Events(ctx, api.EventFilter{}))(t); len(got) <= 2500 || got[0].Seq != 1 || got[len(got)-1].Seq != uint64(len(got)) {
		t.Errorf("%d events from %d", len(got), got[0].Seq)
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	for _, err := range s.AllAudit(ctx, api.AuditFilter{}) {
		if err == nil {
			t.Error("an entry without an answer")
		}
	}
}

func TestTheSecondOfTwoAdminsIsTold(t *testing.T) {
	t.Parallel()
	s, e, d := owned(t)
	ctx := t.Context()
	must(s.as("ada").EditDPE(ctx, e.ID, d.Label, api.DPEEdit{Replicas: new(2)}, d.Revision))(t)
	_, err := s.as("otto").EditDPE(ctx, e.ID, d.Label, api.DPEEdit{Replicas: new(3)}, d.Revision)
	wantError(t, err, sim.Conflict, "changed meanwhile", "is 2, not 1")
	wantError(t, s.as("otto").RemoveDPE(ctx, e.ID, d.Label, d.Revision), sim.Conflict, "changed meanwhile")
	if err := s.as("otto").RemoveDPE(ctx, e.ID, d.Label, 2); err != nil {
		t.Error(err)
	}
}

// BenchmarkJobsPage reads the page of 100 jobs of 10,000 that the API gives unless more is asked for.
func BenchmarkJobsPage(b *testing.B) {
	s := start(b)
	e := s.environment(b, api.EnvironmentSpec{Name: "Prod"})
	s.manyJobs(e.ID, 10_000)
	c := *s.Client
	c.HTTP = s.unchecked(b)
	for b.Loop() {
		if got := must(c.Jobs(b.Context(), e.ID, api.JobFilter{}))(b); len(got) != 100 {
			b.Fatal(len(got))
		}
	}
}
