package portal_test

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// TestStatusFollowsWhatIsConnected: "The installation status turns from orange to green and the displayed status message changes
// from DPE isn't connected yet to DPE is connected successfully." (seed, "Local installation")
func TestStatusFollowsWhatIsConnected(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod", Release: "15.1.0"})
	d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance", Replicas: 2, Drivers: []sim.Driver{"s3"}}))(t)

	cause := s.cloud.connect(ctx, e.ID, engine(d, "a"))
	told := s.status(t, api.StatePartiallyConnected, "1 of 2 replicas connected", 0)
	if told.Cause != cause.Seq || told.Detail["from"] != "not_connected" || told.DPE != d.Label {
		t.Errorf("told %+v", told)
	}
	s.cloud.connect(ctx, e.ID, engine(d, "a"), engine(d, "b"))
	s.status(t, api.StateConnected, "2 of 2 replicas connected", 0)
	st := must(s.DPE(ctx, e.ID, d.Label))(t).Status
	if st.Colour != api.Green || st.Message != "DPE is connected successfully" || st.RedeployNeeded || st.Outdated {
		t.Errorf("connected: %+v", st)
	}

	three := 3
	d2 := must(s.EditDPE(ctx, e.ID, d.Label, api.DPEEdit{Replicas: &three}, 0))(t)
	want := []api.Difference{{Field: "replicas", Running: "2", Wanted: "3"}, {Field: "revision", Running: "1", Wanted: "2"}}
	if diff := cmp.Diff(want, d2.Status.Differences); diff != "" || !d2.Status.RedeployNeeded {
		t.Errorf("after the edit: %+v %s", d2.Status, diff)
	}
	edited := s.wait(t, func(e sim.Event) bool { return e.What == "dpe edited" })
	if got := s.status(t, api.StatePartiallyConnected, "2 of 3 replicas connected", edited.Seq); got.Cause != edited.Seq || got.Detail["redeploy_needed"] != "true" {
		t.Errorf("told %+v", got)
	}
	s.cloud.connect(ctx, e.ID, engine(d2, "c"), engine(d2, "d"), engine(d2, "e"))
	told = s.status(t, api.StateConnected, "3 of 3 replicas connected", edited.Seq)
	if told.Detail["redeploy_needed"] != "false" {
		t.Errorf("told %+v", told)
	}

	must(s.UpgradeEnvironment(ctx, e.ID, "15.3.0", 0))(t)
	st = must(s.DPE(ctx, e.ID, d.Label))(t).Status
	if !st.Outdated || st.Platform != "15.3.0" || !slices.Equal(st.Running, []sim.Release{"15.1.0"}) {
		t.Errorf("after the platform upgrade: %+v", st)
	}
	if err := s.clock.Advance(ctx, time.Hour); err != nil {
		t.Fatal(err)
	}
	gone := s.cloud.connect(ctx, e.ID)
	s.status(t, api.StateDisconnected, "0 of 3 replicas connected", gone.Seq)
	st = must(s.DPE(ctx, e.ID, d.Label))(t).Status
	if st.Colour != api.Orange || st.DisconnectedSince == nil || !st.DisconnectedSince.Equal(epoch.Add(time.Hour)) || !st.Outdated || !st.RedeployNeeded {
		t.Errorf("disconnected: %+v", st)
	}
}

func TestWhatWasSeenSurvivesARestart(t *testing.T) { //nolint:tparallel // the second run follows the first
	t.Parallel()
	path := filepath.Join(t.TempDir(), "portal.db")
	var d api.DPE
	var values []byte
	t.Run("first run", func(t *testing.T) {
		s, ctx := startAt(t, path), t.Context()
		e := s.environment(t, api.EnvironmentSpec{Name: "Prod"})
		d = must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance"}))(t)
		values = must(s.Values(ctx, e.ID, d.Label, ""))(t)
		s.cloud.connect(ctx, e.ID, engine(d, "a"))
		s.status(t, api.StateConnected, "1 of 1 replicas connected", 0)
		s.wait(t, func(e sim.Event) bool { return e.What == "dpe status changed" })
	})
	s, ctx := startAt(t, path), t.Context()
	if got := must(s.DPE(ctx, d.Environment, d.Label))(t); got.Status.State != api.StateDisconnected || got.KeyID != d.KeyID {
		t.Errorf("after the restart: %+v", got)
	}
	if got := must(s.Values(ctx, d.Environment, d.Label, ""))(t); !bytes.Equal(got, values) {
		t.Error("values.yaml changed by a restart")
	}
	select {
	case <-s.Changed():
	default:
		t.Error("a new portal does not ask for a reconciliation")
	}
	s.cloud.connect(ctx, d.Environment, engine(d, "a"))
	if e := s.status(t, api.StateConnected, "1 of 1 replicas connected", 0); e.Detail["from"] != "disconnected" {
		t.Errorf("told %+v", e)
	}
}
