package node

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/informers"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster/internal/record"
)

// Node is a node of the cluster: a name and what pods may request of it, as Kubernetes quantities.
type Node struct {
	Name, CPU, Memory string
	Disk              string // ephemeral storage; "": 100Gi
}

const (
	// AgentLabel with the value [AgentName] marks the nodes that the agent runs: those of the options, and any that
	// somebody makes while it runs.
	AgentLabel = "dpesim.dev/agent"
	// AgentName is the value of [AgentLabel].
	AgentName = "in-process"
	// PowerAnnotation with the value [PowerOff] takes a node's power away: its processes die and its heartbeats end.
	PowerAnnotation = "dpesim.dev/power"
	// PowerOff is the value of [PowerAnnotation].
	PowerOff = "off"

	// podsPerNode is a kubelet's default. Source: KubeletConfiguration, maxPods.
	podsPerNode = "110"
	// What a node has of which nothing is said: a small virtual machine.
	defaultCPU, defaultMemory, defaultDisk = "4", "16Gi", "100Gi"
	// maxNodes keeps node addresses and pod networks within one byte.
	maxNodes = 200
)

// check returns Invalid for a bad name, quantity or number.
func check(nodes []Node) error {
	if len(nodes) == 0 || len(nodes) > maxNodes {
		return sim.Errorf(sim.Invalid, "a cluster of %d nodes cannot be made", len(nodes)).WithHelp("choose 1 to %d nodes", maxNodes)
	}
	seen := map[string]bool{}
	for _, n := range nodes {
		for _, q := range []struct{ what, value, example string }{
			{"CPU", n.CPU, "4 or 3500m"}, {"memory", n.Memory, "16Gi"}, {"disk", cmp.Or(n.Disk, defaultDisk), "100Gi"},
		} {
			if v, err := resource.ParseQuantity(q.value); err != nil || v.Sign() <= 0 {
				return sim.Errorf(sim.Invalid, "node %q has the %s %q", n.Name, q.what, q.value).WithHelp("use a Kubernetes quantity such as %s", q.example)
			}
		}
		if !sim.Label(n.Name).Valid() || seen[n.Name] {
			return sim.Errorf(sim.Invalid, "%q cannot be the name of a node", n.Name).
				WithHelp("names of nodes are unique and made of lower-case letters, digits and hyphens")
		}
		seen[n.Name] = true
	}
	return nil
}

// size gives what the node has. Its quantities have been checked.
func (n Node) size() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(n.CPU), corev1.ResourceMemory: resource.MustParse(n.Memory),
		corev1.ResourceEphemeralStorage: resource.MustParse(cmp.Or(n.Disk, defaultDisk)),
		corev1.ResourcePods:             resource.MustParse(podsPerNode),
	}
}

// place is a node that has power: from the moment the agent sees it on until it is gone or off.
type place struct {
	name   string
	ip     netip.Addr
	pods   netip.Prefix
	images *images

	began uint64 // Seq of "node started"

	ctx     context.Context // done: the power is off
	off     context.CancelFunc
	watch   informers.SharedInformerFactory
	running sync.WaitGroup // heartbeat and housekeeping

	mu       sync.Mutex
	node     *corev1.Node  // as the API server had it last
	pressure bool          // the disk is nearly full
	moved    chan struct{} // cap 1: the status is to be told
}

func (n *place) source() record.Source { return record.Source{Component: "kubelet", Node: n.name} }

// current gives the node as the API server had it last.
func (n *place) current() *corev1.Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.node
}

// seat gives the addresses of the node with a number: its own, and its pods'.
func seat(i int) (netip.Addr, netip.Prefix) {
	return netip.AddrFrom4([4]byte{172, 18, 0, byte(i + 2)}), netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(i), 0}), 24)
}

// seated gives the number of the node whose pods have the addresses cidr; false if no number gives those.
func seated(cidr string) (int, bool) {
	p, err := netip.ParsePrefix(cidr)
	if err != nil || !p.Addr().Is4() {
		return 0, false
	}
	i := int(p.Addr().As4()[2])
	_, want := seat(i)
	return i, i < maxNodes && p == want
}

func (a *Agent) imagesFile(node string) string {
	return filepath.Join(a.dir, "images", node+".json")
}

func nodeRef(n *corev1.Node) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: n.UID}
}

// tell writes an event about a node.
func (a *Agent) tellNode(n *place, reason, format string, args ...any) {
	if a.ctx.Err() == nil {
		a.events.Tell(n.source(), nodeRef(n.current()), corev1.EventTypeNormal, reason, fmt.Sprintf(format, args...))
	}
}
