package cluster_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/kube"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dpesim/dpesim/sim/cluster"
)

const hook = `apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-check
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-delete-policy: before-hook-creation
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "app:{{ .Values.hook }}"}]
`

// hooked is tiny with a Job that has to succeed before the rest is made.
func hooked() *chart.Chart {
	c := tiny()
	c.Templates = append(c.Templates, &common.File{Name: "templates/hook.yaml", Data: []byte(hook)})
	return c
}

func TestHelmRunsJobHooksBeforeTheRest(t *testing.T) {
	t.Parallel()
	r := open(t)
	install := action.NewInstall(r.helm(t))
	install.ReleaseName, install.Namespace, install.WaitStrategy, install.Timeout = "web", "default", kube.StatusWatcherStrategy, 30*time.Second
	if _, err := install.RunWithContext(t.Context(), hooked(), map[string]any{"replicas": 1, "tag": "v1", "hook": "once"}); err != nil {
		r.dump(t)
		t.Fatal(err)
	}
	job, web := r.getJob(t, "web-check"), r.get(t, "web")
	if job.Status.Succeeded != 1 || web.CreationTimestamp.Before(&job.CreationTimestamp) {
		t.Errorf("the hook: %+v", job.Status)
	}
	upgrade := action.NewUpgrade(r.helm(t))
	upgrade.Namespace, upgrade.WaitStrategy, upgrade.Timeout = "default", kube.StatusWatcherStrategy, 30*time.Second
	_, err := upgrade.RunWithContext(t.Context(), "web", hooked(), map[string]any{"replicas": 1, "tag": "v2", "hook": "crash"})
	if err == nil || !strings.Contains(err.Error(), "pre-upgrade hooks failed") {
		t.Errorf("an upgrade whose hook fails: %v", err)
	}
	if got := r.get(t, "web").Spec.Template.Spec.Containers[0].Image; got != "app:v1" {
		t.Errorf("upgraded to %s although the hook failed", got)
	}
}

// A cluster with room for the replicas and not for one more: the roll hangs, helm gives up, and the rollback is quick.
func TestHelmUpgradeTimesOutOnAFullClusterAndRollsBack(t *testing.T) {
	t.Parallel()
	r := open(t, func(o *cluster.Options) { o.Nodes = []cluster.Node{{Name: "only", CPU: "2", Memory: "4Gi"}} })
	values := func(tag string) map[string]any { return map[string]any{"replicas": 2, "tag": tag, "cpu": "1"} }
	install := action.NewInstall(r.helm(t))
	install.ReleaseName, install.Namespace, install.WaitStrategy, install.Timeout = "web", "default", kube.StatusWatcherStrategy, 30*time.Second
	if _, err := install.RunWithContext(t.Context(), tiny(), values("v1")); err != nil {
		t.Fatal(err)
	}
	upgrade := action.NewUpgrade(r.helm(t))
	upgrade.Namespace, upgrade.WaitStrategy, upgrade.Timeout = "default", kube.StatusWatcherStrategy, 4*time.Second
	_, err := upgrade.RunWithContext(t.Context(), "web", tiny(), values("v2"))
	if !errors.Is(err, context.DeadlineExceeded) && (err == nil || !strings.Contains(err.Error(), "context deadline exceeded")) {
		t.Fatalf("upgrade: %v", err)
	}
	t.Log(err)
	r.until(t, "FailedScheduling", r.hasEvent(t, "", "FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."))
	if s := r.get(t, "web").Status; s.AvailableReplicas != 2 || s.UpdatedReplicas != 1 {
		t.Errorf("status = %+v", s)
	}
	rollback := action.NewRollback(r.helm(t))
	rollback.Version, rollback.WaitStrategy, rollback.Timeout = 1, kube.StatusWatcherStrategy, 30*time.Second
	if err := rollback.Run("web"); err != nil {
		t.Fatal(err)
	}
	for _, p := range r.pods(t, "web") {
		if !ready(&p) || p.Spec.Containers[0].Image != "app:v1" {
			t.Errorf("%s runs %s", p.Name, p.Spec.Containers[0].Image)
		}
	}
}

func TestDeploymentAdoptsWhatAnEarlierOneLeft(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.create(t, deployment("web", "v1", 2, 1, 0))
	r.rolledOut(t, "web")
	pod, set := r.pods(t, "web")[0].Name, r.sets(t, "web")[0].Name
	orphan := metav1.DeletePropagationOrphan
	if err := r.AppsV1().Deployments("default").Delete(t.Context(), "web", metav1.DeleteOptions{PropagationPolicy: &orphan}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "owner gone", func() bool {
		_, err := r.AppsV1().Deployments("default").Get(t.Context(), "web", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	r.create(t, deployment("web", "v1", 2, 1, 0))
	r.rolledOut(t, "web")
	sets := r.sets(t, "web")
	if len(sets) != 1 || sets[0].Name != set || !metav1.IsControlledBy(&sets[0], r.get(t, "web")) {
		t.Errorf("sets = %+v", sets)
	}
	r.pod(t, pod) // is the same one
}

// A rollout that is stuck is scaled: both versions keep their shares.
func TestRolloutIsScaledInProportion(t *testing.T) {
	t.Parallel()
	r := open(t)
	d := deployment("web", "v1", 10, 3, 2)
	r.create(t, d)
	r.rolledOut(t, "web")
	r.patch(t, "web", `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"app:unready"}]}}}}`)
	sizes := func() (next, old int32) {
		for _, s := range r.sets(t, "web") {
			if s.Spec.Template.Spec.Containers[0].Image == "app:unready" {
				next = *s.Spec.Replicas
			} else {
				old = *s.Spec.Replicas
			}
		}
		return next, old
	}
	r.until(t, "five of the new, eight of the old", func() bool { next, old := sizes(); return next == 5 && old == 8 })
	r.until(t, "settled", func() bool { s := r.get(t, "web").Status; return s.Replicas == 13 && s.AvailableReplicas == 8 })
	r.patch(t, "web", `{"spec":{"replicas":15}}`)
	r.until(t, "seven of the new, eleven of the old", func() bool { next, old := sizes(); return next == 7 && old == 11 })
}

func TestPodsThatCostLessGoFirst(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.create(t, deployment("web", "v1", 3, 1, 0))
	r.rolledOut(t, "web")
	cheap := r.pods(t, "web")[0].Name
	for _, p := range r.pods(t, "web") {
		cost := "100"
		if p.Name == cheap {
			cost = "-5"
		}
		if _, err := r.CoreV1().Pods("default").Patch(t.Context(), p.Name, "application/merge-patch+json",
			[]byte(`{"metadata":{"annotations":{"controller.kubernetes.io/pod-deletion-cost":"`+cost+`"}}}`), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	r.patch(t, "web", `{"spec":{"replicas":2}}`)
	r.rolledOut(t, "web")
	for _, p := range r.pods(t, "web") {
		if p.Name == cheap {
			t.Errorf("%s, the cheapest, is still there", cheap)
		}
	}
}
