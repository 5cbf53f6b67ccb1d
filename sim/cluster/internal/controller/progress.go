package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// Reasons of the Progressing condition, as kubectl and Helm's waiter read them.
const (
	reasonMade      = "NewReplicaSetCreated"
	reasonUpdated   = "ReplicaSetUpdated"
	reasonAvailable = "NewReplicaSetAvailable"
	reasonTimedOut  = "ProgressDeadlineExceeded"
	reasonPaused    = "DeploymentPaused"
	reasonResumed   = "DeploymentResumed"
)

// report writes the Deployment's status if it changed, and comes back when its progress deadline passes.
func (c *deployments) report(ctx context.Context, r *rollout) error {
	s := statusOf(r)
	now := metav1.NewTime(c.clock.Now())
	n := ptr.Deref(r.d.Spec.Replicas, 1)

	available := appsv1.DeploymentCondition{
		Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue, Reason: "MinimumReplicasAvailable", Message: "Deployment has minimum availability.",
	}
	b := bounds{unavailable: 0}
	if r.d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		b = boundsOf(r.d.Spec.Strategy.RollingUpdate, n)
	}
	if s.AvailableReplicas < n-b.unavailable {
		available.Status, available.Reason, available.Message = corev1.ConditionFalse, "MinimumReplicasUnavailable", "Deployment does not have minimum availability."
	}
	s.Conditions = setCondition(r.d.Status.Conditions, available, now)
	if p := c.progress(r, &s, now); p != nil {
		s.Conditions = setCondition(s.Conditions, *p, now)
	}
	s.Conditions = c.replicaFailure(r, s.Conditions, now)
	if apiequality.Semantic.DeepEqual(s, r.d.Status) {
		return nil
	}
	done := Complete(r.d, &s) && !Complete(r.d, &r.d.Status)
	r.d.Status = s
	if _, err := c.client.AppsV1().Deployments(r.d.Namespace).UpdateStatus(ctx, r.d, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if done {
		c.trail.Lock()
		defer c.trail.Unlock()
		c.trail.Tell(ctx, r.d, r.cause, "deployment complete", map[string]string{"deployment": r.d.Name, "revision": r.d.Annotations[revisionKey]})
	}
	return nil
}

// statusOf counts replicas. Conditions are left out.
func statusOf(r *rollout) appsv1.DeploymentStatus {
	s := appsv1.DeploymentStatus{ObservedGeneration: r.d.Generation, CollisionCount: r.d.Status.CollisionCount}
	for _, x := range r.all() {
		s.Replicas += x.Status.Replicas
		s.ReadyReplicas += x.Status.ReadyReplicas
		s.AvailableReplicas += x.Status.AvailableReplicas
	}
	if r.next != nil {
		s.UpdatedReplicas = r.next.Status.Replicas
	}
	s.UnavailableReplicas = max(0, wanted(r.all())-s.AvailableReplicas)
	return s
}

// Complete tells whether every replica is of the present template and available, as s has it.
func Complete(d *appsv1.Deployment, s *appsv1.DeploymentStatus) bool {
	n := ptr.Deref(d.Spec.Replicas, 1)
	return s.UpdatedReplicas == n && s.Replicas == n && s.AvailableReplicas == n && s.ObservedGeneration >= d.Generation
}

