package cluster_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dpesim/dpesim/sim/cluster"
)

// three gives a cluster of three nodes of 2 cores, 4 GiB and 250 GiB.
func three(o *cluster.Options) {
	nodes, err := cluster.ParseNodes("3x2cpu,4Gi,250Gi")
	if err == nil {
		o.Nodes = nodes
	}
}

func asks(cpu, memory, disk string) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) {
		s.Containers[0].Resources.Requests = corev1.ResourceList{}
		for name, q := range map[corev1.ResourceName]string{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory, corev1.ResourceEphemeralStorage: disk} {
			if q != "" {
				s.Containers[0].Resources.Requests[name] = resource.MustParse(q)
			}
		}
	}
}

// scratch is a generic ephemeral volume.
func scratch(size string) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) {
		s.Volumes = append(s.Volumes, corev1.Volume{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{
			VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}},
			}},
		}}})
		s.Containers[0].VolumeMounts = append(s.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "scratch", MountPath: "/scratch"})
	}
}

// place makes a pod with labels app=name.
func (r *rig) place(tb testing.TB, name string, change ...func(*corev1.PodSpec)) {
	tb.Helper()
	s := podSpec("v1")
	for _, f := range change {
		f(&s)
	}
	r.run(tb, name, s)
}

// why waits until a pod is told to fit nowhere, and gives the reason.
func (r *rig) why(tb testing.TB, name string) (why string) {
	tb.Helper()
	r.until(tb, name+" unschedulable", func() bool {
		for _, c := range r.pod(tb, name).Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
				why = c.Message
				return true
			}
		}
		return false
	})
	r.until(tb, "FailedScheduling", r.hasEvent(tb, name, "FailedScheduling", why))
	return why
}

// on waits until a pod is bound, and gives its node.
func (r *rig) on(tb testing.TB, name string) (node string) {
	tb.Helper()
	r.until(tb, name+" bound", func() bool { node = r.pod(tb, name).Spec.NodeName; return node != "" })
	return node
}

func (r *rig) patchNode(tb testing.TB, name, patch string) {
	tb.Helper()
	if _, err := r.CoreV1().Nodes().Patch(context.WithoutCancel(tb.Context()), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		tb.Fatal(err)
	}
}

// settled waits until the scheduler knows the nodes as they are now: it binds a pod that asks for a label which node gets
// after all other changes.
func (r *rig) settled(tb testing.TB, node string) {
	tb.Helper()
	mark := strings.ToLower(rand.Text()[:8])
	r.patchNode(tb, node, `{"metadata":{"labels":{"settled":"`+mark+`"}}}`)
	r.place(tb, mark, func(s *corev1.PodSpec) {
		s.NodeSelector = map[string]string{"settled": mark}
		s.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	})
	r.on(tb, mark)
}

const (
	noVictims  = " preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
	notHelpful = " preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
)

