package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/dpesim/dpesim/sim/cluster/internal/record"
	"github.com/dpesim/dpesim/sim/cluster/internal/trail"
)

// replicaSets keeps as many pods as each ReplicaSet wants.
type replicaSets struct {
	*Manager
	loop *loop
	from record.Source
}

func (m *Manager) addReplicaSets() error {
	c := &replicaSets{Manager: m, from: record.Source{Component: "replicaset-controller"}}
	c.loop = m.loop("replicaset", c.sync)
	if err := on(m.informers.Apps().V1().ReplicaSets().Informer(), func(o metav1.Object) { c.loop.add(keyOf(o)) }); err != nil {
		return err
	}
	return c.loop.controllers(m.informers.Core().V1().Pods().Informer(), "ReplicaSet", c.wanted)
}

// wanted has a pod that nobody controls seen by the sets whose selector finds it.
func (c *replicaSets) wanted(pod metav1.Object) {
	sets, err := c.informers.Apps().V1().ReplicaSets().Lister().ReplicaSets(pod.GetNamespace()).List(labels.Everything())
	if err != nil {
		return // of a cache: never
	}
	for _, s := range sets {
		if finds(s.Spec.Selector, pod) {
			c.loop.add(keyOf(s))
		}
	}
}

func (c *replicaSets) sync(ctx context.Context, key string) error {
	r, found, err := live(ctx, key, c.client.AppsV1().ReplicaSets)
	if !found {
		return err
	}
	all, err := c.podsOf(ctx, c.owner(r))
	if err != nil {
		return err
	}
	var pods, ends []*corev1.Pod
	for _, p := range all {
		if active(p) {
			pods = append(pods, p)
		} else {
			ends = append(ends, p)
		}
	}
	var syncErr error
	if r.DeletionTimestamp == nil {
		pods, syncErr = c.adjust(ctx, r, pods, ends)
	}
	if err := c.report(ctx, r, pods, syncErr); err != nil {
		return err
	}
	return syncErr
}

// owner is r as a maker of pods.
func (c *replicaSets) owner(r *appsv1.ReplicaSet) owner {
	return owner{object: r, kind: appsv1.SchemeGroupVersion.WithKind("ReplicaSet"), selector: r.Spec.Selector, template: &r.Spec.Template, from: c.from}
}

// adjust makes the pods that are missing, also because of others' ends, or deletes those that are too many, and gives the
// pods as they then are.
func (c *replicaSets) adjust(ctx context.Context, r *appsv1.ReplicaSet, pods, ends []*corev1.Pod) ([]*corev1.Pod, error) {
	n := int(ptr.Deref(r.Spec.Replicas, 1))
	o := c.owner(r)
	c.trail.Lock()
	defer c.trail.Unlock()
	notes, cause := c.trail.Note(r.UID), uint64(0)
	if act := c.trail.Acts.Change(r.UID, r.Generation); act != 0 && notes.Generation != r.Generation {
		notes.Generation, notes.Wanted = r.Generation, act
	}
	if notes.Generation == r.Generation {
		cause = notes.Wanted
	}
	if cause == 0 && len(pods) < n {
		cause = c.lost(notes, ends)
	}
	for len(pods) < n {
		made, err := c.makePod(ctx, o, cause, map[string]string{"replica_set": r.Name})
		if err != nil {
			return pods, err
		}
		pods = append(pods, made)
	}
	if len(pods) > n {
		slices.SortStableFunc(pods, newFirstToGo(c.crowds(r)))
	}
	for len(pods) > n {
		if err := c.dropPod(ctx, o, pods[0], cause); err != nil {
			return pods, err
		}
		pods = pods[1:]
	}
	if notes.Generation == r.Generation {
		notes.Wanted = 0 // served: if a pod is missing from now on, the reason is another
	}
	return pods, nil
}

// lost gives the newest known reason why a pod has ended that has not been made up for yet, 0 if there is none.
func (c *replicaSets) lost(notes *trail.Notes, ends []*corev1.Pod) uint64 {
	newest := uint64(0)
	for _, p := range ends {
		newest = max(newest, c.trail.Ended(p.UID))
	}
	if newest <= notes.Replaced {
		return 0
	}
	notes.Replaced = newest
	return newest
}

