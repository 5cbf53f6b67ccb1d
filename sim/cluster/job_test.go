package cluster_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// job makes a Job whose containers run the image of that tag.
func (r *rig) job(tb testing.TB, name, tag string, change ...func(*batchv1.JobSpec)) {
	tb.Helper()
	pod := podSpec(tag)
	pod.RestartPolicy, pod.Containers[0].ReadinessProbe = corev1.RestartPolicyNever, nil
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: pod}}}
	for _, f := range change {
		f(&j.Spec)
	}
	if _, err := r.BatchV1().Jobs("default").Create(tb.Context(), j, metav1.CreateOptions{}); err != nil {
		tb.Fatal(err)
	}
}

func (r *rig) getJob(tb testing.TB, name string) *batchv1.Job {
	tb.Helper()
	j, err := r.BatchV1().Jobs("default").Get(context.WithoutCancel(tb.Context()), name, metav1.GetOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return j
}

// jobIs tells whether a Job has a condition, and gives it as "Reason: Message".
func (r *rig) jobIs(tb testing.TB, name string, t batchv1.JobConditionType) (string, bool) {
	tb.Helper()
	for _, c := range r.getJob(tb, name).Status.Conditions {
		if c.Type == t && c.Status == corev1.ConditionTrue {
			return c.Reason + ": " + c.Message, true
		}
	}
	return "", false
}

func (r *rig) podsOfJob(tb testing.TB, name string) []corev1.Pod {
	tb.Helper()
	list, err := r.CoreV1().Pods("default").List(context.WithoutCancel(tb.Context()), metav1.ListOptions{LabelSelector: "batch.kubernetes.io/job-name=" + name})
	if err != nil {
		tb.Fatal(err)
	}
	return list.Items
}

func TestJobRunsItsPodsToTheirEnd(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.job(t, "work", "once", func(s *batchv1.JobSpec) { s.Completions, s.Parallelism = ptr.To[int32](3), ptr.To[int32](2) })
	r.until(t, "complete", func() bool { _, ok := r.jobIs(t, "work", batchv1.JobComplete); return ok })
	j := r.getJob(t, "work")
	if s := j.Status; s.Succeeded != 3 || s.Failed != 0 || s.Active != 0 || s.StartTime == nil || s.CompletionTime == nil {
		t.Errorf("status = %+v", s)
	}
	if got, _ := r.jobIs(t, "work", batchv1.JobComplete); got != "CompletionsReached: Reached expected number of succeeded pods" {
		t.Errorf("complete: %s", got)
	}
	pods := r.podsOfJob(t, "work")
	if len(pods) != 3 {
		t.Errorf("%d pods", len(pods))
	}
	for _, p := range pods {
		if len(p.Finalizers) > 0 {
			t.Errorf("%s still has %v", p.Name, p.Finalizers)
		}
		r.until(t, "SuccessfulCreate", r.hasEvent(t, "work", "SuccessfulCreate", "Created pod: "+p.Name))
	}
	r.until(t, "Completed", r.hasEvent(t, "work", "Completed", "Job completed"))
	r.told(t, 0, "job complete", map[string]string{"job": "work"})

	if err := r.BatchV1().Jobs("default").Delete(t.Context(), "work", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "pods gone", func() bool { return len(r.podsOfJob(t, "work")) == 0 })
}

func TestFailingJobBacksOffAndGivesUp(t *testing.T) {
	t.Parallel()
	r := open(t, frozen)
	r.job(t, "sad", "crash", func(s *batchv1.JobSpec) { s.BackoffLimit = ptr.To[int32](2) })
	for failures, pause := range []time.Duration{1: 10 * time.Second, 2: 20 * time.Second} {
		if failures == 0 {
			continue
		}
		r.until(t, fmt.Sprint(failures, " failures"), func() bool { return r.getJob(t, "sad").Status.Failed == int32(failures) })
		r.advance(t, pause-2*time.Second)
		if n := len(r.podsOfJob(t, "sad")); n != failures {
			t.Fatalf("%d pods before %s had passed", n, pause)
		}
		r.advance(t, 3*time.Second)
	}
	r.until(t, "failed", func() bool { _, ok := r.jobIs(t, "sad", batchv1.JobFailed); return ok })
	if got, _ := r.jobIs(t, "sad", batchv1.JobFailed); got != "BackoffLimitExceeded: Job has reached the specified backoff limit" {
		t.Errorf("failed: %s", got)
	}
	r.until(t, "BackoffLimitExceeded", r.hasEvent(t, "sad", "BackoffLimitExceeded", "Job has reached the specified backoff limit"))
	if s := r.getJob(t, "sad").Status; s.Failed != 3 || s.Succeeded != 0 || s.Active != 0 || len(r.podsOfJob(t, "sad")) != 3 {
		t.Errorf("status = %+v", s)
	}
}

func TestJobMissesItsDeadlineAndGoesWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	r := open(t, frozen)
	r.job(t, "slow", "v1", func(s *batchv1.JobSpec) {
		s.ActiveDeadlineSeconds, s.TTLSecondsAfterFinished = new(int64(60)), new(int32(100))
	})
	r.until(t, "active", func() bool { s := r.getJob(t, "slow").Status; return s.Active == 1 && *s.Ready == 1 })
	pod := r.podsOfJob(t, "slow")[0].Name
	r.advance(t, 59*time.Second)
	if _, over := r.jobIs(t, "slow", batchv1.JobFailureTarget); over {
		t.Fatal("gave up too early")
	}
	r.advance(t, 2*time.Second)
	r.until(t, "failed", func() bool { _, ok := r.jobIs(t, "slow", batchv1.JobFailed); return ok })
	if got, _ := r.jobIs(t, "slow", batchv1.JobFailed); got != "DeadlineExceeded: Job was active longer than specified deadline" {
		t.Errorf("failed: %s", got)
	}
	r.until(t, "SuccessfulDelete", r.hasEvent(t, "slow", "SuccessfulDelete", "Deleted pod: "+pod))
	r.advance(t, 98*time.Second)
	r.getJob(t, "slow") // is still there
	r.advance(t, 3*time.Second)
	r.until(t, "job and pods gone", func() bool {
		_, err := r.BatchV1().Jobs("default").Get(t.Context(), "slow", metav1.GetOptions{})
		return apierrors.IsNotFound(err) && len(r.podsOfJob(t, "slow")) == 0
	})
}