func TestPodThatFitsNowhereIsToldWhy(t *testing.T) {
	t.Parallel()
	r := open(t, three)
	for i := range 3 {
		r.place(t, fmt.Sprint("full-", i), asks("1500m", "3Gi", "200Gi"))
		r.on(t, fmt.Sprint("full-", i))
	}
	selector := func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{"pool": "big"} }
	never := func(s *corev1.PodSpec) { s.PreemptionPolicy = new(corev1.PreemptNever) }
	claim := func(s *corev1.PodSpec) {
		s.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "mine"}}}}
	}
	for name, tt := range map[string]struct {
		spec []func(*corev1.PodSpec)
		want string
	}{
		"memory":    {[]func(*corev1.PodSpec){asks("", "2Gi", "")}, "0/3 nodes are available: 3 Insufficient memory." + noVictims},
		"both":      {[]func(*corev1.PodSpec){asks("1", "2Gi", "")}, "0/3 nodes are available: 3 Insufficient cpu, 3 Insufficient memory." + noVictims},
		"too-large": {[]func(*corev1.PodSpec){asks("3", "", "")}, "0/3 nodes are available: 3 Insufficient cpu." + notHelpful},
		"disk":      {[]func(*corev1.PodSpec){asks("", "", "60Gi")}, "0/3 nodes are available: 3 Insufficient ephemeral-storage." + noVictims},
		"volume":    {[]func(*corev1.PodSpec){scratch("100Gi")}, "0/3 nodes are available: 3 node(s) did not have enough free storage." + notHelpful},
		"selector":  {[]func(*corev1.PodSpec){selector}, "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector." + notHelpful},
		"never":     {[]func(*corev1.PodSpec){asks("1", "", ""), never}, "0/3 nodes are available: 3 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never."},
		"claimless": {[]func(*corev1.PodSpec){claim}, `0/3 nodes are available: persistentvolumeclaim "mine" not found. not found`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r.place(t, name, tt.spec...)
			if got := r.why(t, name); got != tt.want {
				t.Errorf("told %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestCordonsAndTaintsKeepPodsOff(t *testing.T) {
	t.Parallel()
	r := open(t, three)
	r.patchNode(t, "dpesim-node-1", `{"spec":{"unschedulable":true}}`)
	r.until(t, "taint of the cordon", func() bool {
		n, err := r.CoreV1().Nodes().Get(t.Context(), "dpesim-node-1", metav1.GetOptions{})
		return err == nil && len(n.Spec.Taints) == 1 && n.Spec.Taints[0].ToString() == "node.kubernetes.io/unschedulable:NoSchedule"
	})
	r.patchNode(t, "dpesim-node-2", `{"spec":{"taints":[{"key":"team","value":"a","effect":"NoSchedule"}]}}`)
	r.patchNode(t, "dpesim-node-3", `{"spec":{"taints":[{"key":"team","value":"b","effect":"NoSchedule"}]}}`)
	r.settled(t, "dpesim-node-3")
	r.place(t, "plain")
	want := "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) had untolerated taint(s)." + notHelpful
	if got := r.why(t, "plain"); got != want {
		t.Errorf("told %q\nwant %q", got, want)
	}
	r.place(t, "tolerant", func(s *corev1.PodSpec) {
		s.Tolerations = []corev1.Toleration{{Key: "team", Operator: corev1.TolerationOpEqual, Value: "b", Effect: corev1.TaintEffectNoSchedule}}
	})
	if got := r.on(t, "tolerant"); got != "dpesim-node-3" {
		t.Errorf("bound to %s", got)
	}
	r.patchNode(t, "dpesim-node-1", `{"spec":{"unschedulable":false}}`)
	if got := r.on(t, "plain"); got != "dpesim-node-1" {
		t.Errorf("bound to %s", got)
	}
	r.until(t, "taint gone", func() bool {
		n, err := r.CoreV1().Nodes().Get(t.Context(), "dpesim-node-1", metav1.GetOptions{})
		return err == nil && len(n.Spec.Taints) == 0
	})
}

// Each attempt is told: the event counts up, no faster than the back-off of a scheduler.
func TestFailedSchedulingIsToldAgain(t *testing.T) {
	t.Parallel()
	r := open(t, three, frozen)
	r.place(t, "large", asks("3", "", ""))
	r.why(t, "large")
	count := func() int32 {
		var n int32
		for _, e := range r.events(t, "large", "FailedScheduling") {
			n += e.Count
		}
		return n
	}
	r.patchNode(t, "dpesim-node-1", `{"metadata":{"labels":{"a":"1"}}}`)
	r.advance(t, 900*time.Millisecond)
	if n := count(); n != 1 {
		t.Errorf("told %d times in the first second", n)
	}
	r.advance(t, 100*time.Millisecond)
	r.until(t, "told again", func() bool { return count() == 2 })
	if n := len(r.events(t, "large", "FailedScheduling")); n != 1 {
		t.Errorf("%d events: it should have counted up", n)
	}
	r.advance(t, 5*time.Minute)
	r.until(t, "told after five minutes", func() bool { return count() == 3 })
}

func affinity(near, far string) func(*corev1.PodSpec) {
	term := func(app string) []corev1.PodAffinityTerm {
		if app == "" {
			return nil
		}
		return []corev1.PodAffinityTerm{{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}}}
	}
	return func(s *corev1.PodSpec) {
		s.Affinity = &corev1.Affinity{
			PodAffinity:     &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: term(near)},
			PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: term(far)},
		}
	}
}

