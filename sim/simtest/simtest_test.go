package simtest_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/simtest"
)

// Twenty simulators in one process have nothing in common: each has its own ports, environments and events.
func TestTwentySimulatorsInOneProcess(t *testing.T) {
	t.Parallel()
	for i := range 20 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			s := simtest.Start(t)
			name := fmt.Sprintf("Environment %d", i)
			env := s.Environment(t, api.EnvironmentSpec{Name: name})
			dpe, err := s.API.AddDPE(t.Context(), env.ID, api.DPESpec{Name: "Finance"})
			if err != nil {
				t.Fatal(err)
			}
			if dpe.Status.Message != "DPE isn't connected yet" {
				t.Errorf("a new DPE's status is %q", dpe.Status.Message)
			}
			envs, err := s.API.Environments(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(envs) != 1 || envs[0].Name != name {
				t.Errorf("environments are %v, want %q alone", envs, name)
			}
			for _, e := range s.Bus().Since(0) {
				if e.Environment != "" && e.Environment != env.ID {
					t.Errorf("an event of another simulator: %v", e)
				}
			}
		})
	}
}

// The same seed and inputs draw the same ids.
func TestSameSeedSameJobIDs(t *testing.T) {
	t.Parallel()
	ids := make([]sim.JobID, 2)
	for i := range ids {
		s := simtest.Start(t)
		env := s.Environment(t, api.EnvironmentSpec{Name: "Demo"})
		job, err := s.API.SubmitJob(t.Context(), env.ID, api.JobSpec{Bucket: "sample-data", Key: "birdstrikes.csv"})
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = job.ID
	}
	if ids[0] != ids[1] {
		t.Errorf("job ids %s and %s of the same seed", ids[0], ids[1])
	}
}
