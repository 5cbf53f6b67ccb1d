package api

import (
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	errs := atLeast(at.Child("replicas"), d.Spec.Replicas, 0, notNegative)
	errs = append(errs, validWorkload(d.Spec.Selector, &d.Spec.Template, "deployment", at)...)
	errs = append(errs, validStrategy(&d.Spec.Strategy, at.Child("strategy"))...)
	errs = append(errs, atLeast(at.Child("minReadySeconds"), &d.Spec.MinReadySeconds, 0, notNegative)...)
	errs = append(errs, atLeast(at.Child("revisionHistoryLimit"), d.Spec.RevisionHistoryLimit, 0, notNegative)...)
	errs = append(errs, atLeast(at.Child("progressDeadlineSeconds"), d.Spec.ProgressDeadlineSeconds, 0, notNegative)...)
	return append(errs, atLeast(at.Child("progressDeadlineSeconds"), d.Spec.ProgressDeadlineSeconds, d.Spec.MinReadySeconds+1, "must be greater than minReadySeconds")...)
}

func validStrategy(s *appsv1.DeploymentStrategy, at *field.Path) field.ErrorList {
	switch s.Type {
	case appsv1.RecreateDeploymentStrategyType:
		if s.RollingUpdate != nil {
			return field.ErrorList{field.Forbidden(at.Child("rollingUpdate"), "may not be specified when strategy `type` is 'Recreate'")}
		}
		return nil
	case appsv1.RollingUpdateDeploymentStrategyType:
	default:
		return field.ErrorList{field.NotSupported(at, s, []appsv1.DeploymentStrategyType{appsv1.RecreateDeploymentStrategyType, appsv1.RollingUpdateDeploymentStrategyType})}
	}
	if s.RollingUpdate == nil { // its defaults are filled in
		return field.ErrorList{field.Required(at.Child("rollingUpdate"), "this should be defaulted and never be nil")}
	}
	at = at.Child("rollingUpdate")
	down, up := s.RollingUpdate.MaxUnavailable, s.RollingUpdate.MaxSurge
	errs := countOrPercent(down, at.Child("maxUnavailable"))
	errs = append(errs, countOrPercent(up, at.Child("maxSurge"))...)
	if down != nil && up != nil && isZero(*down) && isZero(*up) {
		errs = append(errs, field.Invalid(at.Child("maxUnavailable"), down, "may not be 0 when `maxSurge` is 0"))
	}
	return append(errs, notAboveAll(down, at.Child("maxUnavailable"))...)
}

// notAboveAll checks that a percentage is not more than everything.
func notAboveAll(v *intstr.IntOrString, at *field.Path) field.ErrorList {
	if v == nil || v.Type != intstr.String || len(validation.IsValidPercent(v.StrVal)) > 0 {
		return nil
	}
	if n, err := strconv.Atoi(strings.TrimSuffix(v.StrVal, "%")); err == nil && n <= 100 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, v, "must not be greater than 100%")}
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
		errs = append(errs, field.Invalid(at, int64(v.IntVal), notNegative))
	case v.Type == intstr.String:
		errs = append(errs, invalid(at, v, validation.IsValidPercent(v.StrVal))...)
	}
	return errs
}

func replicaSetRules() rules {
	return rules{
		validate: on(func(r *appsv1.ReplicaSet) field.ErrorList {
			at := field.NewPath("spec")
			errs := atLeast(at.Child("replicas"), r.Spec.Replicas, 0, notNegative)
			errs = append(errs, atLeast(at.Child("minReadySeconds"), &r.Spec.MinReadySeconds, 0, notNegative)...)
			return append(errs, validWorkload(r.Spec.Selector, &r.Spec.Template, "replicaset", at)...)
		}),
		replace: on2(func(r, old *appsv1.ReplicaSet) field.ErrorList {
			return fixed(field.NewPath("spec", "selector"), r.Spec.Selector, old.Spec.Selector)
		}),
	}
}

// validWorkload checks a selector, and a template of pods that run for ever.
func validWorkload(selector *metav1.LabelSelector, t *corev1.PodTemplateSpec, kind string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if selector == nil {
		errs = append(errs, field.Required(at.Child("selector"), ""))
	} else {
		errs = append(errs, validSelector(selector, at.Child("selector"))...)
		if len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 {
			errs = append(errs, field.Invalid(at.Child("selector"), selector, "empty selector is invalid for "+kind))
		}
	}
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return append(errs, field.Invalid(at.Child("selector"), selector, "invalid label selector"))
	}
	if !s.Empty() && !s.Matches(labels.Set(t.Labels)) {
		errs = append(errs, field.Invalid(at.Child("template", "metadata", "labels"), t.Labels, "`selector` does not match template `labels`"))
	}
	errs = append(errs, validTemplate(t, at.Child("template"))...)
	errs = append(errs, supported(at.Child("template", "spec", "restartPolicy"), t.Spec.RestartPolicy, corev1.RestartPolicyAlways)...)
	if t.Spec.ActiveDeadlineSeconds != nil {
		errs = append(errs, field.Forbidden(at.Child("template", "spec", "activeDeadlineSeconds"), "activeDeadlineSeconds in ReplicaSet is not Supported"))
	}
	return errs
}

func validTemplate(t *corev1.PodTemplateSpec, at *field.Path) field.ErrorList {
	errs := validLabels(t.Labels, at.Child("labels"))
	errs = append(errs, apivalidation.ValidateAnnotations(t.Annotations, at.Child("annotations"))...)
	return append(errs, validPodSpec(&t.Spec, at.Child("spec"))...)
}