// newFirstToGo orders pods: those that are missed least come first. Unbound before bound, pending before running, not ready
// before ready, cheap before dear (by annotation), on a crowded node before alone, ready for a short time before long, many
// restarts before few, young before old. Source: Kubernetes, "ReplicaSet", scaling down; that ages of one order of magnitude
// count as equal there is left out, because chance would decide then. crowds tells how many of the same workload a node has.
func newFirstToGo(crowds map[string]int) func(a, b *corev1.Pod) int {
	phase := map[corev1.PodPhase]int{corev1.PodPending: 0, corev1.PodUnknown: 1, corev1.PodRunning: 2}
	return func(a, b *corev1.Pod) int {
		readyA, sinceA := readiness(a)
		readyB, sinceB := readiness(b)
		return cmp.Or(
			cmp.Compare(number(a.Spec.NodeName != ""), number(b.Spec.NodeName != "")),
			cmp.Compare(phase[a.Status.Phase], phase[b.Status.Phase]),
			cmp.Compare(number(readyA), number(readyB)),
			cmp.Compare(deletionCost(a), deletionCost(b)),
			cmp.Compare(crowds[b.Spec.NodeName], crowds[a.Spec.NodeName]),
			sinceB.Compare(sinceA),
			cmp.Compare(restarts(b), restarts(a)),
			b.CreationTimestamp.Compare(a.CreationTimestamp.Time),
		)
	}
}

// deletionCost gives what a pod says that its deletion costs; 0 if it says nothing that can be understood.
func deletionCost(p *corev1.Pod) int64 {
	n, err := strconv.ParseInt(p.Annotations[corev1.PodDeletionCost], 10, 32)
	if err != nil {
		return 0
	}
	return n
}

// crowds counts the active pods of each node that belong to r or to another set of its Deployment.
func (c *replicaSets) crowds(r *appsv1.ReplicaSet) map[string]int {
	family := map[types.UID]bool{r.UID: true}
	if d := metav1.GetControllerOf(r); d != nil {
		sets, err := c.informers.Apps().V1().ReplicaSets().Lister().ReplicaSets(r.Namespace).List(labels.Everything())
		if err != nil {
			return nil // of a cache: never
		}
		for _, s := range sets {
			if o := metav1.GetControllerOf(s); o != nil && o.UID == d.UID {
				family[s.UID] = true
			}
		}
	}
	pods, err := c.informers.Core().V1().Pods().Lister().Pods(r.Namespace).List(labels.Everything())
	if err != nil {
		return nil
	}
	out := map[string]int{}
	for _, p := range pods {
		if o := metav1.GetControllerOf(p); o != nil && family[o.UID] && active(p) {
			out[p.Spec.NodeName]++
		}
	}
	return out
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func restarts(p *corev1.Pod) (n int32) {
	for _, s := range p.Status.ContainerStatuses {
		n = max(n, s.RestartCount)
	}
	return n
}

// readiness tells whether a pod is ready, and since when.
func readiness(p *corev1.Pod) (ready bool, since time.Time) {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return true, c.LastTransitionTime.Time
		}
	}
	return false, time.Time{}
}

// report writes r's status if it changed, and comes back when a pod that is ready will count as available.
func (c *replicaSets) report(ctx context.Context, r *appsv1.ReplicaSet, pods []*corev1.Pod, cause error) error {
	minimum := time.Duration(r.Spec.MinReadySeconds) * time.Second
	s := appsv1.ReplicaSetStatus{Replicas: int32(len(pods)), ObservedGeneration: r.Generation}
	for _, p := range pods {
		if isSubset(r.Spec.Template.Labels, p.Labels) {
			s.FullyLabeledReplicas++
		}
		ready, since := readiness(p)
		if !ready {
			continue
		}
		s.ReadyReplicas++
		if left := since.Add(minimum).Sub(c.clock.Now()); minimum > 0 && left > 0 {
			c.loop.addAfter(keyOf(r), left)
			continue
		}
		s.AvailableReplicas++
	}
	if cause != nil {
		s.Conditions = []appsv1.ReplicaSetCondition{{
			Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: fmt.Sprint(cause),
			LastTransitionTime: metav1.NewTime(c.clock.Now()),
		}}
		if have := r.Status.Conditions; len(have) == 1 && have[0].Message == s.Conditions[0].Message {
			s.Conditions = have
		}
	}
	if apiequality.Semantic.DeepEqual(s, r.Status) {
		return nil
	}
	was := r.Status.ReadyReplicas
	r.Status = s
	c.trail.Lock()
	defer c.trail.Unlock()
	if _, err := c.client.AppsV1().ReplicaSets(r.Namespace).UpdateStatus(ctx, r, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if was != s.ReadyReplicas {
		notes, turned := c.trail.Note(r.UID), uint64(0)
		for _, p := range pods {
			ready, _ := readiness(p)
			if of := c.trail.Of(p.UID); of.Ready == ready { // else it has turned again meanwhile
				turned = max(turned, of.Turned)
			}
		}
		if turned <= notes.Counted { // a pod was deleted
			turned = 0
		}
		notes.Counted = max(notes.Counted, turned)
		notes.News = c.trail.Tell(ctx, r, turned, "replicas ready", map[string]string{
			"replica_set": r.Name, "ready": strconv.Itoa(int(s.ReadyReplicas)), "wanted": strconv.Itoa(int(ptr.Deref(r.Spec.Replicas, 1))),
		})
	}
	return nil
}

func isSubset(part, whole map[string]string) bool {
	for k, v := range part {
		if w, ok := whole[k]; !ok || w != v {
			return false
		}
	}
	return true
}