// progress gives the Progressing condition; nil where the one there is still right.
func (c *deployments) progress(r *rollout, s *appsv1.DeploymentStatus, now metav1.Time) *appsv1.DeploymentCondition {
	const endless = 1<<31 - 1 // Kubernetes' way to say: no deadline
	seconds := ptr.Deref(r.d.Spec.ProgressDeadlineSeconds, 600)
	if seconds == endless {
		return nil
	}
	have := condition(r.d.Status.Conditions, appsv1.DeploymentProgressing)
	p := &appsv1.DeploymentCondition{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue}
	was := &r.d.Status
	switch {
	case r.d.Spec.Paused:
		p.Status, p.Reason, p.Message = corev1.ConditionUnknown, reasonPaused, "Deployment is paused"
		return p
	case Complete(r.d, s):
		if have != nil && have.Reason == reasonAvailable && r.made == "" {
			return nil
		}
		p.Reason, p.Message = reasonAvailable, fmt.Sprintf("ReplicaSet %q has successfully progressed.", r.next.Name)
		return p
	case r.made != "":
		p.Reason, p.Message = reasonMade, fmt.Sprintf("Created new replica set %q", r.made)
		p.LastUpdateTime = now
	case have != nil && have.Reason == reasonPaused:
		p.Status, p.Reason, p.Message = corev1.ConditionUnknown, reasonResumed, "Deployment is resumed"
	case have == nil, have.Reason == reasonAvailable && s.UpdatedReplicas != was.UpdatedReplicas, s.UpdatedReplicas > was.UpdatedReplicas,
		s.ReadyReplicas > was.ReadyReplicas, s.AvailableReplicas > was.AvailableReplicas,
		s.Replicas-s.UpdatedReplicas < was.Replicas-was.UpdatedReplicas:
		p.Reason, p.Message = reasonUpdated, fmt.Sprintf("ReplicaSet %q is progressing.", nameOf(r))
		p.LastUpdateTime = now
	case have.Reason == reasonAvailable, have.Reason == reasonTimedOut:
		return nil // it was complete once: what fails since is no matter of the rollout
	default:
		deadline := have.LastUpdateTime.Add(time.Duration(seconds) * time.Second)
		if left := deadline.Sub(now.Time); left > 0 {
			c.loop.addAfter(keyOf(r.d), left)
			return nil
		}
		p.Status, p.Reason, p.Message = corev1.ConditionFalse, reasonTimedOut, fmt.Sprintf("ReplicaSet %q has timed out progressing.", nameOf(r))
		return p
	}
	c.loop.addAfter(keyOf(r.d), time.Duration(seconds)*time.Second)
	return p
}

func nameOf(r *rollout) string {
	if r.next != nil {
		return r.next.Name
	}
	return r.d.Name
}

// replicaFailure passes on that a set cannot make its pods.
func (c *deployments) replicaFailure(r *rollout, have []appsv1.DeploymentCondition, now metav1.Time) []appsv1.DeploymentCondition {
	for _, s := range r.all() {
		for _, x := range s.Status.Conditions {
			if x.Type == appsv1.ReplicaSetReplicaFailure && x.Status == corev1.ConditionTrue {
				return setCondition(have, appsv1.DeploymentCondition{
					Type: appsv1.DeploymentReplicaFailure, Status: x.Status, Reason: x.Reason, Message: x.Message,
				}, now)
			}
		}
	}
	var out []appsv1.DeploymentCondition
	for _, x := range have {
		if x.Type != appsv1.DeploymentReplicaFailure {
			out = append(out, x)
		}
	}
	return out
}

func condition(have []appsv1.DeploymentCondition, t appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range have {
		if have[i].Type == t {
			return &have[i]
		}
	}
	return nil
}

// setCondition replaces a condition. Its times move only if it says something new, or c brings a time of its own.
func setCondition(have []appsv1.DeploymentCondition, c appsv1.DeploymentCondition, now metav1.Time) []appsv1.DeploymentCondition {
	fresh := !c.LastUpdateTime.IsZero()
	c.LastUpdateTime, c.LastTransitionTime = now, now
	out := slices.Clone(have)
	for i, h := range out {
		if h.Type != c.Type {
			continue
		}
		if h.Status == c.Status {
			c.LastTransitionTime = h.LastTransitionTime
		}
		if h.Status != c.Status || h.Reason != c.Reason || h.Message != c.Message || fresh {
			out[i] = c
		}
		return out
	}
	return append(out, c)
}
