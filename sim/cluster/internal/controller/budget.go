package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/dpesim/dpesim/sim/cluster/internal/record"
)

// disruptionGrace is how long an evicted pod counts as gone although it is still there. Source: Kubernetes' disruption
// controller.
const disruptionGrace = 2 * time.Minute

// budgets keeps the status of each PodDisruptionBudget, by which evictions are granted.
type budgets struct {
	*Manager
	loop *loop
	from record.Source
}

func (m *Manager) addBudgets() error {
	c := &budgets{Manager: m, from: record.Source{Component: "controllermanager"}}
	c.loop = m.loop("disruption", c.sync)
	list := m.informers.Policy().V1().PodDisruptionBudgets()
	match := func(o metav1.Object) {
		all, err := list.Lister().PodDisruptionBudgets(o.GetNamespace()).List(labels.Everything())
		if err != nil {
			return // of a cache: never
		}
		for _, b := range all {
			if s, err := metav1.LabelSelectorAsSelector(b.Spec.Selector); err == nil && s.Matches(labels.Set(o.GetLabels())) {
				c.loop.add(keyOf(b))
			}
		}
	}
	everyOf := func(o metav1.Object) { // a workload's number of replicas may have changed
		for _, key := range list.Informer().GetStore().ListKeys() {
			if name, err := cache.ParseObjectName(key); err == nil && name.Namespace == o.GetNamespace() {
				c.loop.add(key)
			}
		}
	}
	_, err := m.informers.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { forward(o, match) },
		UpdateFunc: func(was, is any) { forward(was, match); forward(is, match) },
		DeleteFunc: func(o any) { forward(o, match) },
	})
	for _, err := range []error{
		err,
		on(list.Informer(), func(o metav1.Object) { c.loop.add(keyOf(o)) }),
		on(m.informers.Apps().V1().Deployments().Informer(), everyOf),
		on(m.informers.Apps().V1().ReplicaSets().Informer(), everyOf),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *budgets) sync(ctx context.Context, key string) error {
	b, found, err := live(ctx, key, c.client.PolicyV1().PodDisruptionBudgets)
	if !found {
		return err
	}
	selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	if err != nil {
		return fmt.Errorf("selector: %w", err)
	}
	pods, err := c.informers.Core().V1().Pods().Lister().Pods(b.Namespace).List(selector)
	if err != nil {
		return err
	}
	pods = slices.DeleteFunc(pods, ended)
	if len(pods) == 0 {
		c.events.Normal(c.from, b, "NoPods", "No matching pods found")
	}
	before := b.Status.DeepCopy()
	c.status(b, pods)
	if apiequality.Semantic.DeepEqual(*before, b.Status) {
		return nil
	}
	_, err = c.client.PolicyV1().PodDisruptionBudgets(b.Namespace).UpdateStatus(ctx, b, metav1.UpdateOptions{})
	return err
}

// status reckons b's status from the pods that it covers.
func (c *budgets) status(b *policyv1.PodDisruptionBudget, pods []*corev1.Pod) {
	now := c.clock.Now()
	s := policyv1.PodDisruptionBudgetStatus{ObservedGeneration: b.Generation, Conditions: b.Status.Conditions}
	condition := metav1.Condition{Type: policyv1.DisruptionAllowedCondition, ObservedGeneration: b.Generation, LastTransitionTime: metav1.NewTime(now)}
	expected, desired, err := c.expected(b, pods)
	if err != nil {
		c.events.Warning(c.from, b, "CalculateExpectedPodCountFailed", "Failed to calculate the number of expected pods: %v", err)
		s.CurrentHealthy, s.DesiredHealthy, s.ExpectedPods = b.Status.CurrentHealthy, b.Status.DesiredHealthy, b.Status.ExpectedPods
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, policyv1.SyncFailedReason, err.Error()
		s.Conditions = setMetaCondition(s.Conditions, condition)
		b.Status = s
		return
	}
	s.ExpectedPods, s.DesiredHealthy = expected, desired
	for _, p := range pods {
		if at, evicted := b.Status.DisruptedPods[p.Name]; evicted && p.DeletionTimestamp == nil {
			if left := at.Add(disruptionGrace).Sub(now); left > 0 { // its deletion has not been seen yet
				if s.DisruptedPods == nil {
					s.DisruptedPods = map[string]metav1.Time{}
				}
				s.DisruptedPods[p.Name] = at
				c.loop.addAfter(keyOf(b), left)
				continue
			}
		}
		if ready, _ := readiness(p); ready && p.DeletionTimestamp == nil {
			s.CurrentHealthy++
		}
	}
	if s.DisruptionsAllowed = max(0, s.CurrentHealthy-desired); expected <= 0 {
		s.DisruptionsAllowed = 0
	}
	condition.Status, condition.Reason = metav1.ConditionTrue, policyv1.SufficientPodsReason
	if s.DisruptionsAllowed == 0 {
		condition.Status, condition.Reason = metav1.ConditionFalse, policyv1.InsufficientPodsReason
	}
	s.Conditions = setMetaCondition(s.Conditions, condition)
	b.Status = s
}

// expected gives how many pods there should be, and how many of them must be healthy.
func (c *budgets) expected(b *policyv1.PodDisruptionBudget, pods []*corev1.Pod) (expected, desired int32, err error) {
	least := b.Spec.MinAvailable
	switch {
	case b.Spec.MaxUnavailable != nil:
		if expected, err = c.scale(pods); err != nil {
			return 0, 0, err
		}
		n, err := intstr.GetScaledValueFromIntOrPercent(b.Spec.MaxUnavailable, int(expected), true)
		if err != nil {
			return 0, 0, err
		}
		return expected, max(0, expected-int32(n)), nil
	case least == nil:
		return int32(len(pods)), int32(len(pods)), nil
	case least.Type == intstr.Int:
		return int32(len(pods)), least.IntVal, nil
	}
	if expected, err = c.scale(pods); err != nil {
		return 0, 0, err
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(least, int(expected), true)
	return expected, int32(n), err
}

// scale adds up what the workloads of pods want.
func (c *budgets) scale(pods []*corev1.Pod) (n int32, err error) {
	seen := map[types.UID]bool{}
	for _, p := range pods {
		r := metav1.GetControllerOf(p)
		if r == nil || r.Kind != "ReplicaSet" {
			return 0, fmt.Errorf("found no controllers for pod %q", p.Name)
		}
		set, err := c.informers.Apps().V1().ReplicaSets().Lister().ReplicaSets(p.Namespace).Get(r.Name)
		if err != nil {
			return 0, fmt.Errorf("found no controllers for pod %q", p.Name)
		}
		uid, want := set.UID, ptr.Deref(set.Spec.Replicas, 1)
		if o := metav1.GetControllerOf(set); o != nil && o.Kind == "Deployment" {
			d, err := c.informers.Apps().V1().Deployments().Lister().Deployments(p.Namespace).Get(o.Name)
			if err != nil {
				return 0, fmt.Errorf("found no controllers for pod %q", p.Name)
			}
			uid, want = d.UID, ptr.Deref(d.Spec.Replicas, 1)
		}
		if !seen[uid] {
			seen[uid] = true
			n += want
		}
	}
	return n, nil
}

// setMetaCondition replaces a condition; its time moves only with its status.
func setMetaCondition(have []metav1.Condition, x metav1.Condition) []metav1.Condition {
	out := slices.Clone(have)
	for i := range out {
		if out[i].Type == x.Type {
			if out[i].Status == x.Status {
				x.LastTransitionTime = out[i].LastTransitionTime
			}
			out[i] = x
			return out
		}
	}
	return append(out, x)
}