func TestDeletedPodOfAJobCountsAndIsReplaced(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.job(t, "work", "stubborn", func(s *batchv1.JobSpec) { s.Template.Spec.TerminationGracePeriodSeconds = new(int64(1)) })
	r.until(t, "active", func() bool { return len(r.podsOfJob(t, "work")) == 1 && ready(&r.podsOfJob(t, "work")[0]) })
	first := r.podsOfJob(t, "work")[0].Name
	if err := r.CoreV1().Pods("default").Delete(t.Context(), first, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "replaced", func() bool {
		pods := r.podsOfJob(t, "work")
		return len(pods) == 1 && pods[0].Name != first && r.getJob(t, "work").Status.Failed == 1
	})
}

func TestSuspendedJobWaits(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.job(t, "work", "once", func(s *batchv1.JobSpec) { s.Suspend = new(true) })
	r.until(t, "Suspended", r.hasEvent(t, "work", "Suspended", "Job suspended"))
	if n := len(r.podsOfJob(t, "work")); n != 0 {
		t.Errorf("%d pods of a suspended job", n)
	}
	if _, err := r.BatchV1().Jobs("default").Patch(t.Context(), "work", types.MergePatchType, []byte(`{"spec":{"suspend":false}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "complete", func() bool { _, ok := r.jobIs(t, "work", batchv1.JobComplete); return ok })
	r.until(t, "Resumed", r.hasEvent(t, "work", "Resumed", "Job resumed"))
}

func TestIndexedJobIsRefusedInWords(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.job(t, "work", "once", func(s *batchv1.JobSpec) {
		s.CompletionMode, s.Completions = new(batchv1.IndexedCompletion), ptr.To[int32](2)
	})
	r.until(t, "Unsupported", r.hasEvent(t, "work", "Unsupported", "completion mode Indexed is not supported"))
}

func TestReplicaSetAdoptsAndLetsGoByLabels(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.create(t, deployment("web", "v1", 1, 1, 0))
	r.rolledOut(t, "web")
	name := r.pods(t, "web")[0].Name
	patch := func(patch string) {
		t.Helper()
		if _, err := r.CoreV1().Pods("default").Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	patch(`{"metadata":{"labels":{"app":"aside"}}}`) // as one takes a pod aside to look at it
	r.until(t, "replaced", func() bool { pods := r.pods(t, "web"); return len(pods) == 1 && ready(&pods[0]) })
	r.until(t, "let go", func() bool { pods := r.pods(t, "aside"); return len(pods) == 1 && len(pods[0].OwnerReferences) == 0 })
	patch(`{"metadata":{"labels":{"app":"web"}}}`)
	r.until(t, "adopted, and one of the two deleted", func() bool {
		pods := r.pods(t, "web")
		return len(pods) == 1 && len(pods[0].OwnerReferences) == 1 && strings.HasPrefix(pods[0].OwnerReferences[0].Name, "web-")
	})
}
