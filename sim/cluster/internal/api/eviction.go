package api

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

// evictionEndpoint is pods/eviction: a deletion that asks the disruption budgets first, as `kubectl drain` does.
type evictionEndpoint struct {
	pods    *genericregistry.Store
	budgets *kindStore
	status  statusEndpoint // of the budgets
	stamp   stamper
}

var (
	_ rest.NamedCreater             = evictionEndpoint{}
	_ rest.GroupVersionKindProvider = evictionEndpoint{}
)

// New gives an empty Eviction.
func (evictionEndpoint) New() runtime.Object { return &policyv1.Eviction{} }

// Destroy has nothing to give back.
func (evictionEndpoint) Destroy() {}

// GroupVersionKind is that of Eviction: the parent is of another group.
func (evictionEndpoint) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return policyv1.SchemeGroupVersion.WithKind("Eviction")
}

// Create evicts the pod of that name. Where a budget forbids it the answer is 429, and drain tries again.
func (e evictionEndpoint) Create(ctx context.Context, name string, o runtime.Object, check rest.ValidateObjectFunc, opts *metav1.CreateOptions) (runtime.Object, error) {
	ev, err := as[policyv1.Eviction](o, nil)
	if err != nil {
		return nil, err
	}
	if ev.Name != "" && ev.Name != name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	}
	if check != nil {
		if err := check(ctx, o.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	del := &metav1.DeleteOptions{}
	if ev.DeleteOptions != nil {
		del = ev.DeleteOptions.DeepCopy()
	}
	if opts != nil && len(opts.DryRun) > 0 {
		del.DryRun = opts.DryRun
	}
	p, err := as[corev1.Pod](e.pods.Get(ctx, name, &metav1.GetOptions{}))
	if err != nil {
		return nil, err
	}
	if counts(p) {
		if err := e.spend(ctx, p, del.DryRun); err != nil {
			return nil, err
		}
	}
	if _, _, err := e.pods.Delete(ctx, name, rest.ValidateAllObjectFunc, del); err != nil {
		return nil, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, nil
}

// counts tells whether losing the pod is a disruption: one that has ended, waits or goes already serves nobody.
func counts(p *corev1.Pod) bool {
	idle := []corev1.PodPhase{corev1.PodSucceeded, corev1.PodFailed, corev1.PodPending}
	return p.DeletionTimestamp == nil && !slices.Contains(idle, p.Status.Phase)
}

// spend takes one disruption from the budget that covers p.
func (e evictionEndpoint) spend(ctx context.Context, p *corev1.Pod, dryRun []string) error {
	found, err := e.covering(ctx, p)
	if err != nil || len(found) == 0 {
		return err
	}
	if len(found) > 1 {
		return apierrors.NewInternalError(errors.New("this pod has more than one PodDisruptionBudget, which the eviction subresource does not support"))
	}
	info := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		b, err := as[policyv1.PodDisruptionBudget](old.DeepCopyObject(), nil)
		if err != nil {
			return nil, err
		}
		return b, e.take(b, p.Name)
	})
	_, _, err = e.status.Update(ctx, found[0], info, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{DryRun: dryRun})
	return err
}

// covering names the budgets that select p.
func (e evictionEndpoint) covering(ctx context.Context, p *corev1.Pod) ([]string, error) {
	list, err := as[policyv1.PodDisruptionBudgetList](e.budgets.List(ctx, nil))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, b := range list.Items {
		s, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err != nil {
			return nil, err
		}
		if s.Matches(labels.Set(p.Labels)) {
			names = append(names, b.Name)
		}
	}
	return names, nil
}

// take books one disruption in b's status, or says why there is none.
func (e evictionEndpoint) take(b *policyv1.PodDisruptionBudget, pod string) error {
	if b.Status.ObservedGeneration < b.Generation {
		return refuse(fmt.Sprintf("The disruption budget %s is still being processed by the server.", b.Name), 10)
	}
	if b.Status.DisruptionsAllowed <= 0 {
		return refuse(fmt.Sprintf("The disruption budget %s needs %d healthy pods and has %d currently", b.Name, b.Status.DesiredHealthy, b.Status.CurrentHealthy), 0)
	}
	b.Status.DisruptionsAllowed--
	if b.Status.DisruptedPods == nil {
		b.Status.DisruptedPods = map[string]metav1.Time{}
	}
	b.Status.DisruptedPods[pod] = e.stamp.now()
	return nil
}

// refuse is the 429 that drain understands.
func refuse(cause string, retryAfter int) error {
	err := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", retryAfter)
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Type: policyv1.DisruptionBudgetCause, Message: cause})
	return err
}

// bindingEndpoint is pods/binding: the scheduler's word on where a pod runs.
type bindingEndpoint struct {
	pods  *genericregistry.Store
	stamp stamper
}

var _ rest.NamedCreater = bindingEndpoint{}

// New gives an empty Binding.
func (bindingEndpoint) New() runtime.Object { return &corev1.Binding{} }

// Destroy has nothing to give back.
func (bindingEndpoint) Destroy() {}

// Create binds the pod of that name to the node in o.
func (e bindingEndpoint) Create(ctx context.Context, name string, o runtime.Object, check rest.ValidateObjectFunc, opts *metav1.CreateOptions) (runtime.Object, error) {
	b, err := as[corev1.Binding](o, nil)
	if err != nil {
		return nil, err
	}
	if b.Name != "" && b.Name != name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Binding object")
	}
	if b.Target.Kind != "" && b.Target.Kind != "Node" || b.Target.Name == "" {
		return nil, apierrors.NewBadRequest("target: must name a Node")
	}
	if check != nil {
		if err := check(ctx, o.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	info := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		p, err := as[corev1.Pod](old.DeepCopyObject(), nil)
		if err != nil {
			return nil, err
		}
		return p, e.assign(p, b)
	})
	update := &metav1.UpdateOptions{}
	if opts != nil {
		update.DryRun = opts.DryRun
	}
	if _, _, err := e.pods.Update(ctx, name, info, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, update); err != nil {
		return nil, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, nil
}

// assign gives p its node, and says so in its conditions.
func (e bindingEndpoint) assign(p *corev1.Pod, b *corev1.Binding) error {
	gr := corev1.Resource("pods/binding")
	switch {
	case p.DeletionTimestamp != nil:
		return apierrors.NewConflict(gr, p.Name, fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", p.Name))
	case p.Spec.NodeName != "":
		return apierrors.NewConflict(gr, p.Name, fmt.Errorf("pod %s is already assigned to node %q", p.Name, p.Spec.NodeName))
	case b.UID != "" && b.UID != p.UID:
		return apierrors.NewConflict(gr, p.Name, errors.New("the pod has been deleted and created again since"))
	}
	p.Spec.NodeName = b.Target.Name
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == corev1.PodScheduled {
			p.Status.Conditions[i] = e.scheduled()
			return nil
		}
	}
	p.Status.Conditions = append(p.Status.Conditions, e.scheduled())
	return nil
}

func (e bindingEndpoint) scheduled() corev1.PodCondition {
	return corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: e.stamp.now()}
}
