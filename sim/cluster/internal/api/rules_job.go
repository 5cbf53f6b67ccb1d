package api

import (
	"maps"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func jobRules() rules {
	return rules{
		create:   do(jobCreated),
		validate: on(validJob),
		replace:  on2(jobReplaced),
	}
}

func validJob(j *batchv1.Job) field.ErrorList {
	at, s := field.NewPath("spec"), &j.Spec
	errs := atLeast(at.Child("parallelism"), s.Parallelism, 0, notNegative)
	errs = append(errs, atLeast(at.Child("completions"), s.Completions, 0, notNegative)...)
	errs = append(errs, atLeast(at.Child("activeDeadlineSeconds"), s.ActiveDeadlineSeconds, 0, notNegative)...)
	errs = append(errs, atLeast(at.Child("backoffLimit"), s.BackoffLimit, 0, notNegative)...)
	errs = append(errs, atLeast(at.Child("ttlSecondsAfterFinished"), s.TTLSecondsAfterFinished, 0, notNegative)...)
	if m := s.CompletionMode; m != nil {
		errs = append(errs, supported(at.Child("completionMode"), *m, batchv1.NonIndexedCompletion, batchv1.IndexedCompletion)...)
		if *m == batchv1.IndexedCompletion && s.Completions == nil {
			errs = append(errs, field.Required(at.Child("completions"), "when completion mode is Indexed"))
		}
	}
	errs = append(errs, validTemplate(&s.Template, at.Child("template"))...)
	policy := at.Child("template", "spec", "restartPolicy")
	switch p := s.Template.Spec.RestartPolicy; p {
	case corev1.RestartPolicyAlways, "":
		errs = append(errs, field.Required(policy, `valid values: "OnFailure", "Never"`))
	case corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever:
	default:
		errs = append(errs, supported(policy, p, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)...)
	}
	if s.Selector == nil {
		return append(errs, field.Required(at.Child("selector"), ""))
	}
	errs = append(errs, validSelector(s.Selector, at.Child("selector"))...)
	if sel, err := metav1.LabelSelectorAsSelector(s.Selector); err == nil && !sel.Matches(labels.Set(s.Template.Labels)) {
		errs = append(errs, field.Invalid(at.Child("template", "metadata", "labels"), s.Template.Labels, "`selector` does not match template `labels`"))
	}
	return errs
}

// jobReplaced keeps what a job's pods were made by. A suspended job that never started may still be told where to run.
func jobReplaced(j, old *batchv1.Job) field.ErrorList {
	at := field.NewPath("spec")
	var errs field.ErrorList
	if deref(old.Spec.CompletionMode, batchv1.NonIndexedCompletion) != batchv1.IndexedCompletion {
		errs = append(errs, fixed(at.Child("completions"), j.Spec.Completions, old.Spec.Completions)...)
	}
	errs = append(errs, fixed(at.Child("selector"), j.Spec.Selector, old.Spec.Selector)...)
	now := j.Spec.Template.DeepCopy()
	if deref(old.Spec.Suspend, false) && old.Status.StartTime == nil {
		was := &old.Spec.Template
		now.Annotations, now.Labels = was.Annotations, was.Labels
		now.Spec.NodeSelector, now.Spec.Tolerations, now.Spec.SchedulingGates = was.Spec.NodeSelector, was.Spec.Tolerations, was.Spec.SchedulingGates
		if now.Spec.Affinity != nil && was.Spec.Affinity != nil {
			now.Spec.Affinity.NodeAffinity = was.Spec.Affinity.NodeAffinity
		}
	}
	errs = append(errs, fixed(at.Child("template"), *now, old.Spec.Template)...)
	errs = append(errs, fixed(at.Child("completionMode"), j.Spec.CompletionMode, old.Spec.CompletionMode)...)
	errs = append(errs, fixed(at.Child("podFailurePolicy"), j.Spec.PodFailurePolicy, old.Spec.PodFailurePolicy)...)
	return append(errs, fixed(at.Child("backoffLimitPerIndex"), j.Spec.BackoffLimitPerIndex, old.Spec.BackoffLimitPerIndex)...)
}

// jobCreated gives a job the selector that finds its own pods alone, unless it asks to choose one itself.
func jobCreated(j *batchv1.Job) {
	if j.Spec.ManualSelector != nil && *j.Spec.ManualSelector {
		return
	}
	t := &j.Spec.Template
	if t.Labels == nil {
		t.Labels = map[string]string{}
	}
	uid := string(j.UID)
	for k, v := range map[string]string{"job-name": j.Name, batchv1.JobNameLabel: j.Name, "controller-uid": uid, batchv1.ControllerUidLabel: uid} {
		if _, said := t.Labels[k]; !said {
			t.Labels[k] = v
		}
	}
	fillPtr(&j.Spec.Selector, metav1.LabelSelector{MatchLabels: map[string]string{batchv1.ControllerUidLabel: uid}})
	if len(j.Labels) == 0 { // a job without labels shows those of its pods
		j.Labels = maps.Clone(t.Labels)
	}
}