func TestRequiredAffinityBetweenPods(t *testing.T) {
	t.Parallel()
	r := open(t, three)
	r.place(t, "db")
	home := r.on(t, "db")
	r.place(t, "near", affinity("db", ""))
	if got := r.on(t, "near"); got != home {
		t.Errorf("near runs on %s, db on %s", got, home)
	}
	r.place(t, "lonely", affinity("nobody", ""))
	if got, want := r.why(t, "lonely"), "0/3 nodes are available: 3 node(s) didn't match pod affinity rules."+notHelpful; got != want {
		t.Errorf("told %q\nwant %q", got, want)
	}
	d := deployment("spread", "v1", 4, 1, 0)
	affinity("", "spread")(&d.Spec.Template.Spec)
	r.create(t, d)
	r.until(t, "one on each node", func() bool { return r.get(t, "spread").Status.AvailableReplicas == 3 })
	nodes := map[string]bool{}
	for _, p := range r.pods(t, "spread") {
		nodes[p.Spec.NodeName] = true
	}
	if len(nodes) != 4 { // the fourth is bound to none
		t.Errorf("nodes of the pods: %v", nodes)
	}
	r.until(t, "anti-affinity", r.hasEvent(t, "", "FailedScheduling", "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules."+noVictims))
	r.patch(t, "spread", `{"spec":{"replicas":3}}`)
	r.rolledOut(t, "spread")
	r.place(t, "spread") // has the label that they keep away from
	if got, want := r.why(t, "spread"), "0/3 nodes are available: 3 node(s) didn't satisfy existing pods anti-affinity rules."+noVictims; got != want {
		t.Errorf("told %q\nwant %q", got, want)
	}
}

func TestTopologySpreadKeepsTheSkew(t *testing.T) {
	t.Parallel()
	r := open(t, three)
	r.patchNode(t, "dpesim-node-1", `{"metadata":{"labels":{"topology.kubernetes.io/zone":"a"}}}`)
	r.patchNode(t, "dpesim-node-2", `{"metadata":{"labels":{"topology.kubernetes.io/zone":"b"}}}`)
	d := deployment("web", "v1", 4, 1, 0)
	d.Spec.Template.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
	}}
	r.create(t, d)
	r.rolledOut(t, "web")
	on := map[string]int{}
	for _, p := range r.pods(t, "web") {
		on[p.Spec.NodeName]++
	}
	if on["dpesim-node-1"] != 2 || on["dpesim-node-2"] != 2 {
		t.Errorf("pods by node: %v", on)
	}
	r.patchNode(t, "dpesim-node-1", `{"spec":{"unschedulable":true}}`)
	r.patch(t, "web", `{"spec":{"replicas":6}}`)
	r.until(t, "skew", r.hasEvent(t, "", "FailedScheduling",
		"0/3 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 node(s) didn't match pod topology spread constraints (missing required label), 1 node(s) were unschedulable."+
			" preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."))
}

func TestWishesDecideBetweenNodesThatFit(t *testing.T) {
	t.Parallel()
	r := open(t, three)
	r.patchNode(t, "dpesim-node-3", `{"metadata":{"labels":{"disk":"fast"}}}`)
	r.settled(t, "dpesim-node-3")
	r.place(t, "wisher", func(s *corev1.PodSpec) {
		s.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{
			Weight: 10, Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "disk", Operator: corev1.NodeSelectorOpIn, Values: []string{"fast"}}}},
		}}}}
	})
	if got := r.on(t, "wisher"); got != "dpesim-node-3" {
		t.Errorf("wisher runs on %s", got)
	}
	r.patchNode(t, "dpesim-node-1", `{"spec":{"taints":[{"key":"old","effect":"PreferNoSchedule"}]}}`)
	r.settled(t, "dpesim-node-3")
	r.place(t, "picky")
	if got := r.on(t, "picky"); got != "dpesim-node-2" { // 1 is not wanted, 3 has a pod already
		t.Errorf("picky runs on %s", got)
	}
	r.place(t, "fan", func(s *corev1.PodSpec) {
		s.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
			Weight: 100, PodAffinityTerm: corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "wisher"}}},
		}}}}
	})
	if got := r.on(t, "fan"); got != "dpesim-node-3" {
		t.Errorf("fan runs on %s", got)
	}
}

