package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/dpesim/dpesim/sim/cluster/internal/record"
)

// scalerPeriod is how often an autoscaler looks. Source: kube-controller-manager, horizontal-pod-autoscaler-sync-period.
const scalerPeriod = 15 * time.Second

// What an autoscaler is told by an API server without metrics. Source: client-go and kube-controller-manager.
const (
	noResourceMetrics = "unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"
	noCustomMetrics   = "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered"
	noExternalMetrics = "unable to fetch metrics from external metrics API: no external metrics API (external.metrics.k8s.io) registered"
)

// scalers keeps each HorizontalPodAutoscaler's target within its bounds. There is no metrics server: it never knows more.
type scalers struct {
	*Manager
	loop *loop
	from record.Source
}

func (m *Manager) addScalers() error {
	c := &scalers{Manager: m, from: record.Source{Component: "horizontal-pod-autoscaler"}}
	c.loop = m.loop("horizontal-pod-autoscaler", c.sync)
	_, err := m.informers.Autoscaling().V2().HorizontalPodAutoscalers().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { forward(o, func(o metav1.Object) { c.loop.add(keyOf(o)) }) },
		UpdateFunc: func(was, is any) {
			a, ok := was.(*autoscalingv2.HorizontalPodAutoscaler)
			b, ok2 := is.(*autoscalingv2.HorizontalPodAutoscaler)
			if ok && ok2 && !apiequality.Semantic.DeepEqual(a.Spec, b.Spec) {
				c.loop.add(keyOf(b))
			}
		},
	})
	return err
}

// scaleAPI is the /scale of a kind.
type scaleAPI interface {
	GetScale(ctx context.Context, name string, o metav1.GetOptions) (*autoscalingv1.Scale, error)
	UpdateScale(ctx context.Context, name string, s *autoscalingv1.Scale, o metav1.UpdateOptions) (*autoscalingv1.Scale, error)
}

// target gives the /scale of what h scales.
func (c *scalers) target(h *autoscalingv2.HorizontalPodAutoscaler) (scaleAPI, error) {
	ref := h.Spec.ScaleTargetRef
	switch ref.APIVersion + "/" + ref.Kind {
	case "apps/v1/Deployment":
		return c.client.AppsV1().Deployments(h.Namespace), nil
	case "apps/v1/ReplicaSet":
		return c.client.AppsV1().ReplicaSets(h.Namespace), nil
	}
	return nil, fmt.Errorf("no matches for kind %q in group %q", ref.Kind, strings.SplitN(ref.APIVersion, "/", 2)[0])
}

func (c *scalers) sync(ctx context.Context, key string) error {
	h, found, err := live(ctx, key, c.client.AutoscalingV2().HorizontalPodAutoscalers)
	if !found {
		return err
	}
	c.loop.addAfter(key, scalerPeriod)
	before := h.Status.DeepCopy()
	if err := c.reconcile(ctx, h); err != nil {
		return err
	}
	if apiequality.Semantic.DeepEqual(*before, h.Status) {
		return nil
	}
	_, err = c.client.AutoscalingV2().HorizontalPodAutoscalers(h.Namespace).UpdateStatus(ctx, h, metav1.UpdateOptions{})
	return err
}

// reconcile scales h's target into its bounds, or says that it cannot know how many replicas it needs.
func (c *scalers) reconcile(ctx context.Context, h *autoscalingv2.HorizontalPodAutoscaler) error {
	h.Status.ObservedGeneration = new(h.Generation)
	api, err := c.target(h)
	var s *autoscalingv1.Scale
	if err == nil {
		s, err = api.GetScale(ctx, h.Spec.ScaleTargetRef.Name, metav1.GetOptions{})
	}
	if err != nil {
		c.events.Warning(c.from, h, "FailedGetScale", "%v", err)
		c.condition(h, autoscalingv2.AbleToScale, corev1.ConditionFalse, "FailedGetScale", "the HPA controller was unable to get the target's current scale: %v", err)
		return nil
	}
	c.condition(h, autoscalingv2.AbleToScale, corev1.ConditionTrue, "SucceededGetScale", "the HPA controller was able to get the target's current scale")
	have, least := s.Spec.Replicas, ptr.Deref(h.Spec.MinReplicas, 1)
	want, why := have, ""
	switch {
	case have == 0 && least != 0:
		want = 0
		c.condition(h, autoscalingv2.ScalingActive, corev1.ConditionFalse, "ScalingDisabled", "scaling is disabled since the replica count of the target is zero")
	case have > h.Spec.MaxReplicas:
		want, why = h.Spec.MaxReplicas, "Current number of replicas above Spec.MaxReplicas"
	case have < least:
		want, why = least, "Current number of replicas below Spec.MinReplicas"
	default:
		c.unknown(h)
	}
	h.Status.CurrentReplicas = s.Status.Replicas
	if want == have {
		return nil
	}
	s.Spec.Replicas = want
	if _, err := api.UpdateScale(ctx, h.Spec.ScaleTargetRef.Name, s, metav1.UpdateOptions{}); err != nil {
		if apierrors.IsConflict(err) {
			return err
		}
		c.events.Warning(c.from, h, "FailedRescale", "New size: %d; reason: %s; error: %v", want, why, err)
		c.condition(h, autoscalingv2.AbleToScale, corev1.ConditionFalse, "FailedUpdateScale", "the HPA controller was unable to update the target scale: %v", err)
		return nil
	}
	c.events.Normal(c.from, h, "SuccessfulRescale", "New size: %d; reason: %s", want, why)
	c.condition(h, autoscalingv2.AbleToScale, corev1.ConditionTrue, "SucceededRescale", "the HPA controller was able to update the target scale to %d", want)
	h.Status.DesiredReplicas, h.Status.LastScaleTime = want, &metav1.Time{Time: c.clock.Now()}
	return nil
}

