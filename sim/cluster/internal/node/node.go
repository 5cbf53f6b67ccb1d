package node

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"runtime"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster/internal/record"
)

// Node is a node of the cluster: a name and what pods may request of it, as Kubernetes quantities.
type Node struct {
	Name, CPU, Memory string
	Disk              string // ephemeral storage; "": 100Gi
}

const (
	// agentLabel marks the nodes of this agent, so that it can take away those that are no longer wanted.
	agentLabel, agentName = "dpesim.dev/agent", "in-process"
	// podsPerNode is a kubelet's default. Source: KubeletConfiguration, maxPods.
	podsPerNode = "110"
	// defaultDisk is the size of a node's disk unless it is said: that of a usual virtual machine.
	defaultDisk = "100Gi"
	// maxNodes keeps node addresses and pod networks within one byte.
	maxNodes = 200
)

// place is a node with the addresses that it has in this process.
type place struct {
	name              string
	cpu, memory, disk resource.Quantity
	ip                netip.Addr
	pods              netip.Prefix
}

func (n *place) source() record.Source { return record.Source{Component: "kubelet", Node: n.name} }

// newPlaces checks the nodes. It returns Invalid for a bad name, quantity or number.
func newPlaces(nodes []Node) ([]*place, error) {
	if len(nodes) == 0 || len(nodes) > maxNodes {
		return nil, sim.Errorf(sim.Invalid, "a cluster of %d nodes cannot be made", len(nodes)).WithHelp("choose 1 to %d nodes", maxNodes)
	}
	var out []*place
	seen := map[string]bool{}
	for i, n := range nodes {
		cpu, err := resource.ParseQuantity(n.CPU)
		if err != nil || cpu.Sign() <= 0 {
			return nil, sim.Errorf(sim.Invalid, "node %q has the CPU %q", n.Name, n.CPU).WithHelp("use a Kubernetes quantity such as 4 or 3500m")
		}
		memory, err := resource.ParseQuantity(n.Memory)
		if err != nil || memory.Sign() <= 0 {
			return nil, sim.Errorf(sim.Invalid, "node %q has the memory %q", n.Name, n.Memory).WithHelp("use a Kubernetes quantity such as 16Gi")
		}
		disk, err := resource.ParseQuantity(cmp.Or(n.Disk, defaultDisk))
		if err != nil || disk.Sign() <= 0 {
			return nil, sim.Errorf(sim.Invalid, "node %q has the disk %q", n.Name, n.Disk).WithHelp("use a Kubernetes quantity such as 100Gi")
		}
		if !sim.Label(n.Name).Valid() || seen[n.Name] {
			return nil, sim.Errorf(sim.Invalid, "%q cannot be the name of a node", n.Name).
				WithHelp("names of nodes are unique and made of lower-case letters, digits and hyphens")
		}
		seen[n.Name] = true
		out = append(out, &place{
			name: n.Name, cpu: cpu, memory: memory, disk: disk,
			ip:   netip.AddrFrom4([4]byte{172, 18, 0, byte(i + 2)}),
			pods: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(i), 0}), 24),
		})
	}
	return out, nil
}

// register makes the agent's nodes and takes away those of an earlier one that are no longer wanted.
func (a *Agent) register(ctx context.Context) error {
	version, err := a.client.Discovery().ServerVersionWithContext(ctx)
	if err != nil {
		return fmt.Errorf("ask for the version: %w", err)
	}
	nodes := a.client.CoreV1().Nodes()
	wanted := map[string]bool{}
	for _, n := range a.places {
		wanted[n.name] = true
		if err := a.registerOne(ctx, n, version.GitVersion); err != nil {
			return fmt.Errorf("node %s: %w", n.name, err)
		}
	}
	have, err := nodes.List(ctx, metav1.ListOptions{LabelSelector: agentLabel + "=" + agentName})
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	for _, n := range have.Items {
		if wanted[n.Name] {
			continue
		}
		if err := nodes.Delete(ctx, n.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("take away node %s: %w", n.Name, err)
		}
	}
	return nil
}

func (a *Agent) registerOne(ctx context.Context, n *place, version string) error {
	nodes := a.client.CoreV1().Nodes()
	_, err := nodes.Create(ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.name, Labels: map[string]string{
			agentLabel: agentName, corev1.LabelHostname: n.name, corev1.LabelOSStable: runtime.GOOS, corev1.LabelArchStable: runtime.GOARCH,
		}},
		Spec: corev1.NodeSpec{PodCIDR: n.pods.String(), PodCIDRs: []string{n.pods.String()}},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		have, err := nodes.Get(ctx, n.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		have.Status = n.status(&have.Status, version, metav1.NewTime(a.clock.Now()))
		_, err = nodes.UpdateStatus(ctx, have, metav1.UpdateOptions{})
		return err
	})
	if err == nil {
		a.events.Normal(n.source(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.name}}, "NodeReady", "Node %s status is now: NodeReady", n.name)
	}
	return err
}

func (n *place) status(have *corev1.NodeStatus, version string, now metav1.Time) corev1.NodeStatus {
	size := corev1.ResourceList{
		corev1.ResourceCPU: n.cpu, corev1.ResourceMemory: n.memory,
		corev1.ResourcePods: resource.MustParse(podsPerNode), corev1.ResourceEphemeralStorage: n.disk,
	}
	s := corev1.NodeStatus{
		Capacity: size, Allocatable: size.DeepCopy(),
		Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: n.ip.String()}, {Type: corev1.NodeHostName, Address: n.name}},
		NodeInfo: corev1.NodeSystemInfo{
			KubeletVersion: version, OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH, ContainerRuntimeVersion: "dpesim://in-process",
			OSImage: "dpesim (in-process)", KernelVersion: "none",
		},
	}
	for _, c := range []corev1.NodeCondition{
		{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory", Message: "kubelet has sufficient memory available"},
		{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure", Message: "kubelet has no disk pressure"},
		{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientPID", Message: "kubelet has sufficient PID available"},
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"},
	} {
		c.LastHeartbeatTime, c.LastTransitionTime = now, now
		for _, h := range have.Conditions {
			if h.Type == c.Type && h.Status == c.Status && !h.LastTransitionTime.IsZero() {
				c.LastTransitionTime = h.LastTransitionTime
			}
		}
		s.Conditions = append(s.Conditions, c)
	}
	return s
}
