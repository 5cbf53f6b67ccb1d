package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/dpesim/dpesim/sim/cluster/internal/record"
)

// claimPatience is how long a pod may wait for its claims before that is news: they are made at the same moment as it.
const claimPatience = time.Second

// scheduler binds pods to nodes by what they request. It is one loop, so two pods never get the same room.
type scheduler struct {
	*Manager
	loop *loop
	from record.Source
}

func (m *Manager) addScheduler() error {
	c := &scheduler{Manager: m, from: record.Source{Component: corev1.DefaultSchedulerName}}
	c.loop = m.loop("scheduler", c.sync)
	pods := m.informers.Core().V1().Pods().Informer()
	retry := func(metav1.Object) { // room may have come
		for _, o := range pods.GetStore().List() {
			if p, ok := o.(*corev1.Pod); ok && c.mine(p) {
				c.loop.add(keyOf(p))
			}
		}
	}
	for _, err := range []error{
		on(pods, func(o metav1.Object) {
			if p, ok := o.(*corev1.Pod); ok && c.mine(p) {
				c.loop.add(keyOf(p))
			} else if ok && (p.DeletionTimestamp != nil || ended(p)) {
				retry(p)
			}
		}),
		on(m.informers.Core().V1().Nodes().Informer(), retry),
		on(m.informers.Core().V1().PersistentVolumeClaims().Informer(), retry),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// mine tells whether p waits for this scheduler.
func (c *scheduler) mine(p *corev1.Pod) bool {
	return p.Spec.NodeName == "" && p.DeletionTimestamp == nil && !ended(p) && len(p.Spec.SchedulingGates) == 0 &&
		(p.Spec.SchedulerName == "" || p.Spec.SchedulerName == corev1.DefaultSchedulerName)
}

func (c *scheduler) sync(ctx context.Context, key string) error {
	name, err := cache.ParseObjectName(key)
	if err != nil {
		return err
	}
	p, err := c.client.CoreV1().Pods(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && !c.mine(p) {
		return nil
	}
	if err != nil {
		return err
	}
	nodes, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if why, err := c.claims(ctx, p); err != nil || why != "" {
		if err != nil {
			return err
		}
		if left := p.CreationTimestamp.Add(claimPatience).Sub(c.clock.Now()); left > 0 {
			c.loop.addAfter(key, left)
			return nil
		}
		return c.refuse(ctx, p, fmt.Sprintf("0/%d nodes are available: %s.", len(nodes.Items), why))
	}
	rooms, err := c.rooms(ctx, nodes.Items)
	if err != nil {
		return err
	}
	best, why := choose(p, rooms)
	if best == nil {
		return c.refuse(ctx, p, why)
	}
	return c.bind(ctx, p, best.node.Name)
}

// claims says which claim of p is not bound yet; "" if none.
func (c *scheduler) claims(ctx context.Context, p *corev1.Pod) (string, error) {
	for _, v := range p.Spec.Volumes {
		name := p.Name + "-" + v.Name
		switch {
		case v.PersistentVolumeClaim != nil:
			name = v.PersistentVolumeClaim.ClaimName
		case v.Ephemeral == nil:
			continue
		}
		claim, err := c.client.CoreV1().PersistentVolumeClaims(p.Namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err) && v.Ephemeral != nil:
			return fmt.Sprintf("waiting for ephemeral volume controller to create the persistentvolumeclaim %q", name), nil
		case apierrors.IsNotFound(err):
			return fmt.Sprintf("persistentvolumeclaim %q not found", name), nil
		case err != nil:
			return "", err
		case claim.Status.Phase != corev1.ClaimBound:
			return "pod has unbound immediate PersistentVolumeClaims", nil
		}
	}
	return "", nil
}

// room is a node, and what its pods have requested of it.
type room struct {
	node        *corev1.Node
	cpu, memory int64 // requested: milli-CPU, bytes
	pods        int64
}

func (c *scheduler) rooms(ctx context.Context, nodes []corev1.Node) ([]*room, error) {
	pods, err := c.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []*room
	byName := map[string]*room{}
	for i := range nodes {
		r := &room{node: &nodes[i]}
		out = append(out, r)
		byName[r.node.Name] = r
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		if r := byName[p.Spec.NodeName]; r != nil && !ended(p) {
			cpu, memory := requests(p)
			r.cpu, r.memory, r.pods = r.cpu+cpu, r.memory+memory, r.pods+1
		}
	}
	return out, nil
}

// requests gives what a pod asks for: the sum of its containers, or its largest init container, and the overhead.
func requests(p *corev1.Pod) (cpu, memory int64) {
	for _, c := range p.Spec.Containers {
		cpu += c.Resources.Requests.Cpu().MilliValue()
		memory += c.Resources.Requests.Memory().Value()
	}
	for _, c := range p.Spec.InitContainers {
		cpu = max(cpu, c.Resources.Requests.Cpu().MilliValue())
		memory = max(memory, c.Resources.Requests.Memory().Value())
	}
	return cpu + p.Spec.Overhead.Cpu().MilliValue(), memory + p.Spec.Overhead.Memory().Value()
}

// choose gives the emptiest node that p fits on, or in a sentence why it fits on none.
func choose(p *corev1.Pod, rooms []*room) (*room, string) {
	counts := map[string]int{}
	var fit []*room
	for _, r := range rooms {
		why := r.refuses(p)
		if len(why) == 0 {
			fit = append(fit, r)
		}
		for _, w := range why {
			counts[w]++
		}
	}
	if len(fit) > 0 {
		return slices.MinFunc(fit, func(a, b *room) int {
			return cmp.Or(cmp.Compare(a.load(p), b.load(p)), cmp.Compare(a.pods, b.pods), cmp.Compare(a.node.Name, b.node.Name))
		}), ""
	}
	if len(rooms) == 0 {
		return nil, "no nodes available to schedule pods"
	}
	var reasons []string
	for w, n := range counts {
		reasons = append(reasons, fmt.Sprintf("%d %s", n, w))
	}
	slices.Sort(reasons)
	return nil, fmt.Sprintf("0/%d nodes are available: %s.", len(rooms), strings.Join(reasons, ", "))
}

// load is the mean share of CPU and memory that is requested once p is there too.
func (r *room) load(p *corev1.Pod) float64 {
	cpu, memory := requests(p)
	return float64(r.cpu+cpu)/float64(max(1, r.node.Status.Allocatable.Cpu().MilliValue())) +
		float64(r.memory+memory)/float64(max(1, r.node.Status.Allocatable.Memory().Value()))
}

// refuses says why p cannot run on r, in Kubernetes' words; nothing if it can.
func (r *room) refuses(p *corev1.Pod) []string {
	if r.node.Spec.Unschedulable && !tolerates(p, &corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}) {
		return []string{"node(s) were unschedulable"}
	}
	for i := range r.node.Spec.Taints {
		t := &r.node.Spec.Taints[i]
		if t.Effect != corev1.TaintEffectPreferNoSchedule && t.Key != corev1.TaintNodeUnschedulable && !tolerates(p, t) {
			return []string{fmt.Sprintf("node(s) had untolerated taint {%s: %s}", t.Key, t.Value)}
		}
	}
	if ok, err := nodeaffinity.GetRequiredNodeAffinity(p).Match(r.node); err != nil || !ok {
		return []string{"node(s) didn't match Pod's node affinity/selector"}
	}
	if a := p.Spec.Affinity; a != nil && (a.PodAffinity != nil && a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil ||
		a.PodAntiAffinity != nil && a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil) {
		return []string{"node(s) of dpesim's scheduler, which does not know required pod affinity"}
	}
	for _, s := range p.Spec.TopologySpreadConstraints {
		if s.WhenUnsatisfiable != corev1.ScheduleAnyway {
			return []string{"node(s) of dpesim's scheduler, which does not know topology spread constraints"}
		}
	}
	var why []string
	cpu, memory := requests(p)
	size := r.node.Status.Allocatable
	if r.pods+1 > size.Pods().Value() {
		why = append(why, "Too many pods")
	}
	if cpu > 0 && r.cpu+cpu > size.Cpu().MilliValue() {
		why = append(why, "Insufficient cpu")
	}
	if memory > 0 && r.memory+memory > size.Memory().Value() {
		why = append(why, "Insufficient memory")
	}
	return why
}

// tolerates tells whether p tolerates t.
func tolerates(p *corev1.Pod, t *corev1.Taint) bool {
	return slices.ContainsFunc(p.Spec.Tolerations, func(x corev1.Toleration) bool {
		if x.Effect != "" && x.Effect != t.Effect || x.Key != "" && x.Key != t.Key {
			return false
		}
		return x.Operator == corev1.TolerationOpExists || x.Value == t.Value
	})
}

// refuse notes on p why it is bound to no node. That is told once for each reason.
func (c *scheduler) refuse(ctx context.Context, p *corev1.Pod, why string) error {
	next := corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: why,
		LastTransitionTime: metav1.NewTime(c.clock.Now()), ObservedGeneration: p.Generation,
	}
	i := slices.IndexFunc(p.Status.Conditions, func(x corev1.PodCondition) bool { return x.Type == corev1.PodScheduled })
	switch {
	case i < 0:
		p.Status.Conditions = append(p.Status.Conditions, next)
	case p.Status.Conditions[i].Message == why && p.Status.Conditions[i].Status == corev1.ConditionFalse:
		return nil
	default:
		p.Status.Conditions[i] = next
	}
	c.trail.Lock()
	defer c.trail.Unlock()
	if _, err := c.client.CoreV1().Pods(p.Namespace).UpdateStatus(ctx, p, metav1.UpdateOptions{}); err != nil {
		return err
	}
	c.events.Warning(c.from, p, "FailedScheduling", "%s", why)
	c.trail.Tell(ctx, p, c.trail.Of(p.UID).Wanted, "pod unschedulable", map[string]string{"pod": p.Name, "reason": why})
	return nil
}

func (c *scheduler) bind(ctx context.Context, p *corev1.Pod, node string) error {
	c.trail.Lock()
	defer c.trail.Unlock()
	err := c.client.CoreV1().Pods(p.Namespace).Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: p.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	c.events.Normal(c.from, p, "Scheduled", "Successfully assigned %s/%s to %s", p.Namespace, p.Name, node)
	notes := c.trail.Note(p.UID)
	notes.Wanted = c.trail.Tell(ctx, p, notes.Wanted, "pod scheduled", map[string]string{"pod": p.Name, "node": node})
	return nil
}
