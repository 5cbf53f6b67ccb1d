package controller

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/dpesim/dpesim/sim/cluster/internal/record"
)

const (
	// monitorGrace is how long a node may be silent before it counts as lost. Source: kube-controller-manager,
	// node-monitor-grace-period.
	monitorGrace = 40 * time.Second
	// doubt is how much machine time a node gets that has missed its heartbeats but has not been stopped: when product time
	// is moved by minutes at once, its heartbeats come late and not never.
	doubt = 3 * time.Second

	nodePower, nodePowerOff = "dpesim.dev/power", "off" // an annotation of a node that has been stopped
)

// nodeLife watches the nodes' heartbeats, and says by taints what is wrong with a node. A node without a lease is left as
// it says it is: nobody promised that it would renew one.
type nodeLife struct {
	*Manager
	loop *loop
	from record.Source

	mu    sync.Mutex
	beats map[string]beat // by node
}

// beat is the latest sign of life of a node.
type beat struct {
	renewed time.Time     // as the node says
	seen    time.Duration // uptime, by this controller
	doubted bool          // it has been too long ago, and will be looked at again
}

func (m *Manager) addNodeLife() error {
	c := &nodeLife{Manager: m, from: record.Source{Component: "node-controller"}, beats: map[string]beat{}}
	c.loop = m.loop("node-lifecycle", c.sync)
	if err := on(m.informers.Core().V1().Nodes().Informer(), func(o metav1.Object) { c.loop.add(o.GetName()) }); err != nil {
		return err
	}
	return on(m.informers.Coordination().V1().Leases().Informer(), func(o metav1.Object) {
		if o.GetNamespace() == corev1.NamespaceNodeLease {
			c.loop.add(o.GetName())
		}
	})
}

// sync looks after the node of that name. The key of the second look at a node in doubt has a "?" before the name.
func (c *nodeLife) sync(ctx context.Context, key string) error {
	name, second := strings.CutPrefix(key, "?")
	n, err := c.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		c.mu.Lock()
		delete(c.beats, name)
		c.mu.Unlock()
		return nil
	}
	if err != nil {
		return err
	}
	lost, err := c.lost(ctx, n, second)
	if err != nil {
		return err
	}
	if lost {
		if n, err = c.mark(ctx, n); err != nil {
			return err
		}
	}
	return c.taint(ctx, n)
}

// lost tells whether n has been silent for too long, and comes back when it will have been.
func (c *nodeLife) lost(ctx context.Context, n *corev1.Node, second bool) (bool, error) {
	lease, err := c.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, n.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && lease.Spec.RenewTime == nil {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	now, up := c.clock.Now(), c.clock.Uptime()
	c.mu.Lock()
	defer c.mu.Unlock()
	b, known := c.beats[n.Name]
	if !known || !b.renewed.Equal(lease.Spec.RenewTime.Time) {
		b = beat{renewed: lease.Spec.RenewTime.Time, seen: up}
		if age := now.Sub(b.renewed); age > 0 && age < monitorGrace {
			b.seen -= age // time may have been moved before this was read
		}
		c.beats[n.Name] = b
	}
	if left := b.seen + monitorGrace - up; left > 0 {
		c.loop.addAfter(n.Name, left)
		return false, nil
	}
	if second || n.Annotations[nodePower] == nodePowerOff {
		return true, nil
	}
	if !b.doubted {
		b.doubted = true
		c.beats[n.Name] = b
		c.loop.queue.AddAfter("?"+n.Name, doubt)
	}
	return false, nil
}

// mark notes that nothing is known of a lost node any more, nor of what runs on it.
func (c *nodeLife) mark(ctx context.Context, n *corev1.Node) (*corev1.Node, error) {
	now := metav1.NewTime(c.clock.Now())
	next := n.DeepCopy()
	for _, t := range []corev1.NodeConditionType{corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure} {
		i := slices.IndexFunc(next.Status.Conditions, func(x corev1.NodeCondition) bool { return x.Type == t })
		if i < 0 {
			next.Status.Conditions = append(next.Status.Conditions, corev1.NodeCondition{
				Type: t, Status: corev1.ConditionUnknown, Reason: "NodeStatusNeverUpdated", Message: "Kubelet never posted node status.",
				LastHeartbeatTime: n.CreationTimestamp, LastTransitionTime: now,
			})
			continue
		}
		if x := &next.Status.Conditions[i]; x.Status != corev1.ConditionUnknown {
			x.Status, x.Reason, x.Message, x.LastTransitionTime = corev1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node status.", now
		}
	}
	if apiequality.Semantic.DeepEqual(next.Status, n.Status) {
		return n, nil
	}
	next, err := c.client.CoreV1().Nodes().UpdateStatus(ctx, next, metav1.UpdateOptions{})
	if err != nil {
		return nil, err
	}
	c.events.Normal(c.from, nodeRef(next), "NodeNotReady", "Node %s status is now: NodeNotReady", n.Name)
	c.trail.Lock()
	seq := c.trail.Tell(ctx, next, c.trail.Of(n.UID).Turned, "node lost", map[string]string{"node": n.Name})
	c.trail.Unlock()
	return next, c.unready(ctx, n.Name, seq)
}

// nodeRef is what an event about a node is about: a kubelet and its controller use the name as the UID.
func nodeRef(n *corev1.Node) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name}}
}

