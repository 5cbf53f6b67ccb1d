package stack_test

import (
	"slices"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/simtest"
)

func TestAJobOutlivesARestartOfTheDPM(t *testing.T) {
	t.Parallel()
	s, ctx := simtest.Start(t), t.Context()
	env := s.Environment(t, api.EnvironmentSpec{Name: "Acme"}).ID
	if _, err := s.API.ScaleManaged(ctx, env, 1, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.API.Arm(ctx, api.Fault{Name: "slow", Point: "objstore.get", Delay: "1h", Times: 1}); err != nil {
		t.Fatal(err)
	}
	job, err := s.API.SubmitJob(ctx, env, api.JobSpec{Bucket: "sample-data", Key: "airports.csv"})
	if err != nil {
		t.Fatal(err)
	}
	becomes := func(state api.JobState) {
		t.Helper()
		eventually(t, s, "the job is "+string(state), func() bool {
			job, err = s.API.Job(ctx, env, job.ID)
			return err == nil && job.State == state
		})
	}
	becomes(api.JobRunning)
	before := s.Bus().Last()
	if err := s.API.RestartDPM(ctx, env); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "the engine is back", func() bool {
		return slices.ContainsFunc(s.Bus().Since(before), func(e sim.Event) bool { return e.What == "engine connected" })
	})
	if err := s.API.Disarm(ctx, "slow"); err != nil {
		t.Fatal(err)
	}
	becomes(api.JobSuccess)
	if job.Attempt != 1 {
		t.Errorf("attempt %d", job.Attempt)
	}
	if _, err := s.API.DeleteEnvironment(ctx, env, 0); err != nil { // the DPM that was opened anew goes, too
		t.Fatal(err)
	}
	eventually(t, s, "its route is gone", func() bool { return !reaches(t, s, "dpm-grpc-acme.dpesim.localhost") })
	if err := s.API.RestartDPM(ctx, env); sim.KindOf(err) != sim.NotFound && sim.KindOf(err) != sim.Unavailable {
		t.Errorf("restarted what is gone: %v", err)
	}
}
