package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"github.com/dpesim/dpesim/sim/cluster/internal/record"
)

// jobs runs pods to their end. A pod carries a finalizer until it is booked in the Job's status, so that each counts once
// whatever deletes it and whenever this process ends.
type jobs struct {
	*Manager
	loop *loop
	from record.Source
}

func (m *Manager) addJobs() error {
	c := &jobs{Manager: m, from: record.Source{Component: "job-controller"}}
	c.loop = m.loop("job", c.sync)
	if err := on(m.informers.Batch().V1().Jobs().Informer(), func(o metav1.Object) { c.loop.add(keyOf(o)) }); err != nil {
		return err
	}
	return c.loop.controllers(m.informers.Core().V1().Pods().Informer(), "Job", c.wanted)
}

// wanted has a pod that nobody controls seen by the Jobs whose selector finds it.
func (c *jobs) wanted(pod metav1.Object) {
	all, err := c.informers.Batch().V1().Jobs().Lister().Jobs(pod.GetNamespace()).List(labels.Everything())
	if err != nil {
		return // of a cache: never
	}
	for _, j := range all {
		if finds(j.Spec.Selector, pod) {
			c.loop.add(keyOf(j))
		}
	}
}

func (c *jobs) owner(j *batchv1.Job) owner {
	return owner{object: j, kind: batchv1.SchemeGroupVersion.WithKind("Job"), selector: j.Spec.Selector, template: &j.Spec.Template, from: c.from}
}

func (c *jobs) sync(ctx context.Context, key string) error {
	j, found, err := live(ctx, key, c.client.BatchV1().Jobs)
	if err != nil {
		return err
	}
	if !found {
		j = nil
	}
	if err := c.releaseOrphans(ctx, key, j); err != nil || j == nil {
		return err
	}
	pods, err := c.podsOf(ctx, c.owner(j))
	if err != nil {
		return err
	}
	if j.DeletionTimestamp != nil || finishedAs(j) != "" {
		return c.settle(ctx, j, pods)
	}
	if why := unsupportedJob(j); why != "" {
		c.events.Warning(c.from, j, "Unsupported", "%s", why)
		return nil
	}
	return c.run(ctx, j, pods)
}

// unsupportedJob says what of a Job this controller does not know; "" if nothing.
func unsupportedJob(j *batchv1.Job) string {
	const help = ": remove it, or use the kind or kubeconfig target"
	switch s := &j.Spec; {
	case s.CompletionMode != nil && *s.CompletionMode != batchv1.NonIndexedCompletion:
		return "completion mode Indexed is not supported by this cluster" + help
	case s.PodFailurePolicy != nil:
		return "podFailurePolicy is not supported by this cluster" + help
	case s.SuccessPolicy != nil:
		return "successPolicy is not supported by this cluster" + help
	}
	return ""
}

// run brings an unfinished Job forward by one step, and its status with it.
func (c *jobs) run(ctx context.Context, j *batchv1.Job, pods []*corev1.Pod) error {
	before := j.Status.DeepCopy()
	if err := c.count(ctx, j, pods); err != nil {
		return err
	}
	now := metav1.NewTime(c.clock.Now())
	suspended := ptr.Deref(j.Spec.Suspend, false)
	if j.Status.StartTime == nil && !suspended {
		j.Status.StartTime = &now
	}
	c.suspension(j, suspended, now)
	end := c.ending(j, pods, now)
	live := slices.DeleteFunc(slices.Clone(pods), func(p *corev1.Pod) bool { return !active(p) })
	c.trail.Lock()
	defer c.trail.Unlock()
	live, err := c.manage(ctx, j, pods, live, end != nil || suspended)
	if err != nil {
		return err
	}
	j.Status.Active, j.Status.Ready, j.Status.Terminating = int32(len(live)), new(int32(0)), new(int32(0))
	for _, p := range live {
		if ready, _ := readiness(p); ready {
			*j.Status.Ready++
		}
	}
	for _, p := range pods {
		if p.DeletionTimestamp != nil && !ended(p) {
			*j.Status.Terminating++
		}
	}
	if end != nil {
		c.conclude(j, *end, now)
	}
	if apiequality.Semantic.DeepEqual(*before, j.Status) {
		return nil
	}
	if _, err := c.client.BatchV1().Jobs(j.Namespace).UpdateStatus(ctx, j, metav1.UpdateOptions{}); err != nil {
		return err
	}
	c.tell(ctx, j, pods)
	return nil
}

