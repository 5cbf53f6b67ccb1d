package controller

import (
	"cmp"
	"context"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

// A Job's next pod waits after a failure, each time twice as long. Source: Kubernetes' job controller, whose documentation
// says six minutes where the code has ten.
const (
	firstPause = 10 * time.Second
	lastPause  = 10 * time.Minute
)

// count books the pods that have ended since the last step: first their UIDs, then it takes their finalizers off, and
// then they enter the totals of j's status, which the caller writes.
func (c *jobs) count(ctx context.Context, j *batchv1.Job, pods []*corev1.Pod) error {
	booked := batchv1.UncountedTerminatedPods{}
	if j.Status.UncountedTerminatedPods != nil {
		booked = *j.Status.UncountedTerminatedPods.DeepCopy()
	}
	fresh := false
	for _, p := range pods {
		list := &booked.Failed
		switch {
		case !slices.Contains(p.Finalizers, batchv1.JobTrackingFinalizer):
			continue
		case p.Status.Phase == corev1.PodSucceeded:
			list = &booked.Succeeded
		case !failed(j, p):
			continue
		}
		if !slices.Contains(*list, p.UID) {
			*list = append(*list, p.UID)
			fresh = true
		}
	}
	j.Status.UncountedTerminatedPods = &booked
	if fresh {
		next, err := c.client.BatchV1().Jobs(j.Namespace).UpdateStatus(ctx, j, metav1.UpdateOptions{})
		if err != nil {
			return err
		}
		*j = *next
	}
	is := func(p *corev1.Pod) func(types.UID) bool { return func(u types.UID) bool { return u == p.UID } }
	for _, p := range pods {
		if slices.ContainsFunc(booked.Succeeded, is(p)) || slices.ContainsFunc(booked.Failed, is(p)) {
			if err := c.release(ctx, p); err != nil {
				return err
			}
		}
	}
	j.Status.Succeeded += int32(len(booked.Succeeded))
	j.Status.Failed += int32(len(booked.Failed))
	j.Status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{}
	return nil
}

// failed tells whether p counts as a failure of j: a pod that goes before it has succeeded does too.
func failed(j *batchv1.Job, p *corev1.Pod) bool {
	if p.Status.Phase == corev1.PodFailed {
		return true
	}
	if p.DeletionTimestamp == nil {
		return false
	}
	return ptr.Deref(j.Spec.PodReplacementPolicy, batchv1.TerminatingOrFailed) != batchv1.Failed || ptr.Deref(p.DeletionGracePeriodSeconds, 1) == 0
}

// release takes this controller's finalizer off p.
func (c *jobs) release(ctx context.Context, p *corev1.Pod) error {
	if !slices.Contains(p.Finalizers, batchv1.JobTrackingFinalizer) {
		return nil
	}
	_, err := c.patchPod(ctx, p, map[string]any{
		"finalizers": slices.DeleteFunc(slices.Clone(p.Finalizers), func(f string) bool { return f == batchv1.JobTrackingFinalizer }),
	})
	return err
}

// releaseOrphans takes the finalizer off the pods of an earlier Job of that name: nobody will count them.
func (c *jobs) releaseOrphans(ctx context.Context, key string, now *batchv1.Job) error {
	name, err := cache.ParseObjectName(key)
	if err != nil {
		return err
	}
	seen, err := c.informers.Core().V1().Pods().Lister().Pods(name.Namespace).List(labels.Everything())
	if err != nil {
		return err
	}
	for _, p := range seen {
		r := metav1.GetControllerOf(p)
		if r == nil || r.Kind != "Job" || r.Name != name.Name || now != nil && r.UID == now.UID {
			continue
		}
		if err := c.release(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// manage makes the pods that j lacks or deletes those that it does not need, and gives the active ones as they then are.
// The trail must be locked.
func (c *jobs) manage(ctx context.Context, j *batchv1.Job, all, live []*corev1.Pod, stop bool) ([]*corev1.Pod, error) {
	o, cause := c.owner(j), cmp.Or(c.lastTurn(all), c.trail.Acts.Change(j.UID, j.Generation))
	n := int(ptr.Deref(j.Spec.Parallelism, 1))
	switch {
	case stop:
		n = 0
	case j.Spec.Completions != nil:
		n = min(n, int(max(0, *j.Spec.Completions-j.Status.Succeeded)))
	case j.Status.Succeeded > 0: // a work queue that is being closed
		n = min(n, len(live))
	}
	if len(live) > n {
		slices.SortStableFunc(live, newFirstToGo(nil))
	}
	for len(live) > n {
		if err := c.dropPod(ctx, o, live[0], cause); err != nil {
			return live, err
		}
		live[0].DeletionTimestamp = &metav1.Time{Time: c.clock.Now()} // among all too: it is terminating
		live = live[1:]
	}
	if len(live) == n {
		return live, nil
	}
	if left := c.pause(all); left > 0 {
		c.loop.addAfter(keyOf(j), left)
		return live, nil
	}
	if ptr.Deref(j.Spec.PodReplacementPolicy, batchv1.TerminatingOrFailed) == batchv1.Failed {
		for _, p := range all {
			if p.DeletionTimestamp != nil && !ended(p) {
				n-- // its place is free once it has failed
			}
		}
	}
	for len(live) < n {
		p, err := c.makePod(ctx, o, cause, map[string]string{"job": j.Name}, batchv1.JobTrackingFinalizer)
		if err != nil {
			return live, err
		}
		live = append(live, p)
	}
	return live, nil
}

// pause gives how long the next pod has to wait for the failures since the last success.
func (c *jobs) pause(pods []*corev1.Pod) time.Duration {
	var success, failure time.Time
	for _, p := range pods {
		if at := finishedAt(p); p.Status.Phase == corev1.PodSucceeded && at.After(success) {
			success = at
		}
	}
	failures := 0
	for _, p := range pods {
		if at := finishedAt(p); p.Status.Phase == corev1.PodFailed && at.After(success) {
			failures++
			if at.After(failure) {
				failure = at
			}
		}
	}
	if failures == 0 {
		return 0
	}
	d := lastPause
	if failures < 10 {
		d = min(lastPause, firstPause<<(failures-1))
	}
	return failure.Add(d).Sub(c.clock.Now())
}

// finishedAt gives when the last container of p ended.
func finishedAt(p *corev1.Pod) (at time.Time) {
	for _, s := range p.Status.ContainerStatuses {
		if t := s.State.Terminated; t != nil && t.FinishedAt.After(at) {
			at = t.FinishedAt.Time
		}
	}
	if at.IsZero() {
		return p.CreationTimestamp.Time
	}
	return at
}
