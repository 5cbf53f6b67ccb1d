package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster/internal/controller"
	"github.com/dpesim/dpesim/sim/cluster/internal/node"
)

// Node is a node of the cluster: a name and what pods may request of it, as Kubernetes quantities.
type Node = node.Node

const (
	nodePrefix   = "dpesim-node-"
	defaultCount = 3
	maxCount     = 200 // as the node agent has addresses for

	// What the node agent reads of a Node: that it is one of its own, and whether it has been stopped.
	agentLabel, agentName = node.AgentLabel, node.AgentName
	powerKey, powerOff    = node.PowerAnnotation, node.PowerOff
)

// DefaultNodes is what a cluster has unless told otherwise: three nodes of a usual pool of four cores and 16 GiB, less what
// a managed cluster keeps for itself on such a node, each with a disk of 1 TiB. They hold some fifteen replicas of tier S.
// Source of the figures: AKS, "Resource reservations", for 4 cores and 16 GiB; the disk is ours.
func DefaultNodes() []Node { return nodesOf(defaultCount, Node{}) }

// nodesOf gives n nodes like like, numbered from 1. What like leaves out is that of a default node.
func nodesOf(n int, like Node) []Node {
	out := make([]Node, n)
	for i := range out {
		out[i] = Node{
			Name: nodePrefix + strconv.Itoa(i+1), CPU: cmp.Or(like.CPU, "3860m"), Memory: cmp.Or(like.Memory, "13Gi"), Disk: cmp.Or(like.Disk, "1Ti"),
		}
	}
	return out
}

// ParseNodes reads a set of nodes as people write it: "3" is three default nodes, "2x2cpu,4Gi,150Gi" two with 2 cores, 4 GiB
// of memory and 150 GiB of disk each; a "+" joins groups of different nodes. The disk may be left out, and "cpu" as well. It
// returns Invalid for anything else.
func ParseNodes(s string) ([]Node, error) {
	var out []Node
	for group := range strings.SplitSeq(s, "+") {
		count, size, sized := strings.Cut(strings.TrimSpace(group), "x")
		n, err := strconv.Atoi(strings.TrimSpace(count))
		if err != nil || n < 1 || len(out)+n > maxCount {
			return nil, badNodes(s, "the number of nodes must be 1 to %d", maxCount)
		}
		var like Node
		if sized {
			if like, err = parseSize(size); err != nil {
				return nil, badNodes(s, "%v", err)
			}
		}
		out = append(out, nodesOf(n, like)...)
	}
	for i := range out {
		out[i].Name = nodePrefix + strconv.Itoa(i+1)
	}
	return out, nil
}

func badNodes(s, format string, args ...any) error {
	return sim.Errorf(sim.Invalid, "%q describes no nodes: %s", s, fmt.Sprintf(format, args...)).
		WithHelp("write a number (3), or number x CPU, memory, disk (2x4cpu,16Gi,500Gi); join different ones by + (2x4cpu,16Gi+1x8cpu,32Gi)")
}

func parseSize(s string) (Node, error) {
	parts := strings.Split(s, ",")
	if len(parts) < 2 || len(parts) > 3 {
		return Node{}, errors.New("a size is CPU,memory or CPU,memory,disk")
	}
	names := []string{"CPU", "memory", "disk"}
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
		if i == 0 {
			parts[i] = strings.TrimSuffix(parts[i], "cpu")
		}
		q, err := resource.ParseQuantity(parts[i])
		if err != nil || q.Sign() <= 0 {
			return Node{}, fmt.Errorf("the %s %q is no Kubernetes quantity above zero", names[i], parts[i])
		}
	}
	n := Node{CPU: parts[0], Memory: parts[1]}
	if len(parts) == 3 {
		n.Disk = parts[2]
	}
	return n, nil
}

// Nodes changes the nodes of a cluster that serves, from outside.
type Nodes struct{ client kubernetes.Interface }

// OpenNodes gives the nodes of the cluster that a kubeconfig names.
func OpenNodes(kubeconfig string) (*Nodes, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("open the cluster: %w", err)
	}
	return &Nodes{client}, nil
}

// NodeState is a node with what its pods request of it.
type NodeState struct {
	Name   string `json:"name"`
	Status string `json:"status"` // as kubectl says it: "Ready", "NotReady,SchedulingDisabled"
	Power  string `json:"power"`  // "on", or "off" once it has been stopped
	Pods   int    `json:"pods"`
	CPU    Share  `json:"cpu"`
	Memory Share  `json:"memory"`
	Disk   Share  `json:"disk"` // of pods' requests and volumes
}

// Share is how much of something is requested, as Kubernetes quantities.
type Share struct {
	Requested   string `json:"requested"`
	Allocatable string `json:"allocatable"`
}

// List gives the nodes by name.
func (n *Nodes) List(ctx context.Context) ([]NodeState, error) {
	nodes, err := n.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the nodes: %w", err)
	}
	pods, err := n.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the pods: %w", err)
	}
	volumes, err := n.client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the volumes: %w", err)
	}
	return states(pointers(nodes.Items), pointers(pods.Items), pointers(volumes.Items)), nil
}

