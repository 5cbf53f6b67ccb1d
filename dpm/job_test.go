package dpm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/dpm"
	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/event"
)

func TestAJobIsRunAndItsResultKept(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	e := r.connect(t, r.authorize(t, "finance"), "finance", "finance-0")
	e.give(t, 1)
	j := r.submit(t, profile)
	c := e.command(t)
	want := &dpmv1.Profile{
		Source:     &dpmv1.ObjectReference{Bucket: "sample-data", Key: "cars.csv"},
		Target:     &dpmv1.ObjectReference{Bucket: "results", Key: fmt.Sprintf("profile/%s/1.json", j.ID)},
		MaxRecords: 100,
	}
	if c.GetJobId() != string(j.ID) || c.GetAttempt() != 1 || c.GetProfile().String() != want.String() || !c.GetLeaseExpires().AsTime().Equal(r.clock.Now().Add(lease)) {
		t.Fatalf("command is %v", c)
	}
	if got := r.job(t, j.ID); got.State != dpm.Submitted || got.Replica != "finance-0" {
		t.Errorf("after the command: %s on %q, want SUBMITTED on finance-0", got.State, got.Replica)
	}
	e.report(t, running(c))
	e.barrier(t)
	if got := r.job(t, j.ID); got.State != dpm.Running || !got.StartedAt.Equal(r.clock.Now().Truncate(1e6)) {
		t.Errorf("after RUNNING: %s since %v", got.State, got.StartedAt)
	}
	e.report(t, succeeded(c))
	if got := e.receipt(t); !got.GetAccepted() || got.GetAttempt() != 1 {
		t.Fatalf("receipt is %v", got)
	}
	done := r.job(t, j.ID)
	if done.State != dpm.Success || string(done.Summary) != `{"rows":406}` || done.Result == nil || done.Result.Size != 12 || len(done.Attempts) != 1 {
		t.Errorf("job is %+v", done)
	}
	e.report(t, succeeded(c)) // the receipt was lost, so to speak
	if got := e.receipt(t); !got.GetAccepted() {
		t.Errorf("the same event again: %v, want accepted", got)
	}
	e.report(t, failed(c, "no"))
	if got := e.receipt(t); got.GetAccepted() || !strings.Contains(got.GetReason(), "SUCCESS") {
		t.Errorf("another end: %v, want refused since the job ended in SUCCESS", got)
	}
	if n := r.count("job succeeded", j.ID); n != 1 {
		t.Errorf("told %d times, want once", n)
	}
}

func TestCausesChainFromTheSubmitToTheEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	e := r.connect(t, r.authorize(t, "finance"), "finance", "finance-0")
	click := r.bus.Publish(r.ctx, sim.Event{Part: sim.PartPortal, What: "clicked"})
	j, err := r.server.Submit(event.WithCause(r.ctx, click.Seq), profile)
	if err != nil {
		t.Fatal(err)
	}
	e.give(t, 1)
	c := e.command(t)
	e.report(t, running(c))
	e.report(t, failed(c, "there is no object sample-data/cars.csv"))
	e.receipt(t)
	cause := click.Seq
	for _, what := range []string{"job submitted", "job dispatched", "job started", "job failed"} {
		ev := r.await(t, click.Seq, what)
		if ev.Cause != cause || ev.Environment != "acme" || ev.Detail["job_id"] != string(j.ID) {
			t.Errorf("%q is %+v, want cause %d", what, ev, cause)
		}
		cause = ev.Seq
	}
	if got := r.job(t, j.ID); got.State != dpm.Failure || got.Reason != "there is no object sample-data/cars.csv" {
		t.Errorf("job is %s for %q", got.State, got.Reason)
	}
}

func TestAWaitingJobSaysWhyItWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	pinned := profile
	pinned.Label = "sales"
	why := func(spec dpm.JobSpec, want string) {
		t.Helper()
		j := r.submit(t, spec)
		if j.State != dpm.Enqueued || !strings.Contains(j.Reason, want) {
			t.Errorf("%s for %q, want ENQUEUED for %q", j.State, j.Reason, want)
		}
		if got := r.job(t, j.ID); got.Reason != j.Reason {
			t.Errorf("read later: %q, want %q", got.Reason, j.Reason)
		}
	}
	why(profile, "no connected DPE can run profile jobs (job:profile, source:csv): no DPE is connected")
	h := hello("finance", "finance-0")
	h.Capabilities = []string{"job:monitor"}
	e := r.knock(t, key, h)
	e.next(t)
	why(profile, "no connected DPE can run profile jobs")
	why(pinned, `pinned to the DPE "sales", which is not connected`)
	e = r.connect(t, key, "finance", "finance-1")
	why(profile, "is busy")
	e.stop(t)
	e.barrier(t)
	why(profile, "is stopping")
}

