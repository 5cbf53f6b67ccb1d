package controller

import (
	"context"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dpesim/dpesim/sim/cluster/internal/record"
)

// owner is what makes pods from a template: a ReplicaSet or a Job.
type owner struct {
	object interface {
		metav1.Object
		runtime.Object
	}
	kind     schema.GroupVersionKind
	selector *metav1.LabelSelector
	template *corev1.PodTemplateSpec
	from     record.Source
}

// makePod makes a pod of o. The trail must be locked: it is told, as an effect of cause.
func (m *Manager) makePod(ctx context.Context, o owner, cause uint64, detail map[string]string, finalizers ...string) (*corev1.Pod, error) {
	t := o.template
	p := &corev1.Pod{ObjectMeta: *t.ObjectMeta.DeepCopy(), Spec: *t.Spec.DeepCopy()}
	p.GenerateName, p.Namespace = o.object.GetName()+"-", o.object.GetNamespace()
	p.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(o.object, o.kind)}
	p.Finalizers = append(p.Finalizers, finalizers...)
	made, err := m.client.CoreV1().Pods(p.Namespace).Create(ctx, p, metav1.CreateOptions{})
	if err != nil {
		m.events.Warning(o.from, o.object, "FailedCreate", "Error creating: %v", err)
		return nil, err
	}
	m.events.Normal(o.from, o.object, "SuccessfulCreate", "Created pod: %s", made.Name)
	detail["pod"] = made.Name
	m.trail.Note(made.UID).Wanted = m.trail.Tell(ctx, made, cause, "pod created", detail)
	return made, nil
}

// dropPod deletes a pod of o that is one too many. The trail must be locked.
func (m *Manager) dropPod(ctx context.Context, o owner, p *corev1.Pod, cause uint64) error {
	err := m.client.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(p.UID))})
	if err != nil && !apierrors.IsNotFound(err) {
		m.events.Warning(o.from, o.object, "FailedDelete", "Error deleting: %v", err)
		return err
	}
	m.events.Normal(o.from, o.object, "SuccessfulDelete", "Deleted pod: %s", p.Name)
	m.trail.Note(p.UID).Unwanted = cause
	return nil
}

// podsOf gives the pods that o controls, as they are now. A pod that its selector finds and that nobody controls becomes
// its own; one of its own that the selector finds no more is let go.
func (m *Manager) podsOf(ctx context.Context, o owner) ([]*corev1.Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(o.selector)
	if err != nil || selector.Empty() {
		return nil, err
	}
	list, err := m.client.CoreV1().Pods(o.object.GetNamespace()).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil, err
	}
	var out []*corev1.Pod
	for i := range list.Items {
		p := &list.Items[i]
		switch c := metav1.GetControllerOf(p); {
		case c != nil && c.UID == o.object.GetUID():
			out = append(out, p)
		case c == nil && p.DeletionTimestamp == nil && o.object.GetDeletionTimestamp() == nil && !ended(p):
			adopted, err := m.adopt(ctx, o, p)
			if err != nil {
				return nil, err
			}
			if adopted != nil {
				out = append(out, adopted)
			}
		}
	}
	return out, m.letGo(ctx, o, selector)
}

// finds tells whether selector finds an object. An empty one finds none.
func finds(selector *metav1.LabelSelector, o metav1.Object) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && !s.Empty() && s.Matches(labels.Set(o.GetLabels()))
}

// adopt makes o the controller of p. Nil without an error means that p has gone, or has been taken.
func (m *Manager) adopt(ctx context.Context, o owner, p *corev1.Pod) (*corev1.Pod, error) {
	refs := append(p.OwnerReferences, *metav1.NewControllerRef(o.object, o.kind)) //nolint:gocritic // p is replaced
	return m.reownPod(ctx, p, refs)
}

// letGo takes o off those of its pods that its selector does not find.
func (m *Manager) letGo(ctx context.Context, o owner, selector labels.Selector) error {
	seen, err := m.informers.Core().V1().Pods().Lister().Pods(o.object.GetNamespace()).List(labels.Everything())
	if err != nil {
		return err
	}
	for _, p := range seen {
		if metav1.IsControlledBy(p, o.object) && !selector.Matches(labels.Set(p.Labels)) && p.DeletionTimestamp == nil {
			if _, err := m.reownPod(ctx, p, without(p.OwnerReferences, o.object.GetUID())); err != nil {
				return err
			}
		}
	}
	return nil
}

// reownPod sets who owns p, if p is still as it was seen.
func (m *Manager) reownPod(ctx context.Context, p *corev1.Pod, refs []metav1.OwnerReference) (*corev1.Pod, error) {
	return m.patchPod(ctx, p, map[string]any{"ownerReferences": refs})
}

// patchPod sets parts of p's metadata, if p is still as it was seen. Nil without an error means that it is gone.
func (m *Manager) patchPod(ctx context.Context, p *corev1.Pod, meta map[string]any) (*corev1.Pod, error) {
	meta["uid"], meta["resourceVersion"] = p.UID, p.ResourceVersion
	b, err := json.Marshal(map[string]any{"metadata": meta})
	if err != nil {
		return nil, err
	}
	next, err := m.client.CoreV1().Pods(p.Namespace).Patch(ctx, p.Name, types.MergePatchType, b, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // gone is no error, see above
	}
	return next, err
}

// active tells whether a pod is neither ended nor on its way out.
func active(p *corev1.Pod) bool { return p.DeletionTimestamp == nil && !ended(p) }

// ended tells whether a pod has run to its end.
func ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}
