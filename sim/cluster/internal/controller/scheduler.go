package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/dpesim/dpesim/sim/cluster/internal/record"
)

const (
	// claimPatience is how long a pod may wait for its claims to be made before that is news: they are made at the same
	// moment as it.
	claimPatience = time.Second
	// A pod that fits nowhere is tried again when something changes that may help, but no sooner than this after its first
	// failure, twice as long after each further one; and after flush in any case. Source: kube-scheduler,
	// podInitialBackoffSeconds, podMaxBackoffSeconds, podMaxInUnschedulablePodsDuration.
	firstBackoff = time.Second
	lastBackoff  = 10 * time.Second
	flush        = 5 * time.Minute
	// bindPatience is how long a chosen node waits for the pod's volumes. Source: kube-scheduler, VolumeBindingArgs.
	bindPatience = 10 * time.Minute
)

// scheduler binds pods to nodes by what they request. It is one loop, so two pods never get the same room; what it has given
// away and the cache does not show yet, it remembers itself.
type scheduler struct {
	*Manager
	loop *loop
	from record.Source

	mu      sync.Mutex
	moves   int                       // how often those that wait were tried again: what changes during an attempt counts too
	tries   map[string]try            // of the pods that fit nowhere, by key
	assumed map[types.UID]*assumption // by pod
	sizes   map[types.UID]podRequest  // of pods, reckoned once
}

// try is the latest attempt to find a place for a pod.
type try struct {
	n  int
	at time.Time
}

// assumption is a node that a pod has been given, while its volumes are made or until the cache shows the binding.
type assumption struct {
	pod    *corev1.Pod
	node   string
	since  time.Time
	bound  bool
	claims map[types.UID]int64 // bytes of the volumes to be made there, by claim
}

