package stack_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/residue"
	"github.com/dpesim/dpesim/sim/simtest"
)

// managedReleases gives the releases of the Ataccama-managed engines that are connected, each from inside the cloud.
func managedReleases(t *testing.T, s *simtest.Sim) []sim.Release {
	t.Helper()
	all, err := s.API.Engines(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	var out []sim.Release
	for _, x := range all {
		if !x.Managed || x.Label != api.ManagedLabel || !strings.HasPrefix(x.Remote, "198.51.100.10:") {
			t.Errorf("connected: %+v", x)
		}
		out = append(out, x.Version)
	}
	return out
}

// TestManagedDPEsRunInTheCloud: "It is also possible to combine both self-managed and Ataccama-managed DPE deployments in a
// single platform environment." (seed, introduction) They work, follow the platform's release, and are there again after a
// restart; an allowlist is no matter to them.
func TestManagedDPEsRunInTheCloud(t *testing.T) { //nolint:tparallel // the runs follow one another
	t.Parallel()
	dir := t.TempDir()
	t.Run("first run", func(t *testing.T) {
		s := simtest.StartConfig(t, kept(t, dir))
		s.Environment(t, api.EnvironmentSpec{Name: "Acme", Release: "15.1.0"})
		edit := api.AllowlistEdit{On: true, Entries: []api.AllowlistEntry{{CIDR: "192.0.2.0/24"}}}
		if _, err := s.API.SetAllowlist(t.Context(), "acme", edit, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := s.API.ScaleManaged(t.Context(), "acme", 2, 0); err != nil {
			t.Fatal(err)
		}
		eventually(t, s, "two are connected", func() bool { return len(managedReleases(t, s)) == 2 })
		job, err := s.API.SubmitJob(t.Context(), "acme", api.JobSpec{Bucket: "sample-data", Key: "airports.csv", Label: api.ManagedLabel})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, s, "the job is done", func() bool {
			job, err = s.API.Job(t.Context(), "acme", job.ID)
			return err == nil && job.State == api.JobSuccess
		})
		if job.Label != api.ManagedLabel {
			t.Errorf("the job ran on %q", job.Label)
		}
		if _, err := s.API.UpgradeEnvironment(t.Context(), "acme", "15.3.0", 0); err != nil {
			t.Fatal(err)
		}
		eventually(t, s, "they are upgraded", func() bool { return slices.Equal(managedReleases(t, s), []sim.Release{"15.3.0", "15.3.0"}) })
		left, err := s.API.Residue(t.Context(), residue.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range left {
			if x.Owner.DPE == api.ManagedLabel {
				t.Errorf("what is the cloud's own counts as left: %+v", x)
			}
		}
	})
	s := simtest.StartConfig(t, kept(t, dir))
	eventually(t, s, "they are there again", func() bool { return slices.Equal(managedReleases(t, s), []sim.Release{"15.3.0", "15.3.0"}) })
	if _, err := s.API.ScaleManaged(t.Context(), "acme", 1, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "one is left", func() bool { return len(managedReleases(t, s)) == 1 })
	if _, err := s.API.DeleteEnvironment(t.Context(), "acme", 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "the environment is gone", func() bool {
		_, err := s.API.Environment(t.Context(), "acme")
		return sim.KindOf(err) == sim.NotFound
	})
}

func TestCreationTellsItsSteps(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	s.Environment(t, api.EnvironmentSpec{Name: "Acme"})
	var got []string
	for _, e := range s.Bus().Since(0) {
		if e.What == "environment step" && e.Detail["state"] == "done" {
			got = append(got, e.Detail["step"])
		}
	}
	if !slices.Equal(got, api.Steps()) {
		t.Errorf("done were %v, want %v", got, api.Steps())
	}
}