// suspension notes that a Job was suspended or resumed. A resumed Job's time starts anew.
func (c *jobs) suspension(j *batchv1.Job, suspended bool, now metav1.Time) {
	have := jobCondition(j, batchv1.JobSuspended)
	switch {
	case suspended && (have == nil || have.Status != corev1.ConditionTrue):
		setJobCondition(j, batchv1.JobCondition{Type: batchv1.JobSuspended, Status: corev1.ConditionTrue, Reason: "JobSuspended", Message: "Job suspended"}, now)
		j.Status.StartTime = nil
		c.events.Normal(c.from, j, "Suspended", "Job suspended")
	case !suspended && have != nil && have.Status == corev1.ConditionTrue:
		setJobCondition(j, batchv1.JobCondition{Type: batchv1.JobSuspended, Status: corev1.ConditionFalse, Reason: "JobResumed", Message: "Job resumed"}, now)
		j.Status.StartTime = &now
		c.events.Normal(c.from, j, "Resumed", "Job resumed")
	}
}

// ending gives the condition in which j ends, or nil if it goes on. Source of the words: Kubernetes' job controller.
func (c *jobs) ending(j *batchv1.Job, pods []*corev1.Pod, now metav1.Time) *batchv1.JobCondition {
	fail := func(reason, message string) *batchv1.JobCondition {
		return &batchv1.JobCondition{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: reason, Message: message}
	}
	for _, x := range j.Status.Conditions { // decided by an earlier step: its pods were still going
		switch {
		case x.Status != corev1.ConditionTrue:
		case x.Type == batchv1.JobFailureTarget:
			return fail(x.Reason, x.Message)
		case x.Type == batchv1.JobSuccessCriteriaMet:
			return &batchv1.JobCondition{Type: batchv1.JobComplete, Status: corev1.ConditionTrue, Reason: x.Reason, Message: x.Message}
		}
	}
	if limit := ptr.Deref(j.Spec.BackoffLimit, 6); j.Status.Failed > limit || restartedPast(j, pods, limit) {
		return fail(batchv1.JobReasonBackoffLimitExceeded, "Job has reached the specified backoff limit")
	}
	if d, since := j.Spec.ActiveDeadlineSeconds, j.Status.StartTime; d != nil && since != nil && !ptr.Deref(j.Spec.Suspend, false) {
		left := since.Add(time.Duration(*d) * time.Second).Sub(now.Time)
		if left <= 0 {
			return fail(batchv1.JobReasonDeadlineExceeded, "Job was active longer than specified deadline")
		}
		c.loop.addAfter(keyOf(j), left)
	}
	var done bool
	if j.Spec.Completions != nil {
		done = j.Status.Succeeded >= *j.Spec.Completions
	} else { // a work queue: one success says that all is done, once no pod works any more
		done = j.Status.Succeeded > 0 && !slices.ContainsFunc(pods, active)
	}
	if !done {
		return nil
	}
	return &batchv1.JobCondition{
		Type: batchv1.JobComplete, Status: corev1.ConditionTrue,
		Reason: batchv1.JobReasonCompletionsReached, Message: "Reached expected number of succeeded pods",
	}
}

// restartedPast tells whether containers that restart in their pods have failed too often.
func restartedPast(j *batchv1.Job, pods []*corev1.Pod, limit int32) bool {
	if j.Spec.Template.Spec.RestartPolicy != corev1.RestartPolicyOnFailure {
		return false
	}
	var n int32
	for _, p := range pods {
		if p.Status.Phase == corev1.PodRunning || p.Status.Phase == corev1.PodPending {
			for _, s := range p.Status.ContainerStatuses {
				n += s.RestartCount
			}
		}
	}
	return n > 0 && n >= limit
}