// unready notes that the pods of a lost node are not ready: nobody can tell.
func (c *nodeLife) unready(ctx context.Context, node string, cause uint64) error {
	pods, err := c.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node).String()})
	if err != nil {
		return err
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		j := slices.IndexFunc(p.Status.Conditions, func(x corev1.PodCondition) bool { return x.Type == corev1.PodReady })
		if j < 0 || p.Status.Conditions[j].Status != corev1.ConditionTrue {
			continue
		}
		p.Status.Conditions[j].Status, p.Status.Conditions[j].LastTransitionTime = corev1.ConditionFalse, metav1.NewTime(c.clock.Now())
		if err := c.unreadyOne(ctx, p, cause); err != nil {
			return err
		}
	}
	return nil
}

func (c *nodeLife) unreadyOne(ctx context.Context, p *corev1.Pod, cause uint64) error {
	c.trail.Lock()
	defer c.trail.Unlock()
	if _, err := c.client.CoreV1().Pods(p.Namespace).UpdateStatus(ctx, p, metav1.UpdateOptions{}); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	c.events.Warning(c.from, p, "NodeNotReady", "Node is not ready")
	notes := c.trail.Note(p.UID)
	notes.Ready = false
	notes.Turned = c.trail.Tell(ctx, p, cause, "pod not ready", map[string]string{"pod": p.Name, "node": p.Spec.NodeName})
	return nil
}

// taint keeps the taints that follow from n's state: they keep new pods off, and the eviction by taint reads them.
func (c *nodeLife) taint(ctx context.Context, n *corev1.Node) error {
	now := metav1.NewTime(c.clock.Now())
	var want []corev1.Taint
	add := func(key string, effect corev1.TaintEffect) {
		want = append(want, corev1.Taint{Key: key, Effect: effect})
	}
	if n.Spec.Unschedulable {
		add(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule)
	}
	switch nodeCondition(n, corev1.NodeReady) {
	case corev1.ConditionTrue:
	case corev1.ConditionFalse:
		add(corev1.TaintNodeNotReady, corev1.TaintEffectNoSchedule)
		add(corev1.TaintNodeNotReady, corev1.TaintEffectNoExecute)
	case corev1.ConditionUnknown:
		add(corev1.TaintNodeUnreachable, corev1.TaintEffectNoSchedule)
		add(corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute)
	default: // it has not said anything yet
		add(corev1.TaintNodeNotReady, corev1.TaintEffectNoSchedule)
	}
	for condition, key := range pressures() {
		if nodeCondition(n, condition) == corev1.ConditionTrue {
			add(key, corev1.TaintEffectNoSchedule)
		}
	}
	have := slices.DeleteFunc(slices.Clone(n.Spec.Taints), func(t corev1.Taint) bool {
		return ownTaint(t) && !slices.ContainsFunc(want, func(w corev1.Taint) bool { return w.MatchTaint(&t) })
	})
	for _, w := range want {
		if !slices.ContainsFunc(have, func(t corev1.Taint) bool { return w.MatchTaint(&t) }) {
			w.TimeAdded = &now
			have = append(have, w)
		}
	}
	if apiequality.Semantic.DeepEqual(have, n.Spec.Taints) {
		return nil
	}
	next := n.DeepCopy()
	next.Spec.Taints = have
	_, err := c.client.CoreV1().Nodes().Update(ctx, next, metav1.UpdateOptions{})
	return err
}

// pressures are the conditions of a node that keep new pods off while they are true.
func pressures() map[corev1.NodeConditionType]string {
	return map[corev1.NodeConditionType]string{
		corev1.NodeMemoryPressure: corev1.TaintNodeMemoryPressure, corev1.NodeDiskPressure: corev1.TaintNodeDiskPressure,
		corev1.NodePIDPressure: corev1.TaintNodePIDPressure, corev1.NodeNetworkUnavailable: corev1.TaintNodeNetworkUnavailable,
	}
}

// ownTaint tells whether t is one that this controller adds and takes away.
func ownTaint(t corev1.Taint) bool {
	if t.Key == corev1.TaintNodeUnschedulable || t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable {
		return true
	}
	for _, key := range pressures() {
		if t.Key == key {
			return true
		}
	}
	return false
}

// nodeCondition gives the status of a condition; "" if the node has not said.
func nodeCondition(n *corev1.Node, t corev1.NodeConditionType) corev1.ConditionStatus {
	for _, x := range n.Status.Conditions {
		if x.Type == t {
			return x.Status
		}
	}
	return ""
}
