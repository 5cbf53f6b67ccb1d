package cluster_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/cluster"
	"github.com/dpesim/dpesim/sim/draw"
)

func TestUndersizedClusterSaysSoAndRecovers(t *testing.T) {
	t.Parallel()
	r := open(t, func(o *cluster.Options) {
		o.Nodes = []cluster.Node{{Name: "one", CPU: "2", Memory: "4Gi"}, {Name: "two", CPU: "1", Memory: "8Gi"}}
	})
	sized := func(name string, n int32) {
		d := deployment(name, "v1", n, 1, 0)
		d.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("900m"), corev1.ResourceMemory: resource.MustParse("2000Mi"),
		}
		r.create(t, d)
	}
	sized("first", 3)
	r.rolledOut(t, "first")
	sized("second", 1)
	why := "0/2 nodes are available: 1 Insufficient memory, 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."
	r.until(t, "unschedulable", func() bool {
		for _, p := range r.pods(t, "second") {
			for _, c := range p.Status.Conditions {
				if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable && c.Message == why {
					return p.Status.Phase == corev1.PodPending
				}
			}
		}
		return false
	})
	r.until(t, "FailedScheduling", r.hasEvent(t, r.pods(t, "second")[0].Name, "FailedScheduling", why))
	r.patch(t, "first", `{"spec":{"replicas":2}}`)
	r.rolledOut(t, "second")
}

func TestDeletedNamespaceTakesEverythingWithIt(t *testing.T) {
	t.Parallel()
	r := open(t)
	if _, err := r.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "engines"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	d := deployment("web", "v1", 2, 1, 0)
	d.Namespace = "engines"
	r.create(t, d)
	if _, err := r.CoreV1().Secrets("engines").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "running", func() bool {
		x, err := r.AppsV1().Deployments("engines").Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.CoreV1().ServiceAccounts("engines").Get(t.Context(), "default", metav1.GetOptions{})
		return x.Status.AvailableReplicas == 2 && err == nil
	})
	if err := r.CoreV1().Namespaces().Delete(t.Context(), "engines", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "namespace gone", func() bool {
		_, err := r.CoreV1().Namespaces().Get(t.Context(), "engines", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	pods, err := r.CoreV1().Pods("engines").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) != 0 {
		t.Errorf("%d pods left, %v", len(pods.Items), err)
	}
}

func TestOwnersGoneTakeTheirsAlongByPolicy(t *testing.T) {
	t.Parallel()
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationForeground, metav1.DeletePropagationBackground, metav1.DeletePropagationOrphan} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			r := open(t)
			r.create(t, deployment("web", "v1", 1, 1, 0))
			r.rolledOut(t, "web")
			if err := r.AppsV1().Deployments("default").Delete(t.Context(), "web", metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil {
				t.Fatal(err)
			}
			r.until(t, "owner gone", func() bool {
				_, err := r.AppsV1().Deployments("default").Get(t.Context(), "web", metav1.GetOptions{})
				return apierrors.IsNotFound(err)
			})
			if policy == metav1.DeletePropagationForeground && len(r.sets(t, "web")) != 0 {
				t.Error("the owner went before what it owned")
			}
			if policy != metav1.DeletePropagationOrphan {
				r.until(t, "all gone", func() bool { return len(r.sets(t, "web")) == 0 && len(r.pods(t, "web")) == 0 })
				return
			}
			if s := r.sets(t, "web"); len(s) != 1 || len(s[0].OwnerReferences) != 0 || len(r.pods(t, "web")) != 1 {
				t.Errorf("orphans = %+v", s)
			}
		})
	}
}

func TestObjectMadeAfterItsOwnerWentIsCollected(t *testing.T) {
	t.Parallel()
	r := open(t)
	late := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "late", OwnerReferences: []metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: "Deployment", Name: "never-was", UID: "0b9c8a35-6f0f-4a53-9f4a-3f4a0a0c9a11",
	}}}}
	if _, err := r.CoreV1().ConfigMaps("default").Create(t.Context(), late, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "collected", func() bool {
		_, err := r.CoreV1().ConfigMaps("default").Get(t.Context(), "late", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

func TestPodsComeBackAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept := func(o *cluster.Options) { o.Dir = dir }
	r := open(t, kept)
	r.create(t, deployment("web", "v1", 2, 1, 0))
	r.rolledOut(t, "web")
	before := map[types.UID]string{}
	for _, p := range r.pods(t, "web") {
		before[p.UID] = p.Status.ContainerStatuses[0].ContainerID
	}
	config := string(r.Kubeconfig())
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, kept)
	if string(r.Kubeconfig()) != config {
		t.Error("the kubeconfig of before is no longer good")
	}
	r.until(t, "restarted", func() bool {
		pods := r.pods(t, "web")
		for i := range pods {
			p := &pods[i]
			s := p.Status.ContainerStatuses[0]
			old, same := before[p.UID]
			if !same {
				t.Fatalf("%s is a new pod", p.Name)
			}
			if !ready(p) || s.RestartCount != 1 || s.ContainerID == old || s.LastTerminationState.Terminated == nil || s.LastTerminationState.Terminated.ExitCode != 255 {
				return false
			}
		}
		return len(pods) == 2
	})
	d := r.get(t, "web")
	d.Spec.Replicas = new(int32(4)) // the seed draws the names of before again: they are taken, and others follow
	if _, err := r.AppsV1().Deployments("default").Update(t.Context(), d, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "four replicas", func() bool { return r.get(t, "web").Status.AvailableReplicas == 4 })
	uids := map[types.UID]bool{}
	for _, p := range r.pods(t, "web") {
		uids[p.UID] = true
	}
	if failed := r.events(t, "", "FailedCreate"); len(uids) != 4 || len(failed) > 0 {
		t.Errorf("%d UIDs of four pods; failures: %v", len(uids), failed)
	}
	r.until(t, "SandboxChanged", r.hasEvent(t, "", "SandboxChanged", "Pod sandbox changed"))
}

func TestPodsOfANodeThatIsNoLongerWantedMove(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	nodes := func(names ...string) func(*cluster.Options) {
		return func(o *cluster.Options) {
			o.Dir, o.Nodes = dir, nil
			for _, n := range names {
				o.Nodes = append(o.Nodes, cluster.Node{Name: n, CPU: "4", Memory: "8Gi"})
			}
		}
	}
	r := open(t, nodes("a"))
	r.create(t, deployment("web", "v1", 1, 1, 0))
	r.rolledOut(t, "web")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, nodes("b"))
	r.until(t, "moved", func() bool {
		pods := r.pods(t, "web")
		return len(pods) == 1 && pods[0].Spec.NodeName == "b" && ready(&pods[0])
	})
}

