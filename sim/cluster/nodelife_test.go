package cluster_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster"
)

// nodes gives what `dpesim node` works with.
func (r *rig) nodes(tb testing.TB) *cluster.Nodes {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, r.Kubeconfig(), 0o600); err != nil {
		tb.Fatal(err)
	}
	n, err := cluster.OpenNodes(file)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func (r *rig) node(tb testing.TB, name string) *corev1.Node {
	tb.Helper()
	n, err := r.CoreV1().Nodes().Get(context.WithoutCancel(tb.Context()), name, metav1.GetOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func taints(n *corev1.Node) map[string]bool {
	out := map[string]bool{}
	for _, t := range n.Spec.Taints {
		out[t.ToString()] = true
	}
	return out
}

// remote makes a node that nobody here runs: what it does is what the test says of it.
func (r *rig) remote(tb testing.TB, name string) {
	tb.Helper()
	size := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("4Gi"), corev1.ResourcePods: resource.MustParse("10")}
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}, Status: corev1.NodeStatus{
		Capacity: size, Allocatable: size,
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"}},
	}}
	if _, err := r.CoreV1().Nodes().Create(tb.Context(), n, metav1.CreateOptions{}); err != nil {
		tb.Fatal(err)
	}
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: coordinationv1.LeaseSpec{
		HolderIdentity: &name, LeaseDurationSeconds: new(int32(40)), RenewTime: &metav1.MicroTime{Time: r.clock.Now()},
	}}
	if _, err := r.CoordinationV1().Leases(corev1.NamespaceNodeLease).Create(tb.Context(), l, metav1.CreateOptions{}); err != nil {
		tb.Fatal(err)
	}
}

