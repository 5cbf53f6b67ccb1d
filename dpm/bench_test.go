package dpm_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dpesim/dpesim/dpm"
	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
	"github.com/dpesim/dpesim/sim"
)

// BenchmarkJobs runs jobs from submit to stored result through a real stream: TLS, gRPC, one transaction or more for
// each of accepted, given and ended. 32 callers submit at once, as many slots run at once.
func BenchmarkJobs(b *testing.B) {
	const slots = 32
	r := newRig(b)
	r.clock.FollowReal()
	e := r.connect(b, r.authorize(b, "finance"), "finance", "finance-0")
	e.give(b, slots)
	e.barrier(b)
	b.ResetTimer()
	var submitters sync.WaitGroup
	work := make(chan struct{})
	for range slots {
		submitters.Go(func() {
			for range work {
				if _, err := r.server.Submit(r.ctx, profile); err != nil {
					b.Errorf("submit: %v", err)
				}
			}
		})
	}
	submitters.Go(func() {
		for range b.N {
			work <- struct{}{}
		}
		close(work)
	})
	for done := 0; done < b.N; {
		m := e.next(b)
		for _, c := range m.GetCommands().GetCommands() {
			e.report(b, succeeded(c))
		}
		if rec := m.GetReceipt(); rec != nil {
			if !rec.GetAccepted() {
				b.Fatalf("refused: %v", rec)
			}
			done++
			e.give(b, 1)
		}
	}
	submitters.Wait()
	b.StopTimer()
	jobs, err := r.server.Jobs(r.ctx, dpm.JobFilter{States: []dpm.State{dpm.Success}})
	if err != nil || len(jobs) != b.N {
		b.Fatalf("%d jobs succeeded, %v; want %d", len(jobs), err, b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkDispatch is the time from the call of Submit to the command at the engine, one job at a time: the commit that
// accepts the job gives it, too.
func BenchmarkDispatch(b *testing.B) {
	r := newRig(b)
	r.clock.FollowReal()
	e := r.connect(b, r.authorize(b, "finance"), "finance", "finance-0")
	took := make([]time.Duration, 0, b.N)
	for b.Loop() {
		e.give(b, 1)
		e.barrier(b)
		began := time.Now()
		r.submit(b, profile)
		c := e.command(b)
		took = append(took, time.Since(began))
		e.report(b, &dpmv1.JobEvent{JobId: c.GetJobId(), Attempt: c.GetAttempt(), State: dpmv1.JobState_JOB_STATE_SUCCEEDED})
		e.receipt(b)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us/dispatch")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us/dispatch")
}

// BenchmarkListOf10000 reads the newest page of 100, and one from the middle, of 10,000 jobs.
func BenchmarkListOf10000(b *testing.B) {
	r := newRig(b)
	const n = 10_000
	ids := make([]sim.JobID, n)
	var submitters sync.WaitGroup
	for part := range 50 { // those that submit at once share transactions
		submitters.Go(func() {
			for i := part; i < n; i += 50 {
				j, err := r.server.Submit(r.ctx, profile)
				if err != nil {
					b.Errorf("submit: %v", err)
					return
				}
				ids[i] = j.ID
			}
		})
	}
	submitters.Wait()
	for name, f := range map[string]dpm.JobFilter{
		"newest": {Newest: true, Limit: 100}, "middle": {Newest: true, Limit: 100, Before: ids[n/2]}, "all": {},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if jobs, err := r.server.Jobs(r.ctx, f); err != nil || f.Limit != 0 && len(jobs) != f.Limit {
					b.Fatalf("%d jobs, %v", len(jobs), err)
				}
			}
		})
	}
}