// The volume of a pod is made on the node that it is given, fills its disk, and goes with the pod.
func TestVolumesFillTheDisksOfNodes(t *testing.T) {
	t.Parallel()
	r := open(t, three)
	d := deployment("web", "v1", 6, 1, 0)
	scratch("100Gi")(&d.Spec.Template.Spec)
	r.create(t, d)
	r.rolledOut(t, "web") // two on each node
	pvs, err := r.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pvs.Items) != 6 {
		t.Fatalf("%d volumes, %v", len(pvs.Items), err)
	}
	on := map[string]int{}
	for _, v := range pvs.Items {
		on[v.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0]]++
	}
	if len(on) != 3 || on["dpesim-node-1"] != 2 || on["dpesim-node-2"] != 2 {
		t.Errorf("volumes by node: %v", on)
	}
	name := r.pods(t, "web")[0].Name + "-scratch"
	for reason, message := range map[string]string{
		"ExternalProvisioning":  "Waiting for a volume to be created either by the external provisioner 'dpesim.dev/scratch' or manually by the system administrator.",
		"Provisioning":          `External provisioner is provisioning volume for claim "default/` + name + `"`,
		"ProvisioningSucceeded": "Successfully provisioned volume pvc-",
	} {
		r.until(t, reason, r.hasEvent(t, name, reason, message))
	}
	r.place(t, "large", asks("3", "", ""), scratch("1Gi"))
	r.until(t, "WaitForPodScheduled", r.hasEvent(t, "large-scratch", "WaitForPodScheduled", "waiting for pod large to be scheduled"))
	// A roll needs room for one more volume, and there is none.
	r.patch(t, "web", `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"app:v2"}]}}}}`)
	r.until(t, "the roll hangs", r.hasEvent(t, "", "FailedScheduling", "0/3 nodes are available: 3 node(s) did not have enough free storage."+notHelpful))
	r.until(t, "all old pods serve", func() bool { s := r.get(t, "web").Status; return s.AvailableReplicas == 6 && s.UpdatedReplicas == 1 })
	r.patch(t, "web", `{"spec":{"replicas":5}}`)
	r.rolledOut(t, "web")
	r.patch(t, "web", `{"spec":{"replicas":0}}`)
	r.until(t, "volumes gone", func() bool {
		pvs, err := r.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{})
		return err == nil && len(pvs.Items) == 0
	})
}

func TestClaimWaitsForItsFirstPod(t *testing.T) {
	t.Parallel()
	r := open(t, three)
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("10Gi")}},
	}}
	if _, err := r.CoreV1().PersistentVolumeClaims("default").Create(t.Context(), claim, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "WaitForFirstConsumer", r.hasEvent(t, "data", "WaitForFirstConsumer", "waiting for first consumer to be created before binding"))
	uses := func(s *corev1.PodSpec) {
		s.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	}
	r.place(t, "first", uses)
	home := r.on(t, "first")
	r.place(t, "second", uses)
	if got := r.on(t, "second"); got != home {
		t.Errorf("second runs on %s, the volume is on %s", got, home)
	}
	r.patchNode(t, home, `{"spec":{"unschedulable":true}}`)
	r.settled(t, home)
	r.place(t, "third", uses)
	want := "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match PersistentVolume's node affinity." + notHelpful
	if got := r.why(t, "third"); got != want {
		t.Errorf("told %q\nwant %q", got, want)
	}
}
