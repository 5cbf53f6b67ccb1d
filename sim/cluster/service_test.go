package cluster_test

import (
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

func TestServiceKnowsItsReadyPods(t *testing.T) {
	t.Parallel()
	r := open(t)
	if _, err := r.CoreV1().Services("default").Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}},
	}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// counts gives how many ready and unready addresses both kinds have; -1 if they disagree, or lead to another port.
	counts := func() (ready, unready int) {
		e, err := r.CoreV1().Endpoints("default").Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			return -1, -1
		}
		for _, s := range e.Subsets {
			if len(s.Ports) != 1 || s.Ports[0].Port != 8080 || s.Ports[0].Name != "http" {
				return -1, -1
			}
			ready, unready = ready+len(s.Addresses), unready+len(s.NotReadyAddresses)
		}
		slices, err := r.DiscoveryV1().EndpointSlices("default").List(t.Context(), metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=web"})
		if err != nil || len(slices.Items) != 1 {
			return -1, -1
		}
		for _, x := range slices.Items[0].Endpoints {
			if *x.Conditions.Ready {
				ready--
			} else if !*x.Conditions.Terminating {
				unready--
			}
		}
		if ready != 0 || unready != 0 {
			return -1, -1
		}
		for _, s := range e.Subsets {
			ready, unready = ready+len(s.Addresses), unready+len(s.NotReadyAddresses)
		}
		return ready, unready
	}
	is := func(ready, unready int) func() bool {
		return func() bool { a, b := counts(); return a == ready && b == unready }
	}
	r.until(t, "no endpoints", is(0, 0))
	r.create(t, deployment("web", "v1", 2, 1, 0))
	r.until(t, "two ready", is(2, 0))
	r.patch(t, "web", `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"app:unready"}]}}}}`)
	r.until(t, "one of the new ones is not ready", is(2, 1))
	r.patch(t, "web", `{"spec":{"replicas":0}}`)
	r.until(t, "none", is(0, 0))
	if err := r.CoreV1().Services("default").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "both gone", func() bool {
		_, err := r.CoreV1().Endpoints("default").Get(t.Context(), "web", metav1.GetOptions{})
		list, lerr := r.DiscoveryV1().EndpointSlices("default").List(t.Context(), metav1.ListOptions{})
		return apierrors.IsNotFound(err) && lerr == nil && len(list.Items) == 0
	})
}

func TestBudgetGrantsAndRefusesEvictions(t *testing.T) {
	t.Parallel()
	r := open(t)
	if _, err := r.PolicyV1().PodDisruptionBudgets("default").Create(t.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	status := func() policyv1.PodDisruptionBudgetStatus {
		b, err := r.PolicyV1().PodDisruptionBudgets("default").Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return b.Status
	}
	r.until(t, "NoPods", r.hasEvent(t, "web", "NoPods", "No matching pods found"))
	r.create(t, deployment("web", "v1", 3, 1, 0))
	r.until(t, "one disruption allowed", func() bool {
		s := status()
		return s.ExpectedPods == 3 && s.DesiredHealthy == 2 && s.CurrentHealthy == 3 && s.DisruptionsAllowed == 1 && s.Conditions[0].Reason == "SufficientPods"
	})
	evict := func(pod string) error {
		return r.PolicyV1().Evictions("default").Evict(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: "default"}})
	}
	pods := r.pods(t, "web")
	for _, n := range r.nodesOf(t) {
		r.patchNode(t, n, `{"spec":{"unschedulable":true}}`) // so that none comes after
	}
	if err := evict(pods[0].Name); err != nil {
		t.Fatal(err)
	}
	r.until(t, "none allowed", func() bool {
		s := status()
		return s.CurrentHealthy == 2 && s.DisruptionsAllowed == 0 && s.Conditions[0].Reason == "InsufficientPods" && len(s.DisruptedPods) == 0
	})
	err := evict(pods[1].Name)
	if !apierrors.IsTooManyRequests(err) || err.Error() != "Cannot evict pod as it would violate the pod's disruption budget." {
		t.Fatalf("second eviction: %v", err)
	}
	if cause, ok := apierrors.StatusCause(err, policyv1.DisruptionBudgetCause); !ok || cause.Message != "The disruption budget web needs 2 healthy pods and has 2 currently" {
		t.Errorf("cause = %+v", cause)
	}
	for _, n := range r.nodesOf(t) {
		r.patchNode(t, n, `{"spec":{"unschedulable":false}}`)
	}
	r.until(t, "allowed again", func() bool { return status().DisruptionsAllowed == 1 })
}

func (r *rig) nodesOf(tb testing.TB) (names []string) {
	tb.Helper()
	list, err := r.CoreV1().Nodes().List(tb.Context(), metav1.ListOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	for _, n := range list.Items {
		names = append(names, n.Name)
	}
	return names
}

func TestAutoscalerWithoutMetricsKeepsTheBoundsAndSaysWhy(t *testing.T) {
	t.Parallel()
	r := open(t, frozen)
	r.create(t, deployment("web", "v1", 1, 1, 0))
	if _, err := r.AutoscalingV2().HorizontalPodAutoscalers("default").Create(t.Context(), &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
			MinReplicas:    ptr.To[int32](2), MaxReplicas: 4,
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "scaled up", func() bool { return *r.get(t, "web").Spec.Replicas == 2 })
	r.until(t, "SuccessfulRescale", r.hasEvent(t, "web", "SuccessfulRescale", "New size: 2; reason: Current number of replicas below Spec.MinReplicas"))
	r.patch(t, "web", `{"spec":{"replicas":6}}`)
	r.advance(t, 15*time.Second)
	r.until(t, "scaled down", func() bool { return *r.get(t, "web").Spec.Replicas == 4 })
	r.advance(t, 15*time.Second)
	const why = "failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"
	r.until(t, "FailedGetResourceMetric", r.hasEvent(t, "web", "FailedGetResourceMetric", why))
	r.until(t, "FailedComputeMetricsReplicas", r.hasEvent(t, "web", "FailedComputeMetricsReplicas", "invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: "+why))
	r.until(t, "conditions", func() bool {
		h, err := r.AutoscalingV2().HorizontalPodAutoscalers("default").Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		said := map[string]bool{}
		for _, c := range h.Status.Conditions {
			said[string(c.Type)+" "+string(c.Status)+" "+c.Reason+": "+c.Message] = true
		}
		return said["AbleToScale True SucceededGetScale: the HPA controller was able to get the target's current scale"] &&
			said["ScalingActive False FailedGetResourceMetric: the HPA was unable to compute the replica count: "+why]
	})
}
