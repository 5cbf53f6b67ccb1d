package api

import (
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func deploymentRules() rules {
	return rules{
		validate: on(validDeployment),
		replace: on2(func(d, old *appsv1.Deployment) field.ErrorList {
			return fixed(field.NewPath("spec", "selector"), d.Spec.Selector, old.Spec.Selector)
		}),
	}
}

func validDeployment(d *appsv1.Deployment) field.ErrorList {
	at := field.NewPath("spec")
	errs := validWorkload(d.Spec.Selector, &d.Spec.Template, "deployment", at)
	errs = append(errs, atLeast(at.Child("replicas"), d.Spec.Replicas, 0, notNegative)...)
	errs = append(errs, atLeast(at.Child("minReadySeconds"), &d.Spec.MinReadySeconds, 0, notNegative)...)
	errs = append(errs, atLeast(at.Child("revisionHistoryLimit"), d.Spec.RevisionHistoryLimit, 0, notNegative)...)
	errs = append(errs, atLeast(at.Child("progressDeadlineSeconds"), d.Spec.ProgressDeadlineSeconds, d.Spec.MinReadySeconds+1, "must be greater than minReadySeconds")...)
	return append(errs, validStrategy(&d.Spec.Strategy, at.Child("strategy"))...)
}

func validStrategy(s *appsv1.DeploymentStrategy, at *field.Path) field.ErrorList {
	errs := oneOf(at.Child("type"), s.Type, appsv1.RecreateDeploymentStrategyType, appsv1.RollingUpdateDeploymentStrategyType)
	switch {
	case s.Type == appsv1.RecreateDeploymentStrategyType && s.RollingUpdate != nil:
		return append(errs, field.Forbidden(at.Child("rollingUpdate"), "may not be specified when strategy `type` is '"+string(s.Type)+"'"))
	case s.RollingUpdate == nil:
		return errs
	}
	at = at.Child("rollingUpdate")
	down, up := s.RollingUpdate.MaxUnavailable, s.RollingUpdate.MaxSurge
	errs = append(errs, countOrPercent(down, at.Child("maxUnavailable"))...)
	errs = append(errs, countOrPercent(up, at.Child("maxSurge"))...)
	if down != nil && up != nil && isZero(*down) && isZero(*up) {
		errs = append(errs, field.Invalid(at.Child("maxUnavailable"), down, "may not be 0 when `maxSurge` is 0"))
	}
	return errs
}

func isZero(v intstr.IntOrString) bool {
	return v.Type == intstr.Int && v.IntVal == 0 || v.Type == intstr.String && v.StrVal == "0%"
}

// countOrPercent checks a number of pods that may be given as "25%".
func countOrPercent(v *intstr.IntOrString, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case v == nil:
	case v.Type == intstr.Int && v.IntVal < 0:
		errs = append(errs, field.Invalid(at, v.IntVal, notNegative))
	case v.Type == intstr.String:
		for _, msg := range validation.IsValidPercent(v.StrVal) {
			errs = append(errs, field.Invalid(at, v, msg))
		}
	}
	return errs
}

func replicaSetRules() rules {
	return rules{
		validate: on(func(r *appsv1.ReplicaSet) field.ErrorList {
			at := field.NewPath("spec")
			errs := validWorkload(r.Spec.Selector, &r.Spec.Template, "replicaset", at)
			errs = append(errs, atLeast(at.Child("replicas"), r.Spec.Replicas, 0, notNegative)...)
			return append(errs, atLeast(at.Child("minReadySeconds"), &r.Spec.MinReadySeconds, 0, notNegative)...)
		}),
		replace: on2(func(r, old *appsv1.ReplicaSet) field.ErrorList {
			return fixed(field.NewPath("spec", "selector"), r.Spec.Selector, old.Spec.Selector)
		}),
	}
}

// validWorkload checks a selector, and a template of pods that run for ever.
func validWorkload(selector *metav1.LabelSelector, t *corev1.PodTemplateSpec, kind string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case selector == nil:
		errs = append(errs, field.Required(at.Child("selector"), ""))
	case len(selector.MatchLabels)+len(selector.MatchExpressions) == 0:
		errs = append(errs, field.Invalid(at.Child("selector"), selector, "empty selector is invalid for "+kind))
	default:
		errs = append(errs, metav1validation.ValidateLabelSelector(selector, metav1validation.LabelSelectorValidationOptions{}, at.Child("selector"))...)
		s, err := metav1.LabelSelectorAsSelector(selector)
		if err == nil && !s.Matches(labels.Set(t.Labels)) {
			errs = append(errs, field.Invalid(at.Child("template", "metadata", "labels"), t.Labels, "`selector` does not match template `labels`"))
		}
	}
	errs = append(errs, validTemplate(t, at.Child("template"))...)
	if p := t.Spec.RestartPolicy; p == corev1.RestartPolicyNever || p == corev1.RestartPolicyOnFailure {
		errs = append(errs, oneOf(at.Child("template", "spec", "restartPolicy"), p, corev1.RestartPolicyAlways)...)
	}
	return errs
}

