package clustertest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/dpesim/dpesim/sim/cluster/clustertest/testpod"
)

func rollouts() []behaviour {
	return []behaviour{
		{"a rolling update keeps its bounds", rollingUpdate},
		{"a recreating update first takes everything down", recreate},
		{"a paused rollout waits", pausedRollout},
		{"an undone rollout scales the old replica set up again", undone},
		{"a rollout that gets no further says so", deadline},
	}
}

// container gives a pod's only container.
func (p *space) container(args ...string) corev1.Container {
	return corev1.Container{Name: "main", Image: p.Image, Args: args}
}

// serving gives a container that answers its readiness probe.
func (p *space) serving() corev1.Container {
	c := p.container("serve")
	c.ReadinessProbe = &corev1.Probe{
		PeriodSeconds: 1, TimeoutSeconds: 10,
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/ready", Port: intstr.FromInt(testpod.Port)}},
	}
	return c
}

// deployment creates a Deployment of n pods.
func (p *space) deployment(t *testing.T, name string, n int32, c corev1.Container, change ...func(*appsv1.Deployment)) *appsv1.Deployment {
	t.Helper()
	labels := map[string]string{"app": name}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: p.name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &n, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
				MaxSurge: new(intstr.FromInt(1)), MaxUnavailable: new(intstr.FromInt(0)),
			}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{c}, TerminationGracePeriodSeconds: new(int64(5))},
			},
		},
	}
	for _, f := range change {
		f(d)
	}
	d, err := p.AppsV1().Deployments(p.name).Create(t.Context(), d, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// patch changes a Deployment by a strategic merge.
func (p *space) patch(t *testing.T, name, patch string) {
	t.Helper()
	if _, err := p.AppsV1().Deployments(p.name).Patch(t.Context(), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// revise makes a new revision of a Deployment.
func (p *space) revise(t *testing.T, name string) {
	t.Helper()
	p.patch(t, name, `{"spec":{"template":{"spec":{"containers":[{"name":"main","env":[{"name":"V","value":"2"}]}]}}}}`)
}

// complete tells whether a Deployment is as it should be, as "kubectl rollout status" does.
func complete(d *appsv1.Deployment) bool {
	n := *d.Spec.Replicas
	return d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas == n && d.Status.Replicas == n && d.Status.AvailableReplicas == n
}

// untilDeployment waits for a state of a Deployment and gives it.
func (p *space) untilDeployment(t *testing.T, name, what string, ok func(*appsv1.Deployment) bool) *appsv1.Deployment {
	t.Helper()
	var d *appsv1.Deployment
	p.inTime(t, name+": "+what, func(ctx context.Context) (bool, error) {
		var err error
		d, err = p.AppsV1().Deployments(p.name).Get(ctx, name, metav1.GetOptions{})
		return err == nil && ok(d), err
	})
	return d
}

func (p *space) rolledOut(t *testing.T, name string) *appsv1.Deployment {
	t.Helper()
	return p.untilDeployment(t, name, "rolled out", complete)
}

func (p *space) sets(t *testing.T) []appsv1.ReplicaSet {
	t.Helper()
	l, err := p.AppsV1().ReplicaSets(p.name).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return l.Items
}

func condition(d *appsv1.Deployment, kind appsv1.DeploymentConditionType) appsv1.DeploymentCondition {
	for _, c := range d.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return appsv1.DeploymentCondition{}
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// watched counts the selected pods as a watcher sees them, from now until stop, which tells the first complaint.
func (p *space) watched(t *testing.T, selector string, check func(pods, ready int) error) (stop func()) {
	t.Helper()
	list, err := p.CoreV1().Pods(p.name).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		t.Fatal(err)
	}
	w, err := p.CoreV1().Pods(p.name).Watch(t.Context(), metav1.ListOptions{LabelSelector: selector, ResourceVersion: list.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	pods := map[string]*corev1.Pod{}
	for i := range list.Items {
		pods[list.Items[i].Name] = &list.Items[i]
	}
	done := make(chan error, 1)
	go func() {
		var bad error
		for e := range w.ResultChan() {
			pod, ok := e.Object.(*corev1.Pod)
			if !ok {
				continue // Stop cuts the stream
			}
			if pods[pod.Name] = pod; e.Type == "DELETED" {
				delete(pods, pod.Name)
			}
			running, ready := 0, 0
			for _, x := range pods {
				if x.DeletionTimestamp == nil {
					running++
					if isReady(x) {
						ready++
					}
				}
			}
			if err := check(running, ready); err != nil && bad == nil {
				bad = err
			}
		}
		done <- bad
	}()
	return func() {
		w.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func rollingUpdate(t *testing.T, p *space) {
	for _, tt := range []struct{ surge, unavailable, most, least int }{{1, 0, 5, 4}, {0, 1, 4, 3}, {2, 2, 6, 2}} {
		name := fmt.Sprintf("web-%d-%d", tt.surge, tt.unavailable)
		selector := "app=" + name
		p.deployment(t, name, 4, p.serving(), func(d *appsv1.Deployment) {
			d.Spec.Strategy.RollingUpdate.MaxSurge = new(intstr.FromInt(tt.surge))
			d.Spec.Strategy.RollingUpdate.MaxUnavailable = new(intstr.FromInt(tt.unavailable))
		})
		p.rolledOut(t, name)
		stop := p.watched(t, selector, func(pods, ready int) error {
			if pods > tt.most || ready < tt.least {
				return fmt.Errorf("%s: %d pods of which %d ready; there may be %d, and %d must be ready", name, pods, ready, tt.most, tt.least)
			}
			return nil
		})
		p.revise(t, name)
		d := p.rolledOut(t, name)
		stop()
		if got := d.Annotations["deployment.kubernetes.io/revision"]; got != "2" {
			t.Errorf("revision %q", got)
		}
		if c := condition(d, appsv1.DeploymentProgressing); c.Reason != "NewReplicaSetAvailable" {
			t.Errorf("progressing: %+v", c)
		}
		if c := condition(d, appsv1.DeploymentAvailable); c.Message != "Deployment has minimum availability." {
			t.Errorf("available: %+v", c)
		}
		if err := p.AppsV1().Deployments(p.name).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

func recreate(t *testing.T, p *space) {
	p.deployment(t, "web", 3, p.serving(), func(d *appsv1.Deployment) {
		d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	})
	p.rolledOut(t, "web")
	none := false
	stop := p.watched(t, "app=web", func(pods, _ int) error {
		none = none || pods == 0
		if pods > 3 {
			return fmt.Errorf("%d pods", pods)
		}
		return nil
	})
	p.revise(t, "web")
	p.rolledOut(t, "web")
	stop()
	if !none {
		t.Error("old and new pods ran together")
	}
}

func pausedRollout(t *testing.T, p *space) {
	p.deployment(t, "web", 2, p.serving())
	p.rolledOut(t, "web")
	p.patch(t, "web", `{"spec":{"paused":true}}`)
	p.revise(t, "web")
	d := p.untilDeployment(t, "web", "seen", func(d *appsv1.Deployment) bool {
		return d.Status.ObservedGeneration >= d.Generation && condition(d, appsv1.DeploymentProgressing).Reason == "DeploymentPaused"
	})
	if c := condition(d, appsv1.DeploymentProgressing); c.Message != "Deployment is paused" || c.Status != corev1.ConditionUnknown {
		t.Errorf("%+v", c)
	}
	if n := len(p.sets(t)); n != 1 {
		t.Errorf("%d replica sets of a paused Deployment", n)
	}
	p.patch(t, "web", `{"spec":{"replicas":3}}`) // a paused one still scales
	p.untilDeployment(t, "web", "scaled", func(d *appsv1.Deployment) bool { return d.Status.AvailableReplicas == 3 })
	p.patch(t, "web", `{"spec":{"paused":null}}`)
	p.rolledOut(t, "web")
	if n := len(p.sets(t)); n != 2 {
		t.Errorf("%d replica sets", n)
	}
}

func undone(t *testing.T, p *space) {
	p.deployment(t, "web", 2, p.serving())
	p.rolledOut(t, "web")
	p.revise(t, "web")
	p.rolledOut(t, "web")
	if out, code := p.command(t.Context(), "kubectl", "rollout", "undo", "deployment/web", "-n", p.name); code != 0 || out != "deployment.apps/web rolled back\n" {
		t.Fatal(out)
	}
	d := p.rolledOut(t, "web")
	if got := d.Annotations["deployment.kubernetes.io/revision"]; got != "3" {
		t.Errorf("revision %q", got)
	}
	if n := len(p.sets(t)); n != 2 {
		t.Errorf("%d replica sets: undoing made a new one", n)
	}
}

func deadline(t *testing.T, p *space) {
	p.deployment(t, "web", 1, p.serving())
	p.rolledOut(t, "web")
	p.patch(t, "web", `{"spec":{"progressDeadlineSeconds":3,"template":{"spec":{"containers":[{"name":"main","args":["unready","serve"]}]}}}}`)
	d := p.untilDeployment(t, "web", "over its deadline", func(d *appsv1.Deployment) bool {
		return condition(d, appsv1.DeploymentProgressing).Reason == "ProgressDeadlineExceeded"
	})
	c := condition(d, appsv1.DeploymentProgressing)
	var young string
	for _, s := range p.sets(t) {
		if s.Annotations["deployment.kubernetes.io/revision"] == "2" {
			young = s.Name
		}
	}
	if want := fmt.Sprintf("ReplicaSet %q has timed out progressing.", young); c.Message != want || c.Status != corev1.ConditionFalse {
		t.Errorf("%+v, want %q", c, want)
	}
	if d.Status.AvailableReplicas != 1 {
		t.Errorf("%d available: the old pod was taken away", d.Status.AvailableReplicas)
	}
	out, code := p.command(t.Context(), "kubectl", "rollout", "status", "deployment/web", "-n", p.name)
	if want := "error: deployment \"web\" exceeded its progress deadline\n"; code != 1 || !strings.HasSuffix(out, want) {
		t.Errorf("exit code %d, %q, want %q", code, out, want)
	}
}
