package cluster_test

import (
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster"
)

// look gives what the control room sees.
func (r *rig) look(tb testing.TB) api.Cluster {
	tb.Helper()
	is, err := r.View().Read(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return is
}

// The view says of a cluster what kubectl says, follows it, and does what an operator does.
func TestViewFollowsTheClusterAndActsInIt(t *testing.T) {
	t.Parallel()
	r := open(t, func(o *cluster.Options) { o.Nodes, _ = cluster.ParseNodes("2") })
	v, ctx := r.View(), t.Context()
	if is := r.look(t); len(is.Nodes) != 2 || is.Nodes[0].Name != "dpesim-node-1" || is.Nodes[0].Status != "Ready" || is.Nodes[0].Power != "on" || len(is.Pods) != 0 || len(is.Deployments) != 0 {
		t.Errorf("an empty cluster is %+v", is)
	}
	r.create(t, deployment("web", "v1", 2, 1, 0))
	r.until(t, "two pods run", func() bool {
		is := r.look(t)
		return len(is.Pods) == 2 && is.Pods[0].Status == "Running" && is.Pods[1].Ready == "1/1" && len(is.Deployments) == 1 && is.Deployments[0].Ready == 2
	})
	is := r.look(t)
	p, n := is.Pods[0], is.Nodes[0]
	if p.Namespace != "default" || !strings.HasPrefix(p.Name, "web-") || p.Node == "" || p.Image != "app:v1" || p.Restarts != 0 || p.Created.IsZero() || is.Deployments[0].Desired != 2 {
		t.Errorf("%+v, %+v", p, is.Deployments)
	}
	if n.Pods+is.Nodes[1].Pods != 2 || n.CPU == "" || n.Memory == "" {
		t.Errorf("%+v", is.Nodes)
	}
	told := map[string]bool{}
	for i, e := range is.Events {
		told[e.Reason] = true
		if i > 0 && e.Time.After(is.Events[i-1].Time) {
			t.Error("the events are not the newest first")
		}
	}
	if !told["ScalingReplicaSet"] || !told["Scheduled"] || !told["Started"] {
		t.Errorf("told are %v", told)
	}
	for what, act := range map[string]func() error{
		"scale":  func() error { return v.Scale(ctx, "default", "web", 1) },
		"cordon": func() error { return v.Cordon(ctx, n.Name, true) },
		"stop":   func() error { return v.SetPower(ctx, is.Nodes[1].Name, false) },
	} {
		if err := act(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	r.until(t, "scaled, cordoned, stopped", func() bool {
		is := r.look(t)
		return is.Deployments[0].Desired == 1 && strings.HasSuffix(is.Nodes[0].Status, ",SchedulingDisabled") && is.Nodes[1].Power == "off"
	})
	for words, err := range map[string]error{
		`pods "none" not found`:               v.DeletePod(ctx, "default", "none"),
		`deployments.apps "none" not found`:   v.Scale(ctx, "default", "none", 1),
		"a deployment cannot have -1 replica": v.Scale(ctx, "default", "web", -1),
	} {
		if err == nil || sim.KindOf(err) == sim.Internal || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %q", err, words)
		}
	}
}
