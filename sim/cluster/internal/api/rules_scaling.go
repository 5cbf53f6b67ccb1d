package api

import (
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func budgetRules() rules {
	return rules{validate: on(func(b *policyv1.PodDisruptionBudget) field.ErrorList {
		at := field.NewPath("spec")
		var errs field.ErrorList
		if b.Spec.MinAvailable != nil && b.Spec.MaxUnavailable != nil {
			errs = append(errs, field.Invalid(at, b.Spec, "minAvailable and maxUnavailable cannot be both set"))
		}
		errs = append(errs, countOrPercent(b.Spec.MinAvailable, at.Child("minAvailable"))...)
		errs = append(errs, notAboveAll(b.Spec.MinAvailable, at.Child("minAvailable"))...)
		errs = append(errs, countOrPercent(b.Spec.MaxUnavailable, at.Child("maxUnavailable"))...)
		errs = append(errs, notAboveAll(b.Spec.MaxUnavailable, at.Child("maxUnavailable"))...)
		errs = append(errs, validSelector(b.Spec.Selector, at.Child("selector"))...)
		if p := b.Spec.UnhealthyPodEvictionPolicy; p != nil {
			errs = append(errs, supported(at.Child("unhealthyPodEvictionPolicy"), *p, policyv1.AlwaysAllow, policyv1.IfHealthyBudget)...)
		}
		return errs
	})}
}

func scalerRules() rules {
	return rules{validate: on(func(h *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
		at, s := field.NewPath("spec"), &h.Spec
		errs := atLeast(at.Child("minReplicas"), s.MinReplicas, 1, "must be greater than or equal to 1")
		switch most := at.Child("maxReplicas"); {
		case s.MaxReplicas == 0:
			errs = append(errs, field.Required(most, "must be set and greater than 0"))
		case s.MaxReplicas < 0:
			errs = append(errs, field.Invalid(most, s.MaxReplicas, "must be greater than or equal to 1"))
		}
		if s.MinReplicas != nil && s.MaxReplicas < *s.MinReplicas {
			errs = append(errs, field.Invalid(at.Child("maxReplicas"), s.MaxReplicas, "must be greater than or equal to `minReplicas`"))
		}
		errs = append(errs, validTarget(s.ScaleTargetRef, at.Child("scaleTargetRef"))...)
		for i, m := range s.Metrics {
			errs = append(errs, validMetric(m, at.Child("metrics").Index(i))...)
		}
		if b := s.Behavior; b != nil {
			errs = append(errs, validScaling(b.ScaleUp, at.Child("behavior", "scaleUp"))...)
			errs = append(errs, validScaling(b.ScaleDown, at.Child("behavior", "scaleDown"))...)
		}
		return errs
	})}
}

func validTarget(r autoscalingv2.CrossVersionObjectReference, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, f := range []struct{ name, value string }{{"kind", r.Kind}, {"name", r.Name}} {
		if f.value == "" {
			errs = append(errs, field.Required(at.Child(f.name), ""))
			continue
		}
		errs = append(errs, invalid(at.Child(f.name), f.value, content.IsPathSegmentName(f.value))...)
	}
	switch gv, err := schema.ParseGroupVersion(r.APIVersion); {
	case err != nil:
		errs = append(errs, field.Invalid(at.Child("apiVersion"), r.APIVersion, err.Error()))
	case gv.Group == "" && r.Kind != "ReplicationController":
		errs = append(errs, field.Invalid(at.Child("apiVersion"), r.APIVersion, "apiVersion must specify API group"))
	}
	return errs
}

func validMetric(m autoscalingv2.MetricSpec, at *field.Path) field.ErrorList {
	sources := map[autoscalingv2.MetricSourceType]struct {
		name string
		set  bool
	}{
		autoscalingv2.ContainerResourceMetricSourceType: {"containerResource", m.ContainerResource != nil},
		autoscalingv2.ExternalMetricSourceType:          {"external", m.External != nil},
		autoscalingv2.ObjectMetricSourceType:            {"object", m.Object != nil},
		autoscalingv2.PodsMetricSourceType:              {"pods", m.Pods != nil},
		autoscalingv2.ResourceMetricSourceType:          {"resource", m.Resource != nil},
	}
	s, known := sources[m.Type]
	if !known {
		var errs field.ErrorList
		if m.Type == "" {
			errs = append(errs, field.Required(at.Child("type"), "must specify a metric source type"))
		}
		return append(errs, supported(at.Child("type"), m.Type, autoscalingv2.ContainerResourceMetricSourceType, autoscalingv2.ExternalMetricSourceType,
			autoscalingv2.ObjectMetricSourceType, autoscalingv2.PodsMetricSourceType, autoscalingv2.ResourceMetricSourceType)...)
	}
	if !s.set {
		return field.ErrorList{field.Required(at.Child(s.name), "must populate information for the given metric source")}
	}
	if r := m.Resource; r != nil {
		at := at.Child("resource")
		if r.Name == "" {
			return field.ErrorList{field.Required(at.Child("name"), "must specify a resource name")}
		}
		if t := r.Target; t.AverageUtilization == nil && t.AverageValue == nil {
			return field.ErrorList{field.Required(at.Child("target", "averageUtilization"), "must set either a target raw value or a target utilization")}
		}
		if u := r.Target.AverageUtilization; u != nil && *u < 1 {
			return field.ErrorList{field.Invalid(at.Child("target", "averageUtilization"), *u, "must be greater than 0")}
		}
	}
	return nil
}

// The most that a scaling policy may look back, in seconds.
// Source: the API reference of autoscaling/v2, HPAScalingRules and HPAScalingPolicy.
const maxWindow, maxPeriod = 3600, 1800

func validScaling(r *autoscalingv2.HPAScalingRules, at *field.Path) field.ErrorList {
	if r == nil {
		return nil
	}
	var errs field.ErrorList
	if w := r.StabilizationWindowSeconds; w != nil {
		switch {
		case *w < 0:
			errs = append(errs, field.Invalid(at.Child("stabilizationWindowSeconds"), w, "must be greater than or equal to zero"))
		case *w > maxWindow:
			errs = append(errs, field.Invalid(at.Child("stabilizationWindowSeconds"), w, fmt.Sprintf("must be less than or equal to %v", maxWindow)))
		}
	}
	if p := r.SelectPolicy; p != nil {
		errs = append(errs, supported(at.Child("selectPolicy"), *p, autoscalingv2.DisabledPolicySelect, autoscalingv2.MaxChangePolicySelect, autoscalingv2.MinChangePolicySelect)...)
	}
	if len(r.Policies) == 0 {
		errs = append(errs, field.Required(at.Child("policies"), "must specify at least one Policy"))
	}
	for i, p := range r.Policies {
		at := at.Child("policies").Index(i)
		errs = append(errs, supported(at.Child("type"), p.Type, autoscalingv2.PercentScalingPolicy, autoscalingv2.PodsScalingPolicy)...)
		if p.Value <= 0 {
			errs = append(errs, field.Invalid(at.Child("value"), p.Value, positive))
		}
		switch {
		case p.PeriodSeconds <= 0:
			errs = append(errs, field.Invalid(at.Child("periodSeconds"), p.PeriodSeconds, positive))
		case p.PeriodSeconds > maxPeriod:
			errs = append(errs, field.Invalid(at.Child("periodSeconds"), p.PeriodSeconds, fmt.Sprintf("must be less than or equal to %v", maxPeriod)))
		}
	}
	return errs
}

// scalerDefaults fills in what a scaler measures and, where it says anything about it, how fast it scales.
// Source: the API reference of autoscaling/v2, HorizontalPodAutoscalerSpec and HPAScalingRules.
func scalerDefaults(h *autoscalingv2.HorizontalPodAutoscaler) {
	fillPtr(&h.Spec.MinReplicas, 1)
	if len(h.Spec.Metrics) == 0 {
		target := int32(80)
		h.Spec.Metrics = []autoscalingv2.MetricSpec{{
			Type: autoscalingv2.ResourceMetricSourceType,
			Resource: &autoscalingv2.ResourceMetricSource{
				Name:   corev1.ResourceCPU,
				Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &target},
			},
		}}
	}
	b := h.Spec.Behavior
	if b == nil {
		return
	}
	all := autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15}
	some := autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PodsScalingPolicy, Value: 4, PeriodSeconds: 15}
	fillPtr(&b.ScaleUp, autoscalingv2.HPAScalingRules{})
	fillPtr(&b.ScaleDown, autoscalingv2.HPAScalingRules{})
	fillPtr(&b.ScaleUp.StabilizationWindowSeconds, 0)
	for r, policies := range map[*autoscalingv2.HPAScalingRules][]autoscalingv2.HPAScalingPolicy{b.ScaleUp: {some, all}, b.ScaleDown: {all}} {
		fillPtr(&r.SelectPolicy, autoscalingv2.MaxChangePolicySelect)
		if r.Policies == nil {
			r.Policies = policies
		}
	}
}
