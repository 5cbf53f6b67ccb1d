package controller

import (
	"context"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/dpesim/dpesim/sim/cluster/internal/record"
)

// evictions deletes pods from nodes whose NoExecute taints they do not tolerate, or no longer.
type evictions struct {
	*Manager
	loop *loop
	from record.Source

	mu   sync.Mutex
	told map[types.UID]bool // pods whose end has been set
}

func (m *Manager) addEvictions() error {
	c := &evictions{Manager: m, from: record.Source{Component: "taint-eviction-controller"}, told: map[types.UID]bool{}}
	c.loop = m.loop("taint-eviction", c.sync)
	pods := m.informers.Core().V1().Pods().Informer()
	_, err := m.informers.Core().V1().Nodes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { forward(o, func(o metav1.Object) { c.all(pods, o.GetName()) }) },
		UpdateFunc: func(was, is any) {
			a, ok := was.(*corev1.Node)
			b, ok2 := is.(*corev1.Node)
			if ok && ok2 && !slices.EqualFunc(a.Spec.Taints, b.Spec.Taints, func(x, y corev1.Taint) bool { return x.MatchTaint(&y) && x.Value == y.Value }) {
				c.all(pods, b.Name)
			}
		},
	})
	if err != nil {
		return err
	}
	return on(pods, func(o metav1.Object) { c.loop.add(keyOf(o)) })
}

func (c *evictions) all(pods cache.SharedIndexInformer, node string) {
	for _, o := range pods.GetStore().List() {
		if p, ok := o.(*corev1.Pod); ok && p.Spec.NodeName == node {
			c.loop.add(keyOf(p))
		}
	}
}

func (c *evictions) sync(ctx context.Context, key string) error {
	name, err := cache.ParseObjectName(key)
	if err != nil {
		return err
	}
	p, err := c.informers.Core().V1().Pods().Lister().Pods(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) || err == nil && (p.Spec.NodeName == "" || !active(p)) {
		return nil
	}
	if err != nil {
		return err
	}
	n, err := c.informers.Core().V1().Nodes().Lister().Get(p.Spec.NodeName)
	if apierrors.IsNotFound(err) {
		return nil // the collector's
	}
	if err != nil {
		return err
	}
	due, must := c.due(p, n)
	c.mu.Lock()
	set := c.told[p.UID]
	if !must {
		delete(c.told, p.UID)
	}
	c.mu.Unlock()
	switch {
	case !must:
		if set {
			c.events.Normal(c.from, p, "TaintManagerEviction", "Cancelling deletion of Pod %s", key)
		}
		return nil
	case due.After(c.clock.Now()):
		c.mu.Lock()
		c.told[p.UID] = true
		c.mu.Unlock()
		c.loop.addAfter(key, due.Sub(c.clock.Now()))
		return nil
	}
	return c.evict(ctx, p)
}

// due tells whether p must go from n, and when.
func (c *evictions) due(p *corev1.Pod, n *corev1.Node) (at time.Time, must bool) {
	for i := range n.Spec.Taints {
		t := &n.Spec.Taints[i]
		if t.Effect != corev1.TaintEffectNoExecute {
			continue
		}
		since := n.CreationTimestamp.Time
		if t.TimeAdded != nil {
			since = t.TimeAdded.Time
		}
		j := slices.IndexFunc(p.Spec.Tolerations, func(x corev1.Toleration) bool {
			return tolerates(&corev1.Pod{Spec: corev1.PodSpec{Tolerations: []corev1.Toleration{x}}}, t)
		})
		if j >= 0 {
			s := p.Spec.Tolerations[j].TolerationSeconds
			if s == nil {
				continue
			}
			since = since.Add(time.Duration(max(0, *s)) * time.Second)
		}
		if !must || since.Before(at) {
			at, must = since, true
		}
	}
	return at, must
}

// evict deletes p. On a lost node it stays, terminating, until the node is back or deleted.
func (c *evictions) evict(ctx context.Context, p *corev1.Pod) error {
	now := metav1.NewTime(c.clock.Now())
	c.trail.Lock()
	defer c.trail.Unlock()
	live, err := c.client.CoreV1().Pods(p.Namespace).Get(ctx, p.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && (live.UID != p.UID || live.DeletionTimestamp != nil) {
		return nil
	}
	if err != nil {
		return err
	}
	live.Status.Conditions = append(slices.DeleteFunc(live.Status.Conditions, func(x corev1.PodCondition) bool { return x.Type == corev1.DisruptionTarget }), corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByTaintManager",
		Message: "Taint manager: deleting due to NoExecute taint", LastTransitionTime: now, ObservedGeneration: live.Generation,
	})
	if _, err := c.client.CoreV1().Pods(p.Namespace).UpdateStatus(ctx, live, metav1.UpdateOptions{}); err != nil {
		return err
	}
	c.events.Normal(c.from, p, "TaintManagerEviction", "Marking for deletion Pod %s", keyOf(p))
	c.trail.Note(p.UID).Unwanted = c.trail.Tell(ctx, p, c.trail.Of(p.UID).Turned, "pod evicted", map[string]string{"pod": p.Name, "node": p.Spec.NodeName, "reason": "NoExecute taint"})
	err = c.client.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(p.UID))})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
