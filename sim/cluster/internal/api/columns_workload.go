package api

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func deploymentColumns() columns {
	return append(columns{
		show("Ready", func(d *appsv1.Deployment) any {
			return fmt.Sprintf("%d/%d", d.Status.ReadyReplicas, deref(d.Spec.Replicas, 0))
		}),
		show("Up-to-date", func(d *appsv1.Deployment) any { return int64(d.Status.UpdatedReplicas) }),
		show("Available", func(d *appsv1.Deployment) any { return int64(d.Status.AvailableReplicas) }), ageColumn(),
	}, workloadColumns(func(d *appsv1.Deployment) (*corev1.PodSpec, *metav1.LabelSelector) {
		return &d.Spec.Template.Spec, d.Spec.Selector
	})...)
}

func replicaSetColumns() columns {
	return append(columns{
		show("Desired", func(r *appsv1.ReplicaSet) any { return int64(deref(r.Spec.Replicas, 0)) }),
		show("Current", func(r *appsv1.ReplicaSet) any { return int64(r.Status.Replicas) }),
		show("Ready", func(r *appsv1.ReplicaSet) any { return int64(r.Status.ReadyReplicas) }), ageColumn(),
	}, workloadColumns(func(r *appsv1.ReplicaSet) (*corev1.PodSpec, *metav1.LabelSelector) {
		return &r.Spec.Template.Spec, r.Spec.Selector
	})...)
}

// workloadColumns tell what runs in the pods of a workload.
func workloadColumns[O any](of func(o *O) (*corev1.PodSpec, *metav1.LabelSelector)) columns {
	list := func(o *O, f func(c corev1.Container) string) string {
		s, _ := of(o)
		var out []string
		for _, c := range s.Containers {
			out = append(out, f(c))
		}
		return strings.Join(out, ",")
	}
	return columns{
		wide("Containers", func(o *O) any { return list(o, func(c corev1.Container) string { return c.Name }) }),
		wide("Images", func(o *O) any { return list(o, func(c corev1.Container) string { return c.Image }) }),
		wide("Selector", func(o *O) any {
			_, s := of(o)
			return metav1.FormatLabelSelector(s)
		}),
	}
}

func jobColumns() columns {
	return append(columns{
		show("Status", func(j *batchv1.Job) any { return jobStatus(j) }),
		show("Completions", func(j *batchv1.Job) any {
			switch n := deref(j.Spec.Parallelism, 0); {
			case j.Spec.Completions != nil:
				return fmt.Sprintf("%d/%d", j.Status.Succeeded, *j.Spec.Completions)
			case n > 1:
				return fmt.Sprintf("%d/1 of %d", j.Status.Succeeded, n)
			}
			return fmt.Sprintf("%d/1", j.Status.Succeeded)
		}),
		{name: "Duration", cell: func(o runtime.Object, now time.Time) any {
			return on(func(j *batchv1.Job) any {
				switch {
				case j.Status.StartTime == nil:
					return ""
				case j.Status.CompletionTime != nil:
					now = j.Status.CompletionTime.Time
				}
				return duration.HumanDuration(now.Sub(j.Status.StartTime.Time))
			})(o)
		}},
		ageColumn(),
	}, workloadColumns(func(j *batchv1.Job) (*corev1.PodSpec, *metav1.LabelSelector) {
		return &j.Spec.Template.Spec, j.Spec.Selector
	})...)
}

// jobStatus says how a job is, in the order of what matters more.
func jobStatus(j *batchv1.Job) string {
	holds := func(t batchv1.JobConditionType) bool {
		return slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool {
			return c.Type == t && c.Status == corev1.ConditionTrue
		})
	}
	for _, t := range []batchv1.JobConditionType{batchv1.JobComplete, batchv1.JobFailed} {
		if holds(t) {
			return string(t)
		}
	}
	if j.DeletionTimestamp != nil {
		return "Terminating"
	}
	for _, t := range []batchv1.JobConditionType{batchv1.JobSuspended, batchv1.JobFailureTarget, batchv1.JobSuccessCriteriaMet} {
		if holds(t) {
			return string(t)
		}
	}
	return "Running"
}