func TestSilentNodeIsLostAndItsPodsMove(t *testing.T) {
	t.Parallel()
	r := open(t, three, frozen)
	const home = "far"
	r.remote(t, home)
	here := []string{"dpesim-node-1", "dpesim-node-2", "dpesim-node-3"}
	for _, n := range here {
		r.patchNode(t, n, `{"spec":{"unschedulable":true}}`)
	}
	r.create(t, deployment("web", "v1", 1, 1, 0))
	r.until(t, "bound", func() bool { pods := r.pods(t, "web"); return len(pods) == 1 && pods[0].Spec.NodeName == home })
	first := r.pods(t, "web")[0]
	first.Status.Phase = corev1.PodRunning
	first.Status.Conditions = append(first.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
	if _, err := r.CoreV1().Pods("default").UpdateStatus(t.Context(), &first, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "available", func() bool { return r.get(t, "web").Status.AvailableReplicas == 1 })
	for _, n := range here {
		r.patchNode(t, n, `{"spec":{"unschedulable":false}}`)
	}
	r.advance(t, 39*time.Second)
	if len(taints(r.node(t, home))) != 0 {
		t.Fatal("given up too early")
	}
	r.advance(t, 2*time.Second)
	r.until(t, "Unknown", func() bool {
		for _, c := range r.node(t, home).Status.Conditions {
			if c.Type == corev1.NodeReady {
				return c.Status == corev1.ConditionUnknown && c.Reason == "NodeStatusUnknown" && c.Message == "Kubelet stopped posting node status."
			}
		}
		return false
	})
	r.until(t, "taints", func() bool {
		have := taints(r.node(t, home))
		return have["node.kubernetes.io/unreachable:NoSchedule"] && have["node.kubernetes.io/unreachable:NoExecute"]
	})
	r.until(t, "NodeNotReady", r.hasEvent(t, home, "NodeNotReady", "Node "+home+" status is now: NodeNotReady"))
	r.until(t, "pod not ready", r.hasEvent(t, first.Name, "NodeNotReady", "Node is not ready"))
	r.until(t, "nothing available", func() bool { return r.get(t, "web").Status.AvailableReplicas == 0 })
	for _, s := range first.Spec.Tolerations {
		if *s.TolerationSeconds != 300 {
			t.Errorf("toleration %+v", s)
		}
	}
	r.advance(t, 295*time.Second)
	if p := r.pod(t, first.Name); p.DeletionTimestamp != nil {
		t.Fatal("evicted before its toleration was over")
	}
	r.advance(t, 6*time.Second)
	r.until(t, "marked for deletion", r.hasEvent(t, first.Name, "TaintManagerEviction", "Marking for deletion Pod default/"+first.Name))
	r.until(t, "another elsewhere", func() bool {
		r.advance(t, 50*time.Millisecond)
		pods := r.pods(t, "web")
		return len(pods) == 1 && pods[0].Spec.NodeName != home && ready(&pods[0])
	})
	disrupted := false
	for _, c := range r.pod(t, first.Name).Status.Conditions { // it stays, terminating: nobody can tell that it has ended
		disrupted = disrupted || c.Type == corev1.DisruptionTarget && c.Reason == "DeletionByTaintManager" && c.Message == "Taint manager: deleting due to NoExecute taint"
	}
	if !disrupted {
		t.Errorf("conditions = %+v", r.pod(t, first.Name).Status.Conditions)
	}
	if err := r.CoreV1().Nodes().Delete(t.Context(), home, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "pod gone with its node", func() bool {
		_, err := r.CoreV1().Pods("default").Get(t.Context(), first.Name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

func TestNoExecuteTaintEvictsWhatDoesNotTolerateIt(t *testing.T) {
	t.Parallel()
	r := open(t, three, frozen)
	tolerate := func(seconds *int64) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) {
			s.NodeName = "dpesim-node-1"
			s.Tolerations = []corev1.Toleration{{Key: "repair", Operator: corev1.TolerationOpExists, TolerationSeconds: seconds, Effect: corev1.TaintEffectNoExecute}}
		}
	}
	r.place(t, "frail", func(s *corev1.PodSpec) { s.NodeName = "dpesim-node-1" })
	r.place(t, "patient", tolerate(new(int64(60))))
	r.place(t, "hardy", tolerate(nil))
	r.until(t, "running", func() bool { return r.status(t, "hardy").ContainerID != "" && r.status(t, "frail").ContainerID != "" })
	gone := func(name string) func() bool {
		return func() bool {
			_, err := r.CoreV1().Pods("default").Get(t.Context(), name, metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		}
	}
	r.patchNode(t, "dpesim-node-1", `{"spec":{"taints":[{"key":"repair","value":"now","effect":"NoExecute"}]}}`)
	r.until(t, "frail gone", gone("frail"))
	r.advance(t, 58*time.Second)
	r.pod(t, "patient")
	r.patchNode(t, "dpesim-node-1", `{"spec":{"taints":null}}`)
	r.until(t, "cancelled", r.hasEvent(t, "patient", "TaintManagerEviction", "Cancelling deletion of Pod default/patient"))
	r.advance(t, time.Minute)
	r.pod(t, "patient")
	r.pod(t, "hardy")
}

func TestNodesAreAddedListedAndRemoved(t *testing.T) {
	t.Parallel()
	r := open(t, three)
	nodes := r.nodes(t)
	name, err := nodes.Add(t.Context(), cluster.Node{CPU: "8", Memory: "32Gi", Disk: "2Ti"})
	if err != nil || name != "dpesim-node-4" {
		t.Fatalf("added %q, %v", name, err)
	}
	r.place(t, "busy", asks("1", "1Gi", ""), scratch("10Gi"), func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{corev1.LabelHostname: "dpesim-node-1"} })
	r.on(t, "busy")
	list, err := nodes.List(t.Context())
	if err != nil || len(list) != 4 {
		t.Fatalf("%+v, %v", list, err)
	}
	want := cluster.NodeState{
		Name: "dpesim-node-1", Status: "Ready", Power: "on", Pods: 1, CPU: cluster.Share{Requested: "1", Allocatable: "2"},
		Memory: cluster.Share{Requested: "1Gi", Allocatable: "4Gi"}, Disk: cluster.Share{Requested: "10Gi", Allocatable: "250Gi"},
	}
	if list[0] != want {
		t.Errorf("listed %+v\nwant %+v", list[0], want)
	}
	if list[3].Name != "dpesim-node-4" || list[3].CPU.Allocatable != "8" {
		t.Errorf("listed %+v", list[3])
	}
	for text, f := range map[string]func() error{
		`there is a node dpesim-node-1 already`:       func() error { _, err := nodes.Add(t.Context(), cluster.Node{Name: "dpesim-node-1"}); return err },
		`"A b" cannot be the name of a node`:          func() error { _, err := nodes.Add(t.Context(), cluster.Node{Name: "A b"}); return err },
		`"much" is no Kubernetes quantity above zero`: func() error { _, err := nodes.Add(t.Context(), cluster.Node{Memory: "much"}); return err },
		`there is no node "nope"`:                     func() error { return nodes.SetPower(t.Context(), "nope", false) },
	} {
		if err := f(); err == nil || err.Error() != text {
			t.Errorf("%v, want %s", err, text)
		}
	}
	if err := nodes.Remove(t.Context(), "nope"); sim.KindOf(err) != sim.NotFound {
		t.Errorf("remove: %v", err)
	}
	if err := nodes.Remove(t.Context(), "dpesim-node-1"); err != nil {
		t.Fatal(err)
	}
	r.until(t, "pod gone with its node", func() bool {
		_, err := r.CoreV1().Pods("default").Get(t.Context(), "busy", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}
