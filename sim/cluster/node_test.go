package cluster_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dpesim/dpesim/sim/cluster"
	"github.com/dpesim/dpesim/sim/why"
)

func (r *rig) power(tb testing.TB, node string, on bool) {
	tb.Helper()
	if err := r.nodes(tb).SetPower(tb.Context(), node, on); err != nil {
		tb.Fatal(err)
	}
}

func oneNode(o *cluster.Options) {
	o.Nodes = []cluster.Node{{Name: "one", CPU: "4", Memory: "8Gi", Disk: "10Gi"}}
}

func TestNodeThatLosesItsPowerTakesItsPodsDownAndBringsThemBack(t *testing.T) {
	t.Parallel()
	r := open(t, frozen, oneNode)
	r.run(t, "web", podSpec("v1"))
	r.until(t, "ready", func() bool { return ready(r.pod(t, "web")) })
	before := r.status(t, "web")
	r.power(t, "one", false)
	lost := r.told(t, 0, "node stopped", map[string]string{"node": "one"})
	if diff := cmp.Diff([]string{"node stopped", "object changed"}, r.chain(lost)); diff != "" {
		t.Errorf("chain of the stop (-want +got):\n%s", diff)
	}
	exit := r.told(t, lost.Seq, "container exited", map[string]string{"pod": "web", "exit_code": "137"})
	if exit.Cause != lost.Seq {
		t.Errorf("the exit was caused by %d, want %d", exit.Cause, lost.Seq)
	}
	if s := r.status(t, "web"); s.State.Running == nil || s.ContainerID != before.ContainerID {
		t.Errorf("a lost node told what became of its pod: %+v", s)
	}
	lease, err := r.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(t.Context(), "one", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	last := lease.Spec.RenewTime.Time
	r.advance(t, 20*time.Second)
	r.settle(t)
	if lease, err = r.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(t.Context(), "one", metav1.GetOptions{}); err != nil || !lease.Spec.RenewTime.Time.Equal(last) {
		t.Errorf("a lost node renews its lease: %v", err)
	}
	r.power(t, "one", true)
	r.until(t, "back", func() bool {
		s, p := r.status(t, "web"), r.pod(t, "web")
		last := s.LastTerminationState.Terminated
		return ready(p) && s.RestartCount == 1 && last != nil && last.ExitCode == 255 && last.Reason == "Unknown"
	})
	r.until(t, "SandboxChanged", r.hasEvent(t, "web", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created."))
	r.until(t, "Starting", func() bool {
		n := 0
		for _, e := range r.events(t, "one", "Starting") {
			n += int(e.Count)
		}
		return n == 2
	})
}

func TestNodeThatIsMadeRunsPodsAndOneThatIsDeletedDoesNot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := open(t, func(o *cluster.Options) { o.Dir, o.Nodes = dir, []cluster.Node{{Name: "one", CPU: "1", Memory: "1Gi"}} })
	add := func(name string) {
		if _, err := r.nodes(t).Add(t.Context(), cluster.Node{Name: name, CPU: "2", Memory: "3Gi", Disk: "50Gi"}); err != nil {
			t.Fatal(err)
		}
	}
	add("two")
	r.until(t, "ready", r.hasEvent(t, "two", "NodeReady", "Node two status is now: NodeReady"))
	got := r.node(t, "two")
	if a := got.Status.Allocatable; a.Memory().String() != "3Gi" || a.StorageEphemeral().String() != "50Gi" || a.Pods().String() != "110" || got.Spec.PodCIDR == "" {
		t.Errorf("allocatable %v, pod CIDR %q", a, got.Spec.PodCIDR)
	}
	spec := podSpec("v1")
	spec.NodeName = "two"
	r.run(t, "guest", spec)
	r.until(t, "runs", func() bool { return ready(r.pod(t, "guest")) })
	if err := r.CoreV1().Nodes().Delete(t.Context(), "two", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.told(t, 0, "node removed", map[string]string{"node": "two"})
	r.told(t, 0, "container exited", map[string]string{"pod": "guest", "exit_code": "137"})

	// What was made stays where the options name no nodes, and what was removed stays away.
	add("three")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, func(o *cluster.Options) { o.Dir = dir })
	if _, err := r.CoreV1().Nodes().Get(t.Context(), "two", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("node two: %v", err)
	}
	r.until(t, "three is ready", func() bool { return r.node(t, "three").Status.NodeInfo.KubeletVersion != "" })
}

func TestNodesRenewTheirLeases(t *testing.T) {
	t.Parallel()
	r := open(t, frozen, oneNode)
	lease := func() time.Time {
		l, err := r.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(t.Context(), "one", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if *l.Spec.LeaseDurationSeconds != 40 || *l.Spec.HolderIdentity != "one" {
			t.Fatalf("lease %+v", l.Spec)
		}
		return l.Spec.RenewTime.Time
	}
	first := lease()
	r.advance(t, 10*time.Second)
	r.until(t, "renewed", func() bool { return lease().Sub(first) == 10*time.Second })
}

func TestPodThatFillsItsScratchIsEvicted(t *testing.T) {
	t.Parallel()
	r := open(t, frozen, oneNode)
	limit := func(s string) *resource.Quantity { q := resource.MustParse(s); return &q }
	mounted := func(v corev1.VolumeSource) corev1.PodSpec {
		spec := podSpec("v1")
		spec.Volumes = []corev1.Volume{{Name: "work", VolumeSource: v}}
		spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "work", MountPath: "/work"}}
		return spec
	}
	ephemeral := mounted(corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}})
	ephemeral.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceEphemeralStorage: resource.MustParse("1Mi")}
	for _, tt := range []struct {
		name, want string
		spec       corev1.PodSpec
	}{
		{"limit", `Usage of EmptyDir volume "work" exceeds the limit "1Mi". `, mounted(corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: limit("1Mi")}})},
		{"total", `Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. `, ephemeral},
		{"claim", `Usage of ephemeral volume "work" exceeds the limit "1Mi". `, mounted(corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{
			VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")}},
			}},
		}})},
	} {
		r.run(t, tt.name, tt.spec)
		r.until(t, "ready", func() bool { return ready(r.pod(t, tt.name)) })
		containers := r.app.containers()
		scratch := containers[len(containers)-1].Scratch
		write := func(size int) {
			if err := os.WriteFile(filepath.Join(scratch, "work", "data"), make([]byte, size), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(1 << 19)
		r.advance(t, 10*time.Second)
		r.settle(t)
		if p := r.pod(t, tt.name); p.Status.Phase != corev1.PodRunning {
			t.Fatalf("evicted below its limit: %+v", p.Status)
		}
		write(1<<20 + 1)
		r.advance(t, 10*time.Second)
		r.until(t, "evicted", func() bool {
			p := r.pod(t, tt.name)
			return p.Status.Phase == corev1.PodFailed && p.Status.Reason == "Evicted" && p.Status.Message == tt.want && !ready(p)
		})
		r.until(t, "event", r.hasEvent(t, tt.name, "Evicted", tt.want))
		r.told(t, 0, "pod evicted", map[string]string{"pod": tt.name})
		r.until(t, "scratch gone", func() bool { _, err := os.Stat(scratch); return os.IsNotExist(err) })
		if err := r.CoreV1().Pods("default").Delete(t.Context(), tt.name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		r.until(t, "gone", func() bool {
			_, err := r.CoreV1().Pods("default").Get(t.Context(), tt.name, metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		})
	}
}

func TestNodeWhoseDiskIsNearlyFullEvictsTheLargest(t *testing.T) {
	t.Parallel()
	r := open(t, frozen, func(o *cluster.Options) {
		o.Nodes = []cluster.Node{{Name: "one", CPU: "4", Memory: "8Gi", Disk: "4Mi"}}
	})
	spec := podSpec("v1")
	spec.Volumes = []corev1.Volume{{Name: "work", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "work", MountPath: "/work"}}
	r.run(t, "big", spec)
	r.until(t, "ready", func() bool { return ready(r.pod(t, "big")) })
	if err := os.WriteFile(filepath.Join(r.app.containers()[0].Scratch, "work", "data"), make([]byte, 15<<18), 0o600); err != nil {
		t.Fatal(err)
	}
	r.advance(t, 10*time.Second)
	r.until(t, "evicted", r.hasEvent(t, "big", "Evicted", "The node was low on resource: ephemeral-storage. Threshold quantity: "))
	r.until(t, "pressure", r.hasEvent(t, "one", "NodeHasDiskPressure", "Node one status is now: NodeHasDiskPressure"))
	r.advance(t, 10*time.Second)
	r.until(t, "relief", r.hasEvent(t, "one", "NodeHasNoDiskPressure", "Node one status is now: NodeHasNoDiskPressure"))
}

// A node that loses its power is lost for that, 40 s later, and whoever asks is told so once.
func TestNodeThatIsStoppedIsLostForThat(t *testing.T) {
	t.Parallel()
	r := open(t, frozen, oneNode)
	r.until(t, "ready", r.hasEvent(t, "one", "NodeReady", "Node one status is now: NodeReady"))
	r.power(t, "one", false)
	stopped := r.told(t, 0, "node stopped", map[string]string{"node": "one"})
	r.advance(t, 41*time.Second)
	lost := r.told(t, stopped.Seq, "node lost", map[string]string{"node": "one"})
	if diff := cmp.Diff([]string{"node lost", "node stopped", "object changed"}, r.chain(lost)); diff != "" {
		t.Errorf("chain of the loss (-want +got):\n%s", diff)
	}
	x, err := why.Explain("node/one", why.Facts{Events: r.bus.Since(0)})
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	for _, c := range x.Chains {
		for _, s := range c.Steps {
			steps = append(steps, s.What)
		}
	}
	if diff := cmp.Diff([]string{"node lost", "node stopped", "object changed"}, steps); diff != "" || x.Summary != "node/one: node lost" || x.FirstCause != stopped.Cause {
		t.Errorf("%q, by event %d, want %d; steps (-want +got):\n%s", x.Summary, x.FirstCause, stopped.Cause, diff)
	}
}