func TestAJobThatGoesOutAtOnceHasNoReasonToWait(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	e := r.connect(t, r.authorize(t, "finance"), "finance", "finance-0")
	e.give(t, 1)
	e.barrier(t)
	if j := r.submit(t, profile); j.Reason != "" {
		t.Errorf("it waits for %q", j.Reason)
	}
	if j := r.submit(t, profile); !strings.Contains(j.Reason, "is busy") { // the one slot is taken
		t.Errorf("the second waits for %q", j.Reason)
	}
}

func TestJobsGoToTheReplicaThatRunsTheFewest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	a, b := r.connect(t, key, "finance", "finance-0"), r.connect(t, key, "finance", "finance-1")
	a.give(t, 3)
	a.barrier(t)
	b.give(t, 3)
	b.barrier(t)
	var got []string
	for range 6 {
		got = append(got, string(r.job(t, r.submit(t, profile).ID).Replica))
	}
	if diff := cmp.Diff([]string{"finance-0", "finance-1", "finance-0", "finance-1", "finance-0", "finance-1"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAPinnedJobWaitsForItsDPEAndHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	finance := r.connect(t, r.authorize(t, "finance"), "finance", "finance-0")
	finance.give(t, 10)
	finance.barrier(t)
	pinned := profile
	pinned.Label = "sales"
	first, second := r.submit(t, pinned), r.submit(t, profile)
	if c := finance.command(t); c.GetJobId() != string(second.ID) {
		t.Errorf("finance got %s, want %s", c.GetJobId(), second.ID)
	}
	sales := r.connect(t, r.authorize(t, "sales"), "sales", "sales-0")
	sales.give(t, 1)
	if c := sales.command(t); c.GetJobId() != string(first.ID) {
		t.Errorf("sales got %s, want %s", c.GetJobId(), first.ID)
	}
}

func TestJobsAreListedInOrderAndByState(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var ids []sim.JobID
	for range 4 {
		ids = append(ids, r.submit(t, profile).ID)
	}
	e := r.connect(t, r.authorize(t, "finance"), "finance", "finance-0")
	e.give(t, 1)
	e.command(t)
	for name, c := range map[string]struct {
		filter dpm.JobFilter
		want   []sim.JobID
	}{
		"all":       {dpm.JobFilter{}, ids},
		"page":      {dpm.JobFilter{After: ids[0], Limit: 2}, ids[1:3]},
		"newest":    {dpm.JobFilter{Newest: true, Limit: 2}, []sim.JobID{ids[3], ids[2]}},
		"next page": {dpm.JobFilter{Newest: true, Limit: 2, Before: ids[2]}, []sim.JobID{ids[1], ids[0]}},
		"between":   {dpm.JobFilter{After: ids[0], Before: ids[3]}, ids[1:3]},
		"enqueued":  {dpm.JobFilter{States: []dpm.State{dpm.Enqueued}}, ids[1:]},
		"two kinds": {dpm.JobFilter{States: []dpm.State{dpm.Success, dpm.Submitted}}, ids[:1]},
		"none":      {dpm.JobFilter{States: []dpm.State{dpm.Failure}}, nil},
	} {
		jobs, err := r.server.Jobs(r.ctx, c.filter)
		if err != nil {
			t.Fatal(err)
		}
		var got []sim.JobID
		for _, j := range jobs {
			got = append(got, j.ID)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if _, err := r.server.Jobs(r.ctx, dpm.JobFilter{After: "job-9-xxxxx"}); sim.KindOf(err) != sim.NotFound {
		t.Errorf("after a job that is not there: %v, want NotFound", err)
	}
	if _, err := r.server.Jobs(r.ctx, dpm.JobFilter{Before: "job-9-xxxxx"}); sim.KindOf(err) != sim.NotFound {
		t.Errorf("before a job that is not there: %v, want NotFound", err)
	}
	if _, err := r.server.Job(r.ctx, "job-9-xxxxx"); sim.KindOf(err) != sim.NotFound {
		t.Errorf("a job that is not there: %v, want NotFound", err)
	}
}

func TestSpecsThatNoEngineCouldRunAreInvalid(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, change := range map[string]func(*dpm.JobSpec){
		"type":     func(s *dpm.JobSpec) { s.Type = "dance" },
		"bucket":   func(s *dpm.JobSpec) { s.Source.Bucket = "" },
		"key":      func(s *dpm.JobSpec) { s.Source.Key = "" },
		"long key": func(s *dpm.JobSpec) { s.Source.Key = strings.Repeat("k", 1025) },
		"label":    func(s *dpm.JobSpec) { s.Label = "Not A Label" },
		"records":  func(s *dpm.JobSpec) { s.MaxRecords = -1 },
	} {
		spec := profile
		change(&spec)
		if _, err := r.server.Submit(r.ctx, spec); sim.KindOf(err) != sim.Invalid {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
	if jobs, err := r.server.Jobs(r.ctx, dpm.JobFilter{}); err != nil || len(jobs) != 0 {
		t.Errorf("jobs are %v, %v; want none", jobs, err)
	}
}