func TestBusTellsThePodsLife(t *testing.T) {
	t.Parallel()
	r := open(t)
	d := deployment("web", "v1", 1, 1, 0)
	d.Spec.Template.Labels["app.kubernetes.io/instance"] = "finance"
	r.create(t, d)
	r.rolledOut(t, "web")
	r.patch(t, "web", `{"spec":{"replicas":0}}`)
	want := []string{"pod started", "container started", "pod ready", "container exited", "pod deleted"}
	r.until(t, "whole life", func() bool {
		i, scheduled := 0, false
		for _, e := range r.bus.Since(0) {
			scheduled = scheduled || e.What == "pod scheduled"
			if i < len(want) && e.What == want[i] && e.Part == sim.PartCluster && e.DPE == "finance" && strings.HasPrefix(e.Detail["pod"], "web-") {
				i++
			}
		}
		return i == len(want) && scheduled
	})
}

// Not parallel: it counts goroutines.
func TestCloseIsQuickAndLeavesNoGoroutine(t *testing.T) { //nolint:paralleltest // see above
	stacks := func() string {
		b := make([]byte, 1<<20)
		return string(b[:runtime.Stack(b, true)])
	}
	ours := func() int {
		n := 0
		for g := range strings.SplitSeq(stacks(), "\n\n") {
			if strings.Contains(g, "dpesim/sim/cluster") && !strings.Contains(g, "testing.tRunner") || strings.Contains(g, "k8s.io/client-go") || strings.Contains(g, "k8s.io/apiserver") {
				n++
			}
		}
		return n
	}
	before := ours()
	r := open(t)
	r.create(t, deployment("web", "v1", 5, 1, 0))
	stubborn := podSpec("stubborn")
	stubborn.Containers[0].ReadinessProbe = nil
	r.run(t, "deaf", stubborn)
	r.rolledOut(t, "web")
	r.until(t, "deaf runs", func() bool { return ready(r.pod(t, "deaf")) })
	began := time.Now()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("Close took %s", took)
	}
	deadline := time.Now().Add(5 * time.Second)
	for ours() > before {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines left, %d before:\n%s", ours(), before, stacks())
		}
		runtime.Gosched()
	}
}

func TestCloseWithoutServe(t *testing.T) {
	t.Parallel()
	o := cluster.Options{Runtime: &app{}, Clock: clock.New(), Draw: draw.New(1), Log: logger(t)}
	c, err := cluster.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Serve(t.Context()); sim.KindOf(err) != sim.Conflict {
		t.Errorf("Serve after Close: %v", err)
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	t.Parallel()
	good := cluster.Options{Runtime: &app{}, Clock: clock.New(), Draw: draw.New(1), Log: logger(t)}
	for name, change := range map[string]func(*cluster.Options){
		"no runtime": func(o *cluster.Options) { o.Runtime = nil },
		"no nodes":   func(o *cluster.Options) { o.Nodes = []cluster.Node{} },
		"bad CPU":    func(o *cluster.Options) { o.Nodes = []cluster.Node{{Name: "a", CPU: "many", Memory: "1Gi"}} },
		"bad name":   func(o *cluster.Options) { o.Nodes = []cluster.Node{{Name: "A b", CPU: "1", Memory: "1Gi"}} },
	} {
		o := good
		change(&o)
		if c, err := cluster.Open(t.Context(), o); sim.KindOf(err) != sim.Invalid {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				_ = c.Close()
			}
		}
	}
}

// BenchmarkOpenToReady is the time from Open until the cluster takes work.
func BenchmarkOpenToReady(b *testing.B) {
	for b.Loop() {
		o := cluster.Options{Runtime: &app{}, Clock: clock.New(), Draw: draw.New(1), Log: logger(b)}
		c, err := cluster.Open(b.Context(), o)
		if err != nil {
			b.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- c.Serve(context.WithoutCancel(b.Context())) }()
		<-c.Ready()
		b.StopTimer()
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
		<-served
		b.StartTimer()
	}
}