func validTemplate(t *corev1.PodTemplateSpec, at *field.Path) field.ErrorList {
	errs := validLabels(t.Labels, at.Child("labels"))
	errs = append(errs, apivalidation.ValidateAnnotations(t.Annotations, at.Child("annotations"))...)
	return append(errs, validPodSpec(&t.Spec, at.Child("spec"))...)
}

func jobRules() rules {
	return rules{
		create: do(jobCreated),
		validate: on(func(j *batchv1.Job) field.ErrorList {
			at := field.NewPath("spec")
			errs := atLeast(at.Child("parallelism"), j.Spec.Parallelism, 0, notNegative)
			errs = append(errs, atLeast(at.Child("completions"), j.Spec.Completions, 0, notNegative)...)
			errs = append(errs, atLeast(at.Child("backoffLimit"), j.Spec.BackoffLimit, 0, notNegative)...)
			errs = append(errs, atLeast(at.Child("activeDeadlineSeconds"), j.Spec.ActiveDeadlineSeconds, 0, notNegative)...)
			errs = append(errs, atLeast(at.Child("ttlSecondsAfterFinished"), j.Spec.TTLSecondsAfterFinished, 0, notNegative)...)
			errs = append(errs, validTemplate(&j.Spec.Template, at.Child("template"))...)
			if j.Spec.Template.Spec.RestartPolicy == corev1.RestartPolicyAlways {
				errs = append(errs, field.Required(at.Child("template", "spec", "restartPolicy"), `valid values: "OnFailure", "Never"`))
			}
			return errs
		}),
		replace: on2(func(j, old *batchv1.Job) field.ErrorList {
			at := field.NewPath("spec")
			errs := fixed(at.Child("selector"), j.Spec.Selector, old.Spec.Selector)
			errs = append(errs, fixed(at.Child("completions"), j.Spec.Completions, old.Spec.Completions)...)
			errs = append(errs, fixed(at.Child("completionMode"), j.Spec.CompletionMode, old.Spec.CompletionMode)...)
			if len(fixed(at, j.Spec.Template, old.Spec.Template)) > 0 {
				errs = append(errs, field.Invalid(at.Child("template"), "", immutable)) // the template itself would fill a page
			}
			return errs
		}),
	}
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
}

func budgetRules() rules {
	return rules{validate: on(func(b *policyv1.PodDisruptionBudget) field.ErrorList {
		at := field.NewPath("spec")
		var errs field.ErrorList
		if b.Spec.MinAvailable != nil && b.Spec.MaxUnavailable != nil {
			errs = append(errs, field.Invalid(at, b.Spec, "minAvailable and maxUnavailable cannot be both set"))
		}
		errs = append(errs, countOrPercent(b.Spec.MinAvailable, at.Child("minAvailable"))...)
		errs = append(errs, countOrPercent(b.Spec.MaxUnavailable, at.Child("maxUnavailable"))...)
		return append(errs, metav1validation.ValidateLabelSelector(b.Spec.Selector, metav1validation.LabelSelectorValidationOptions{}, at.Child("selector"))...)
	})}
}

func scalerRules() rules {
	return rules{validate: on(func(h *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
		at := field.NewPath("spec")
		errs := atLeast(at.Child("minReplicas"), h.Spec.MinReplicas, 1, "must be greater than or equal to 1")
		if h.Spec.MaxReplicas < 1 {
			errs = append(errs, field.Invalid(at.Child("maxReplicas"), h.Spec.MaxReplicas, "must be greater than 0"))
		}
		if h.Spec.MinReplicas != nil && h.Spec.MaxReplicas < *h.Spec.MinReplicas {
			errs = append(errs, field.Invalid(at.Child("maxReplicas"), h.Spec.MaxReplicas, "must be greater than or equal to `minReplicas`"))
		}
		if h.Spec.ScaleTargetRef.Kind == "" {
			errs = append(errs, field.Required(at.Child("scaleTargetRef", "kind"), ""))
		}
		if h.Spec.ScaleTargetRef.Name == "" {
			errs = append(errs, field.Required(at.Child("scaleTargetRef", "name"), ""))
		}
		return errs
	})}
}
