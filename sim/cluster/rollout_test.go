package cluster_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dpesim/dpesim/sim/cluster"
)

func TestRollingUpdateKeepsEnoughReady(t *testing.T) {
	t.Parallel()
	r := open(t, func(o *cluster.Options) { o.Nodes = []cluster.Node{{Name: "big", CPU: "64", Memory: "64Gi"}} })
	for _, tt := range []struct {
		n                  int32
		surge, unavailable int
	}{{1, 1, 0}, {2, 1, 0}, {3, 1, 0}, {3, 2, 1}, {4, 0, 1}, {5, 3, 0}} {
		name := fmt.Sprintf("roll-%d-%d-%d", tt.n, tt.surge, tt.unavailable)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r.create(t, deployment(name, "v1", tt.n, tt.surge, tt.unavailable))
			r.rolledOut(t, name)
			watch, err := r.CoreV1().Pods("default").Watch(t.Context(), metav1.ListOptions{LabelSelector: "app=" + name})
			if err != nil {
				t.Fatal(err)
			}
			defer watch.Stop()
			r.patch(t, name, `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"app:v2"}]}}}}`)
			live := map[string]*corev1.Pod{}
			fresh := func() (done bool) {
				least, updated := 0, int32(0)
				for _, p := range live {
					if ready(p) {
						least++
						if p.Spec.Containers[0].Image == "app:v2" {
							updated++
						}
					}
				}
				if least < int(tt.n)-tt.unavailable {
					t.Fatalf("%d ready", least)
				}
				if len(live) > int(tt.n)+tt.surge {
					t.Fatalf("%d pods", len(live))
				}
				return updated == tt.n && len(live) == int(tt.n)
			}
			late := time.NewTimer(patience)
			defer late.Stop()
			for initial := int(tt.n); ; {
				select {
				case e := <-watch.ResultChan():
					p, ok := e.Object.(*corev1.Pod)
					if !ok {
						t.Fatalf("watch: %+v", e)
					}
					if live[p.Name] = p; p.DeletionTimestamp != nil || e.Type == "DELETED" {
						delete(live, p.Name)
					}
					if initial--; initial > 0 {
						continue // the watch begins with what is there
					}
				case <-late.C:
					r.dump(t)
					t.Fatal("the rollout does not end")
				}
				if fresh() {
					break
				}
			}
			r.rolledOut(t, name)
		})
	}
}

func TestRollbackTakesTheOldReplicaSetAgain(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.create(t, deployment("web", "v1", 2, 1, 0))
	r.rolledOut(t, "web")
	first := r.sets(t, "web")[0].Name
	image := func(tag string) {
		r.patch(t, "web", `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"app:`+tag+`"}]}}}}`)
		r.rolledOut(t, "web")
	}
	image("v2")
	image("v1")
	sets := r.sets(t, "web")
	if len(sets) != 2 {
		t.Fatalf("%d replica sets", len(sets))
	}
	for _, s := range sets {
		revision, n := "2", int32(0)
		if s.Name == first {
			revision, n = "3", 2
		}
		if s.Annotations["deployment.kubernetes.io/revision"] != revision || *s.Spec.Replicas != n {
			t.Errorf("%s: revision %s, %d replicas", s.Name, s.Annotations["deployment.kubernetes.io/revision"], *s.Spec.Replicas)
		}
	}
	if got := r.get(t, "web").Annotations["deployment.kubernetes.io/revision"]; got != "3" {
		t.Errorf("revision = %s", got)
	}
	r.patch(t, "web", `{"spec":{"revisionHistoryLimit":0}}`)
	r.until(t, "history gone", func() bool { return len(r.sets(t, "web")) == 1 })
}

func (r *rig) sets(tb testing.TB, name string) []appsv1.ReplicaSet {
	tb.Helper()
	list, err := r.AppsV1().ReplicaSets("default").List(tb.Context(), metav1.ListOptions{LabelSelector: "app=" + name})
	if err != nil {
		tb.Fatal(err)
	}
	return list.Items
}

