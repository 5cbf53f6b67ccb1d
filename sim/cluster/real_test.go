package cluster_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/why"
)

// A cluster that is somebody else's is followed by its API alone: here the one in the process plays it.
func TestARealClusterIsFollowedByItsAPI(t *testing.T) {
	t.Parallel()
	r := open(t)
	bus := event.New(r.clock, 0)
	real, err := cluster.OpenReal(cluster.RealOptions{Config: r.RESTConfig(), Kubeconfig: []byte("x"), Bus: bus})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- real.Serve(ctx) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := real.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}()
	<-real.Ready()
	if string(real.Kubeconfig()) != "x" || real.URL() != r.URL() {
		t.Errorf("%s, %s", real.Kubeconfig(), real.URL())
	}
	if is, err := real.View().Read(ctx); err != nil || len(is.Nodes) != 3 {
		t.Errorf("it looks like %+v, %v", is, err)
	}
	told := func(what string) (out []sim.Event) {
		for _, e := range bus.Since(0) {
			if e.What == what {
				out = append(out, e)
			}
		}
		return out
	}
	r.create(t, deployment("web", "v1", 2, 1, 0))
	r.until(t, "two pods are told of as ready", func() bool { return len(told("pod ready")) == 2 && len(told("deployment complete")) == 1 })
	for _, e := range told("pod ready") {
		if e.Part != sim.PartCluster || e.Cause == 0 || !strings.HasPrefix(e.Detail["pod"], "web-") {
			t.Errorf("%+v", e)
		}
	}
	if a, b := told("pod created"), told("container started"); len(a) != 2 || len(b) != 2 {
		t.Errorf("%d created, %d started", len(a), len(b))
	}
	// first follows causes back.
	first := func(e sim.Event) sim.Event {
		for e.Cause != 0 {
			e = bus.Since(e.Cause - 1)[0]
		}
		return e
	}
	if e := first(told("pod ready")[0]); e.What != "object created" || e.Detail["deployment"] != "web" || e.Detail["client"] == "" {
		t.Errorf("the pods became ready because of %+v", e)
	}
	scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"}, Spec: autoscalingv1.ScaleSpec{Replicas: 3}}
	if _, err := r.AppsV1().Deployments("default").UpdateScale(ctx, "web", scale, metav1.UpdateOptions{FieldManager: "kubectl"}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "a third is told of as ready", func() bool { return len(told("pod ready")) == 3 })
	if words, _ := why.Act(first(told("pod ready")[2])); words != "somebody ran kubectl scale on deployments/web/scale" {
		t.Errorf("the third became ready because %s", words)
	}
	r.until(t, "the Deployment is told of as complete", func() bool { return len(told("deployment complete")) == 2 })
	victim := told("pod ready")[0].Detail["pod"]
	if err := r.CoreV1().Pods("default").Delete(ctx, victim, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "its successor is told of as ready", func() bool { return len(told("pod ready")) == 4 && len(told("pod deleted")) == 1 })
	if e := first(told("pod deleted")[0]); e.What != "object deleted" || e.Detail["pod"] != victim {
		t.Errorf("it went because of %+v", e)
	}
	if e := first(told("pod ready")[3]); e.What != "pod created" {
		t.Errorf("nobody did anything to the Deployment, and its pod became ready because of %+v", e)
	}
	if err := r.AppsV1().Deployments("default").Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "all are told of as gone", func() bool {
		return len(told("pod deleted")) >= 4 && len(told("pod deleted")) == len(told("pod created"))
	})
	if e := first(told("pod deleted")[3]); e.What != "object deleted" || e.Detail["deployment"] != "web" {
		t.Errorf("the last went because of %+v", e)
	}
	apply := appsv1ac.Deployment("app", "default").WithSpec(appsv1ac.DeploymentSpec().WithReplicas(1).WithSelector(metav1ac.LabelSelector().WithMatchLabels(map[string]string{"app": "app"})).
		WithTemplate(corev1ac.PodTemplateSpec().WithLabels(map[string]string{"app": "app"}).WithSpec(corev1ac.PodSpec().WithContainers(corev1ac.Container().WithName("main").WithImage("v1")))))
	if _, err := r.AppsV1().Deployments("default").Apply(ctx, apply, metav1.ApplyOptions{FieldManager: "helm"}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"somebody ran kubectl scale on deployments/app/scale", "somebody ran scale on deployments/app/scale"} { // to zero no program is noted
		scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: "default"}, Spec: autoscalingv1.ScaleSpec{Replicas: int32(2 * (1 - i))}}
		if _, err := r.AppsV1().Deployments("default").UpdateScale(ctx, "app", scale, metav1.UpdateOptions{FieldManager: "kubectl"}); err != nil { // in the same second
			t.Fatal(err)
		}
		var changed []sim.Event
		r.until(t, "it is told of as scaled", func() bool {
			changed = slices.DeleteFunc(told("object changed"), func(e sim.Event) bool { return e.Detail["deployment"] != "app" })
			return len(changed) > i
		})
		if words, _ := why.Act(changed[i]); words != want {
			t.Errorf("it was scaled because %s, want %s", words, want)
		}
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "mine"}, StringData: map[string]string{"password": "hunter2"}}
	if _, err := r.CoreV1().Secrets("default").Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	objects, err := real.Objects(ctx)
	if err != nil || !strings.Contains(string(objects["secrets"]), "name: mine") || strings.Contains(string(objects["secrets"]), "hunter2") {
		t.Errorf("%v: %s", err, objects["secrets"])
	}
	if !strings.Contains(string(objects["nodes"]), "dpesim-node-1") {
		t.Errorf("nodes: %s", objects["nodes"])
	}
}