func budgetColumns() columns {
	count := func(v *intstr.IntOrString) string {
		if v == nil {
			return "N/A"
		}
		return v.String()
	}
	return columns{
		show("Min Available", func(b *policyv1.PodDisruptionBudget) any { return count(b.Spec.MinAvailable) }),
		show("Max Unavailable", func(b *policyv1.PodDisruptionBudget) any { return count(b.Spec.MaxUnavailable) }),
		show("Allowed Disruptions", func(b *policyv1.PodDisruptionBudget) any { return int64(b.Status.DisruptionsAllowed) }), ageColumn(),
	}
}

func scalerColumns() columns {
	return columns{
		show("Reference", func(h *autoscalingv2.HorizontalPodAutoscaler) any {
			return h.Spec.ScaleTargetRef.Kind + "/" + h.Spec.ScaleTargetRef.Name
		}),
		show("Targets", func(h *autoscalingv2.HorizontalPodAutoscaler) any { return targets(h) }),
		show("MinPods", func(h *autoscalingv2.HorizontalPodAutoscaler) any {
			if h.Spec.MinReplicas == nil {
				return unset
			}
			return strconv.Itoa(int(*h.Spec.MinReplicas))
		}),
		show("MaxPods", func(h *autoscalingv2.HorizontalPodAutoscaler) any { return int64(h.Spec.MaxReplicas) }),
		show("Replicas", func(h *autoscalingv2.HorizontalPodAutoscaler) any { return int64(h.Status.CurrentReplicas) }), ageColumn(),
	}
}

// targets tells what a scaler measures and aims at, as "cpu: 12%/80%".
func targets(h *autoscalingv2.HorizontalPodAutoscaler) string {
	if len(h.Spec.Metrics) == 0 {
		return none
	}
	var all []string
	for i, m := range h.Spec.Metrics {
		var now autoscalingv2.MetricStatus
		if i < len(h.Status.CurrentMetrics) {
			now = h.Status.CurrentMetrics[i]
		}
		all = append(all, target(m, now))
	}
	return firstOf(all, 2, ", ")
}

func target(m autoscalingv2.MetricSpec, now autoscalingv2.MetricStatus) string {
	switch {
	case m.Resource != nil:
		var v *autoscalingv2.MetricValueStatus
		if now.Resource != nil {
			v = &now.Resource.Current
		}
		return m.Resource.Name.String() + ": " + resourceTarget(m.Resource.Target, v)
	case m.ContainerResource != nil:
		var v *autoscalingv2.MetricValueStatus
		if now.ContainerResource != nil {
			v = &now.ContainerResource.Current
		}
		return m.ContainerResource.Name.String() + ": " + resourceTarget(m.ContainerResource.Target, v)
	case m.Pods != nil:
		var v *autoscalingv2.MetricValueStatus
		if now.Pods != nil {
			v = &now.Pods.Current
		}
		return amount(m.Pods.Target, v)
	case m.Object != nil:
		var v *autoscalingv2.MetricValueStatus
		if now.Object != nil {
			v = &now.Object.Current
		}
		return amount(m.Object.Target, v)
	case m.External != nil:
		var v *autoscalingv2.MetricValueStatus
		if now.External != nil {
			v = &now.External.Current
		}
		return amount(m.External.Target, v)
	}
	return "<unknown type>"
}

// resourceTarget is a share of what is requested, or an amount for each pod.
func resourceTarget(t autoscalingv2.MetricTarget, now *autoscalingv2.MetricValueStatus) string {
	if t.AverageValue != nil {
		return strings.TrimSuffix(amount(t, now), " (avg)")
	}
	current, want := unknown, "<auto>"
	if now != nil && now.AverageUtilization != nil {
		current = fmt.Sprintf("%d%%", *now.AverageUtilization)
	}
	if t.AverageUtilization != nil {
		want = fmt.Sprintf("%d%%", *t.AverageUtilization)
	}
	return current + "/" + want
}

// amount is a value, or one for each pod.
func amount(t autoscalingv2.MetricTarget, now *autoscalingv2.MetricValueStatus) string {
	current := unknown
	if t.AverageValue != nil {
		if now != nil && now.AverageValue != nil {
			current = now.AverageValue.String()
		}
		return fmt.Sprintf("%s/%s (avg)", current, t.AverageValue)
	}
	if now != nil && now.Value != nil {
		current = now.Value.String()
	}
	return fmt.Sprintf("%s/%s", current, t.Value)
}
