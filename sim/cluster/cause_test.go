package cluster_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dpesim/dpesim/sim"
)

// told gives the first event after seq that is what, with details that contain want.
func (r *rig) told(tb testing.TB, seq uint64, what string, want map[string]string) (found sim.Event) {
	tb.Helper()
	r.until(tb, what, func() bool {
		i := slices.IndexFunc(r.bus.Since(seq), func(e sim.Event) bool {
			for k, v := range want {
				if e.Detail[k] != v {
					return false
				}
			}
			return e.What == what
		})
		if i >= 0 {
			found = r.bus.Since(seq)[i]
		}
		return i >= 0
	})
	return found
}

// chain gives what led to e, the latest first.
func (r *rig) chain(e sim.Event) []string {
	all := r.bus.Since(0)
	out := []string{e.What}
	for e.Cause != 0 {
		e = all[e.Cause-1]
		out = append(out, e.What)
	}
	return out
}

func TestCausesChainFromTheRolloutToItsPods(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.create(t, deployment("web", "v1", 2, 1, 0))
	complete := r.told(t, 0, "deployment complete", nil)
	up := []string{"pod ready", "container started", "pod started", "pod scheduled", "pod created", "deployment scaled"}
	install := append(slices.Clone(up), "object created")
	if diff := cmp.Diff(append([]string{"deployment complete", "replicas ready"}, install...), r.chain(complete)); diff != "" {
		t.Errorf("chain of the install (-want +got):\n%s", diff)
	}
	for _, c := range r.app.containers() {
		started := r.told(t, 0, "container started", map[string]string{"pod": c.Pod})
		if got := r.app.cause(c.Pod); got != started.Seq {
			t.Errorf("container of %s runs because of %d, want %d", c.Pod, got, started.Seq)
		}
	}

	// An upgrade: its first step follows from what a person did, the others from what the pods do.
	d := r.get(t, "web")
	d.Spec.Template.Spec.Containers[0].Image = "app:v2"
	if _, err := r.AppsV1().Deployments("default").Update(t.Context(), d, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	first := r.told(t, complete.Seq, "deployment scaled", nil)
	if diff := cmp.Diff([]string{"deployment scaled", "object changed"}, r.chain(first)); diff != "" {
		t.Errorf("chain of the upgrade's first step (-want +got):\n%s", diff)
	}
	if act := r.bus.Since(0)[first.Cause-1]; act.Detail["user"] != "operator" || act.Detail["deployment"] != "web" || act.Detail["verb"] != "update" {
		t.Errorf("it was told as %+v", act)
	}
	r.told(t, first.Seq, "deployment complete", nil)
	up = append(up, "object changed")
	down := r.told(t, first.Seq, "deployment scaled", nil)
	if diff := cmp.Diff(append([]string{"deployment scaled", "replicas ready"}, up...), r.chain(down)); diff != "" {
		t.Errorf("chain of the second step (-want +got):\n%s", diff)
	}
	gone := r.told(t, down.Seq, "pod deleted", nil)
	want := append([]string{"pod deleted", "container exited", "deployment scaled", "replicas ready"}, up...)
	if diff := cmp.Diff(want, r.chain(gone)); diff != "" {
		t.Errorf("chain of the first old pod's end (-want +got):\n%s", diff)
	}
}

// Who deletes a pod by hand is known, and the scaling of long ago is not blamed for it.
func TestAPersonsDeletionIsTheCauseOfWhatFollows(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.create(t, deployment("web", "v1", 1, 1, 0))
	complete := r.told(t, 0, "deployment complete", nil)
	if err := r.CoreV1().Pods("default").Delete(t.Context(), r.pods(t, "web")[0].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string][]string{
		"pod created": {"pod created", "object deleted"},
		"pod deleted": {"pod deleted", "container exited", "object deleted"},
	} {
		if diff := cmp.Diff(want, r.chain(r.told(t, complete.Seq, what, nil))); diff != "" {
			t.Errorf("chain of %q (-want +got):\n%s", what, diff)
		}
	}
}

func TestARestartIsCausedByTheExit(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.create(t, deployment("web", "crash", 1, 1, 0))
	exit := r.told(t, 0, "container exited", nil)
	again := r.told(t, exit.Seq, "container started", nil)
	want := []string{
		"container started", "container exited", "container started", "pod started", "pod scheduled", "pod created", "deployment scaled",
		"object created",
	}
	if diff := cmp.Diff(want, r.chain(again)); diff != "" {
		t.Errorf("chain of the second run (-want +got):\n%s", diff)
	}
}