func (m *Manager) addScheduler() error {
	c := &scheduler{
		Manager: m, from: record.Source{Component: corev1.DefaultSchedulerName},
		tries: map[string]try{}, assumed: map[types.UID]*assumption{}, sizes: map[types.UID]podRequest{},
	}
	c.loop = m.loop("scheduler", c.sync)
	core := m.informers.Core().V1()
	always := func(metav1.Object) { c.retry(nil) }
	_, err := core.Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { forward(o, func(o metav1.Object) { c.see(nil, o) }) },
		UpdateFunc: func(was, o any) { forward(o, func(o metav1.Object) { c.see(was, o) }) },
		DeleteFunc: func(o any) { forward(o, c.gone) },
	})
	_, err2 := core.Nodes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { forward(o, always) },
		UpdateFunc: func(was, o any) { c.seeNode(was, o) },
	})
	for _, err := range []error{
		err, err2,
		on(core.PersistentVolumeClaims().Informer(), always),
		on(core.PersistentVolumes().Informer(), always),
		on(m.informers.Storage().V1().StorageClasses().Informer(), always),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// see takes a pod as it now is: one to be placed, or one whose place may matter to those that wait.
func (c *scheduler) see(was any, o metav1.Object) {
	p, ok := o.(*corev1.Pod)
	if !ok {
		return
	}
	if p.Spec.NodeName != "" || p.DeletionTimestamp != nil || ended(p) {
		c.mu.Lock()
		if a := c.assumed[p.UID]; a != nil && (p.Spec.NodeName != "" || !a.bound) {
			delete(c.assumed, p.UID)
		}
		delete(c.tries, keyOf(p))
		c.mu.Unlock()
	}
	old, _ := was.(*corev1.Pod)
	switch {
	case c.mine(p):
		if old == nil || !apiequality.Semantic.DeepEqual(old.Spec, p.Spec) || !apiequality.Semantic.DeepEqual(old.Labels, p.Labels) {
			c.loop.add(keyOf(p))
		}
	case p.Spec.NodeName == "":
	case ended(p) && (old == nil || !ended(old)):
		c.retry(nil)
	case old == nil || old.Spec.NodeName == "" || !apiequality.Semantic.DeepEqual(old.Labels, p.Labels):
		c.retry(sociable)
	}
}

// gone takes that a pod has been deleted: its room is free.
func (c *scheduler) gone(o metav1.Object) {
	c.mu.Lock()
	delete(c.assumed, o.GetUID())
	delete(c.sizes, o.GetUID())
	delete(c.tries, keyOf(o))
	c.mu.Unlock()
	c.retry(nil)
}

// seeNode lets the pods that wait be tried again if a node has changed in what decides over them. Heartbeats do not.
func (c *scheduler) seeNode(was, is any) {
	a, ok := was.(*corev1.Node)
	b, ok2 := is.(*corev1.Node)
	if !ok || !ok2 {
		return
	}
	if a.Spec.Unschedulable != b.Spec.Unschedulable || !apiequality.Semantic.DeepEqual(a.Spec.Taints, b.Spec.Taints) ||
		!apiequality.Semantic.DeepEqual(a.Labels, b.Labels) || !apiequality.Semantic.DeepEqual(a.Status.Allocatable, b.Status.Allocatable) {
		c.retry(nil)
	}
}

// sociable tells whether where p can go depends on where other pods are.
func sociable(p *corev1.Pod) bool {
	return p.Spec.Affinity != nil && (p.Spec.Affinity.PodAffinity != nil || p.Spec.Affinity.PodAntiAffinity != nil) || len(p.Spec.TopologySpreadConstraints) > 0
}

// retry tries the pods again that fit nowhere, each when its back-off is over: those that only names, or all if it is nil.
func (c *scheduler) retry(only func(*corev1.Pod) bool) {
	pods := c.informers.Core().V1().Pods().Informer().GetStore()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moves++
	for key, t := range c.tries {
		if o, there, err := pods.GetByKey(key); err == nil && there && only != nil {
			if p, ok := o.(*corev1.Pod); ok && !only(p) {
				continue
			}
		}
		c.again(key, t)
	}
	for _, a := range c.assumed {
		if !a.bound {
			c.loop.add(keyOf(a.pod))
		}
	}
}

// again asks for the next attempt, once the back-off of the last one is over.
func (c *scheduler) again(key string, t try) {
	d := lastBackoff
	if t.n > 0 && t.n < 5 {
		d = min(lastBackoff, firstBackoff<<(t.n-1))
	}
	if left := t.at.Add(d).Sub(c.clock.Now()); t.n > 0 && left > 0 {
		c.loop.addAfter(key, left)
		return
	}
	c.loop.add(key)
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
	p, err := c.informers.Core().V1().Pods().Lister().Pods(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) || err == nil && !c.mine(p) {
		return nil
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	a, moves := c.assumed[p.UID], c.moves
	c.mu.Unlock()
	if a != nil {
		return c.finish(ctx, p, a)
	}
	rooms, err := c.rooms()
	if err != nil {
		return err
	}
	need, why, err := c.volumesOf(ctx, p)
	if err != nil {
		return err
	}
	if why != "" {
		if left := p.CreationTimestamp.Add(claimPatience).Sub(c.clock.Now()); left > 0 {
			c.loop.addAfter(key, left)
			c.wait(key, try{}, moves) // its claims will bring it back
			return nil
		}
		return c.refuse(ctx, p, unfit{total: len(rooms), prefilter: why}.String(), moves)
	}
	best, none := c.choose(p, need, rooms)
	if best == nil {
		return c.refuse(ctx, p, none.String(), moves)
	}
	a = &assumption{pod: p, node: best.node.Name, since: c.clock.Now(), claims: map[types.UID]int64{}}
	for _, claim := range need.toMake {
		a.claims[claim.UID] = sizeOf(claim)
	}
	c.mu.Lock()
	c.assumed[p.UID] = a
	delete(c.tries, key)
	c.mu.Unlock()
	if err := c.ask(ctx, need.toMake, a.node); err != nil {
		c.drop(p.UID)
		return err
	}
	return c.finish(ctx, p, a)
}

// drop forgets which node a pod has been given.
func (c *scheduler) drop(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.assumed, uid)
}

// finish binds a pod to the node that it has been given, once its volumes are there.
func (c *scheduler) finish(ctx context.Context, p *corev1.Pod, a *assumption) error {
	if a.bound {
		return nil
	}
	need, why, err := c.volumesOf(ctx, p)
	switch {
	case err != nil:
		return err
	case why == "" && len(need.toMake) == 0:
	case why != "", c.clock.Now().Sub(a.since) >= bindPatience:
		c.drop(p.UID)
		if why == "" {
			why = `running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded`
		}
		return c.refuse(ctx, p, why, -1)
	default:
		c.loop.addAfter(keyOf(p), bindPatience-c.clock.Now().Sub(a.since))
		return nil // its claims bring it back
	}
	if err := c.bind(ctx, p, a.node); err != nil {
		c.drop(p.UID)
		return err
	}
	c.mu.Lock()
	a.bound = true
	c.mu.Unlock()
	return nil
}

// refuse notes on p why it is bound to no node. Each attempt is told: repeated, the event counts up. moves is what there was
// of them when the attempt began.
func (c *scheduler) refuse(ctx context.Context, p *corev1.Pod, why string, moves int) error {
	next := corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: why,
		LastTransitionTime: metav1.NewTime(c.clock.Now()), ObservedGeneration: p.Generation,
	}
	p = p.DeepCopy()
	news := true
	i := slices.IndexFunc(p.Status.Conditions, func(x corev1.PodCondition) bool { return x.Type == corev1.PodScheduled })
	switch {
	case i < 0:
		p.Status.Conditions = append(p.Status.Conditions, next)
	case p.Status.Conditions[i].Message == why && p.Status.Conditions[i].Status == corev1.ConditionFalse:
		news = false
	default:
		if p.Status.Conditions[i].Status == corev1.ConditionFalse {
			next.LastTransitionTime = p.Status.Conditions[i].LastTransitionTime
		}
		p.Status.Conditions[i] = next
	}
	c.trail.Lock()
	defer c.trail.Unlock()
	if news {
		if _, err := c.client.CoreV1().Pods(p.Namespace).UpdateStatus(ctx, p, metav1.UpdateOptions{}); err != nil {
			return err
		}
		c.trail.Tell(ctx, p, c.trail.Made(p.UID), "pod unschedulable", map[string]string{"pod": p.Name, "reason": why})
	}
	c.events.Warning(c.from, p, "FailedScheduling", "%s", why)
	key := keyOf(p)
	c.loop.addAfter(key, flush)
	c.mu.Lock()
	t := try{n: c.tries[key].n + 1, at: c.clock.Now()}
	c.mu.Unlock()
	c.wait(key, t, moves)
	return nil
}

// wait notes an attempt that failed, and asks for the next if something has changed since it began.
func (c *scheduler) wait(key string, t try, moves int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tries[key] = t
	if c.moves != moves {
		c.again(key, t)
	}
}

func (c *scheduler) bind(ctx context.Context, p *corev1.Pod, node string) error {
	c.trail.Lock()
	defer c.trail.Unlock()
	if _, err := c.informers.Core().V1().Nodes().Lister().Get(node); err != nil {
		return fmt.Errorf("bind: %w", err) // it went while the volumes were made
	}
	err := c.client.CoreV1().Pods(p.Namespace).Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: p.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	c.events.Normal(c.from, p, "Scheduled", "Successfully assigned %s/%s to %s", p.Namespace, p.Name, node)
	notes := c.trail.Note(p.UID)
	notes.Wanted = c.trail.Tell(ctx, p, c.trail.Made(p.UID), "pod scheduled", map[string]string{"pod": p.Name, "node": node})
	return nil
}