// conclude notes how j ends: at first that it will, and once none of its pods is left, that it has.
func (c *jobs) conclude(j *batchv1.Job, end batchv1.JobCondition, now metav1.Time) {
	aim := end
	aim.Type = batchv1.JobFailureTarget
	if end.Type == batchv1.JobComplete {
		aim.Type = batchv1.JobSuccessCriteriaMet
	}
	setJobCondition(j, aim, now)
	if j.Status.Active > 0 || *j.Status.Terminating > 0 {
		return
	}
	setJobCondition(j, end, now)
	if end.Type == batchv1.JobComplete {
		j.Status.CompletionTime = &now
		c.events.Normal(c.from, j, "Completed", "Job completed")
		return
	}
	c.events.Warning(c.from, j, end.Reason, "%s", end.Message)
}

// tell publishes that j has ended, as an effect of its last pod's end.
func (c *jobs) tell(ctx context.Context, j *batchv1.Job, pods []*corev1.Pod) {
	what := map[batchv1.JobConditionType]string{batchv1.JobComplete: "job complete", batchv1.JobFailed: "job failed"}[finishedAs(j)]
	if what == "" {
		return
	}
	detail := map[string]string{"job": j.Name}
	if f := jobCondition(j, batchv1.JobFailed); f != nil {
		detail["reason"] = f.Message
	}
	c.trail.Tell(ctx, j, c.lastTurn(pods), what, detail)
}

// lastTurn gives the newest event that a pod ceased to be ready by; 0: none.
func (c *jobs) lastTurn(pods []*corev1.Pod) (seq uint64) {
	for _, p := range pods {
		if ended(p) {
			seq = max(seq, c.trail.Of(p.UID).Turned)
		}
	}
	return seq
}

// settle lets the pods of a Job go that has ended or is being deleted, and deletes it when its time is over.
func (c *jobs) settle(ctx context.Context, j *batchv1.Job, pods []*corev1.Pod) error {
	for _, p := range pods {
		if err := c.release(ctx, p); err != nil {
			return err
		}
	}
	ttl := j.Spec.TTLSecondsAfterFinished
	if j.DeletionTimestamp != nil || ttl == nil {
		return nil
	}
	over := jobCondition(j, finishedAs(j)).LastTransitionTime.Add(time.Duration(*ttl) * time.Second)
	if left := over.Sub(c.clock.Now()); left > 0 {
		c.loop.addAfter(keyOf(j), left)
		return nil
	}
	foreground := metav1.DeletePropagationForeground
	err := c.client.BatchV1().Jobs(j.Namespace).Delete(ctx, j.Name, metav1.DeleteOptions{
		PropagationPolicy: &foreground, Preconditions: metav1.NewUIDPreconditions(string(j.UID)),
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete a job whose time is over: %w", err)
	}
	return nil
}

// finishedAs gives the condition in which j has ended; "" if it has not.
func finishedAs(j *batchv1.Job) batchv1.JobConditionType {
	for _, x := range j.Status.Conditions {
		if (x.Type == batchv1.JobComplete || x.Type == batchv1.JobFailed) && x.Status == corev1.ConditionTrue {
			return x.Type
		}
	}
	return ""
}

func jobCondition(j *batchv1.Job, t batchv1.JobConditionType) *batchv1.JobCondition {
	for i := range j.Status.Conditions {
		if j.Status.Conditions[i].Type == t {
			return &j.Status.Conditions[i]
		}
	}
	return nil
}

func setJobCondition(j *batchv1.Job, x batchv1.JobCondition, now metav1.Time) {
	x.LastProbeTime, x.LastTransitionTime = now, now
	have := jobCondition(j, x.Type)
	switch {
	case have == nil:
		j.Status.Conditions = append(j.Status.Conditions, x)
	case have.Status != x.Status:
		*have = x
	}
}