// unknown says of each metric that it cannot be had.
func (c *scalers) unknown(h *autoscalingv2.HorizontalPodAutoscaler) {
	var first string
	for i := range h.Spec.Metrics {
		reason, kind, message := missing(&h.Spec.Metrics[i])
		c.events.Warning(c.from, h, reason, "%s", message)
		if first == "" {
			c.condition(h, autoscalingv2.ScalingActive, corev1.ConditionFalse, reason, "the HPA was unable to compute the replica count: %s", message)
			first = fmt.Sprintf("failed to get %s: %s", kind, message)
		}
	}
	if n := len(h.Spec.Metrics); n > 0 {
		c.events.Warning(c.from, h, "FailedComputeMetricsReplicas", "invalid metrics (%d invalid out of %d), first error is: %s", n, n, first)
	}
}

// missing says why a metric cannot be had: as an event's reason, as what the metric is, and in words.
func missing(m *autoscalingv2.MetricSpec) (reason, kind, message string) {
	resource := func(name corev1.ResourceName, t autoscalingv2.MetricTarget) string {
		what := "utilization"
		if t.AverageValue != nil {
			what = "usage"
		}
		return fmt.Sprintf("failed to get %s %s: unable to get metrics for resource %s: %s", name, what, name, noResourceMetrics)
	}
	switch {
	case m.Resource != nil:
		return "FailedGetResourceMetric", string(m.Resource.Name) + " resource metric value", resource(m.Resource.Name, m.Resource.Target)
	case m.ContainerResource != nil:
		r := m.ContainerResource
		return "FailedGetContainerResourceMetric", fmt.Sprintf("%s container metric value", r.Name), resource(r.Name, r.Target)
	case m.Pods != nil:
		return "FailedGetPodsMetric", "pods metric value", fmt.Sprintf("unable to get metric %s: %s", m.Pods.Metric.Name, noCustomMetrics)
	case m.Object != nil:
		return "FailedGetObjectMetric", "object metric value", fmt.Sprintf("unable to get metric %s: %s", m.Object.Metric.Name, noCustomMetrics)
	case m.External != nil:
		return "FailedGetExternalMetric", "external metric value", fmt.Sprintf("unable to get external metric %s: %s", m.External.Metric.Name, noExternalMetrics)
	}
	return "InvalidMetricSourceType", string(m.Type) + " metric value", fmt.Sprintf("unknown metric source type %q", m.Type)
}

// condition sets a condition of h; its time moves only with its status.
func (c *scalers) condition(h *autoscalingv2.HorizontalPodAutoscaler, t autoscalingv2.HorizontalPodAutoscalerConditionType, status corev1.ConditionStatus, reason, format string, args ...any) {
	x := autoscalingv2.HorizontalPodAutoscalerCondition{
		Type: t, Status: status, Reason: reason, Message: fmt.Sprintf(format, args...), LastTransitionTime: metav1.NewTime(c.clock.Now()),
	}
	i := slices.IndexFunc(h.Status.Conditions, func(y autoscalingv2.HorizontalPodAutoscalerCondition) bool { return y.Type == t })
	if i < 0 {
		h.Status.Conditions = append(h.Status.Conditions, x)
		return
	}
	if h.Status.Conditions[i].Status == status {
		x.LastTransitionTime = h.Status.Conditions[i].LastTransitionTime
	}
	h.Status.Conditions[i] = x
}