func TestRecreateHasNoTwoVersionsAtOnce(t *testing.T) {
	t.Parallel()
	r := open(t)
	d := deployment("web", "v1", 2, 1, 0)
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	r.create(t, d)
	r.rolledOut(t, "web")
	r.patch(t, "web", `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"app:v2"}]}}}}`)
	r.until(t, "new version", func() bool {
		list, err := r.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
		if err != nil {
			t.Fatal(err)
		}
		images, ups := map[string]int{}, 0
		for i := range list.Items {
			images[list.Items[i].Spec.Containers[0].Image]++
			ups += map[bool]int{true: 1}[ready(&list.Items[i])]
		}
		if len(images) > 1 {
			t.Fatalf("both at once: %v", images)
		}
		return images["app:v2"] == 2 && ups == 2
	})
}

func TestPausedDeploymentScalesButDoesNotRoll(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.create(t, deployment("web", "v1", 1, 1, 0))
	r.rolledOut(t, "web")
	r.patch(t, "web", `{"spec":{"paused":true,"replicas":3,"template":{"spec":{"containers":[{"name":"main","image":"app:v2"}]}}}}`)
	r.until(t, "three of the old version", func() bool {
		d := r.get(t, "web")
		return d.Status.ReadyReplicas == 3 && d.Status.ObservedGeneration >= d.Generation
	})
	if sets := r.sets(t, "web"); len(sets) != 1 {
		t.Fatalf("%d replica sets", len(sets))
	}
	r.patch(t, "web", `{"spec":{"paused":false}}`)
	r.rolledOut(t, "web")
	for _, p := range r.pods(t, "web") {
		if p.Spec.Containers[0].Image != "app:v2" {
			t.Errorf("%s runs %s", p.Name, p.Spec.Containers[0].Image)
		}
	}
}

func TestStuckRolloutKeepsTheOldPodsAndMissesItsDeadline(t *testing.T) {
	t.Parallel()
	r := open(t, frozen)
	d := deployment("web", "v1", 2, 1, 0)
	deadline := int32(60)
	d.Spec.ProgressDeadlineSeconds = &deadline
	r.create(t, d)
	r.until(t, "ready", func() bool { r.advance(t, 50*time.Millisecond); return r.get(t, "web").Status.AvailableReplicas == 2 })
	r.rolledOut(t, "web")
	r.patch(t, "web", `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"app:unready"}]}}}}`)
	r.until(t, "one pod of the new version", func() bool { return r.get(t, "web").Status.UpdatedReplicas == 1 })
	progressing := func(status corev1.ConditionStatus, reason string) func() bool {
		return func() bool {
			for _, c := range r.get(t, "web").Status.Conditions {
				if c.Type == appsv1.DeploymentProgressing {
					return c.Status == status && c.Reason == reason
				}
			}
			return false
		}
	}
	r.until(t, "progressing", progressing(corev1.ConditionTrue, "ReplicaSetUpdated"))
	r.advance(t, 59*time.Second)
	if !progressing(corev1.ConditionTrue, "ReplicaSetUpdated")() {
		t.Fatal("gave up too early")
	}
	r.advance(t, 2*time.Second)
	r.until(t, "deadline exceeded", progressing(corev1.ConditionFalse, "ProgressDeadlineExceeded"))
	if s := r.get(t, "web").Status; s.ReadyReplicas != 2 || s.UpdatedReplicas != 1 || s.Replicas != 3 {
		t.Errorf("status = %+v", s)
	}
	unhealthy := r.hasEvent(t, "", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
	r.until(t, "Unhealthy", func() bool { r.advance(t, time.Second); return unhealthy() })
	if got := r.events(t, "web", "ScalingReplicaSet"); len(got) != 2 || !strings.Contains(got[1].Message+got[0].Message, "from 0 to 1") {
		t.Errorf("events = %+v", got)
	}
}