func pointers[T any](all []T) []*T {
	out := make([]*T, len(all))
	for i := range all {
		out[i] = &all[i]
	}
	return out
}

// states gives nodes by name. Pods that have ended count for none.
func states(nodes []*corev1.Node, pods []*corev1.Pod, volumes []*corev1.PersistentVolume) []NodeState {
	out := []NodeState{}
	for _, n := range nodes {
		out = append(out, stateOf(n, pods, volumes))
	}
	slices.SortFunc(out, func(a, b NodeState) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func stateOf(n *corev1.Node, pods []*corev1.Pod, volumes []*corev1.PersistentVolume) NodeState {
	s := NodeState{Name: n.Name, Status: "NotReady", Power: "on"}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			s.Status = "Ready"
		}
	}
	if n.Spec.Unschedulable {
		s.Status += ",SchedulingDisabled"
	}
	if n.Annotations[powerKey] == powerOff {
		s.Power = powerOff
	}
	var cpu, memory, disk resource.Quantity
	for _, p := range pods {
		if p.Spec.NodeName == n.Name && p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
			r := resourcehelper.PodRequests(p, resourcehelper.PodResourcesOptions{})
			cpu.Add(*r.Cpu())
			memory.Add(*r.Memory())
			disk.Add(*r.StorageEphemeral())
			s.Pods++
		}
	}
	for _, v := range volumes {
		if controller.NodeOfVolume(v) == n.Name {
			disk.Add(*v.Spec.Capacity.Storage())
		}
	}
	size := n.Status.Allocatable
	s.CPU = Share{cpu.String(), size.Cpu().String()}
	s.Memory = Share{memory.String(), size.Memory().String()}
	s.Disk = Share{disk.String(), size.StorageEphemeral().String()}
	return s
}

// Add makes a node. What want leaves out is that of a default node; without a name it gets the next number. It returns
// Conflict if there is one of that name, and Invalid for a bad quantity.
func (n *Nodes) Add(ctx context.Context, want Node) (string, error) {
	for _, q := range []string{want.CPU, want.Memory, want.Disk} {
		if v, err := resource.ParseQuantity(cmp.Or(q, "1")); err != nil || v.Sign() <= 0 {
			return "", sim.Errorf(sim.Invalid, "%q is no Kubernetes quantity above zero", q).WithHelp("write 4 or 3500m for CPU, 16Gi for memory and disk")
		}
	}
	like := nodesOf(1, want)[0]
	size := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(like.CPU), corev1.ResourceMemory: resource.MustParse(like.Memory),
		corev1.ResourceEphemeralStorage: resource.MustParse(like.Disk),
	}
	for i := 1; ; i++ {
		name := cmp.Or(want.Name, nodePrefix+strconv.Itoa(i))
		if !sim.Label(name).Valid() {
			return "", sim.Errorf(sim.Invalid, "%q cannot be the name of a node", name).WithHelp("use lower-case letters, digits and hyphens")
		}
		_, err := n.client.CoreV1().Nodes().Create(ctx, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{agentLabel: agentName, corev1.LabelHostname: name}},
			Status:     corev1.NodeStatus{Capacity: size, Allocatable: size},
		}, metav1.CreateOptions{})
		switch {
		case err == nil:
			return name, nil
		case apierrors.IsAlreadyExists(err) && want.Name != "":
			return "", sim.Errorf(sim.Conflict, "there is a node %s already", name).WithHelp("choose another name, or leave it out for the next number")
		case !apierrors.IsAlreadyExists(err):
			return "", fmt.Errorf("add node %s: %w", name, err)
		}
	}
}

// Remove takes a node away with its pods, as a machine that is deleted.
func (n *Nodes) Remove(ctx context.Context, name string) error {
	if err := n.known(ctx, name); err != nil {
		return err
	}
	if err := n.client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove node %s: %w", name, err)
	}
	return nil
}

// SetPower stops a node, as one that loses its power: its pods die without a word and its heartbeats end; or starts it again.
func (n *Nodes) SetPower(ctx context.Context, name string, on bool) error {
	if err := n.known(ctx, name); err != nil {
		return err
	}
	value := "null"
	if !on {
		value = strconv.Quote(powerOff)
	}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, powerKey, value)
	if _, err := n.client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("switch node %s: %w", name, err)
	}
	return nil
}

// known returns NotFound if there is no node of that name, and Invalid if it is not one of the simulator's.
func (n *Nodes) known(ctx context.Context, name string) error {
	have, err := n.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return sim.Errorf(sim.NotFound, "there is no node %q", name).WithHelp("'dpesim node list' shows those that there are")
	case err != nil:
		return fmt.Errorf("look for node %s: %w", name, err)
	case have.Labels[agentLabel] != agentName:
		return sim.Errorf(sim.Invalid, "node %s is not one of the simulator's", name).WithHelp("use kubectl for the nodes of another cluster")
	}
	return nil
}
