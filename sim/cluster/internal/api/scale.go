package api

import (
	"context"
	"errors"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// scaleEndpoint is the /scale subresource of a workload: its replicas as an autoscaling/v1 Scale.
type scaleEndpoint struct{ parent *kindStore }

var (
	_ rest.Patcher                  = scaleEndpoint{}
	_ rest.GroupVersionKindProvider = scaleEndpoint{}
)

// New gives an empty Scale.
func (scaleEndpoint) New() runtime.Object { return &autoscalingv1.Scale{} }

// Destroy has nothing to give back: the store belongs to the main endpoint.
func (scaleEndpoint) Destroy() {}

// GroupVersionKind is that of Scale, whatever the parent's.
func (scaleEndpoint) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return autoscalingv1.SchemeGroupVersion.WithKind("Scale")
}

// fields leads the parent's manager entries over to Scale's and back, so that both name the owner of the replicas.
func (e scaleEndpoint) fields(m metav1.Object) *managedfields.ScaleHandler {
	gv := e.parent.r.kind.GroupVersion()
	return managedfields.NewScaleHandler(m.GetManagedFields(), gv, managedfields.ResourcePathMappings{
		gv.String(): fieldpath.MakePathOrDie("spec", "replicas"),
	})
}

// scaleOf gives a workload's Scale.
func (e scaleEndpoint) scaleOf(o runtime.Object) (*autoscalingv1.Scale, error) {
	m, err := meta.Accessor(o)
	if err != nil {
		return nil, err
	}
	managed, err := e.fields(m).ToSubresource()
	if err != nil {
		return nil, err
	}
	sc := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{
		Name: m.GetName(), Namespace: m.GetNamespace(), UID: m.GetUID(), ResourceVersion: m.GetResourceVersion(),
		CreationTimestamp: m.GetCreationTimestamp(), ManagedFields: managed,
	}}
	var want *int32
	var selector *metav1.LabelSelector
	switch x := o.(type) {
	case *appsv1.Deployment:
		want, selector, sc.Status.Replicas = x.Spec.Replicas, x.Spec.Selector, x.Status.Replicas
	case *appsv1.ReplicaSet:
		want, selector, sc.Status.Replicas = x.Spec.Replicas, x.Spec.Selector, x.Status.Replicas
	}
	if want != nil {
		sc.Spec.Replicas = *want
	}
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil, err
	}
	sc.Status.Selector = s.String()
	return sc, nil
}

// Get reads the Scale.
func (e scaleEndpoint) Get(ctx context.Context, name string, opts *metav1.GetOptions) (runtime.Object, error) {
	o, err := e.parent.Get(ctx, name, opts)
	if err != nil {
		return nil, err
	}
	return e.scaleOf(o)
}

// Update sets the parent's replicas. It never creates.
func (e scaleEndpoint) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc,
	_ rest.ValidateObjectUpdateFunc, _ bool, opts *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	o, _, err := e.parent.Update(ctx, name, scaleInfo{info, e}, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, opts)
	if err != nil {
		return nil, false, err
	}
	sc, err := e.scaleOf(o)
	return sc, false, err
}

// scaleInfo turns an update of a Scale into one of its parent.
type scaleInfo struct {
	rest.UpdatedObjectInfo
	e scaleEndpoint
}

// UpdatedObject gives the parent with the replicas that the request asks for.
func (i scaleInfo) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	was, err := i.e.scaleOf(old)
	if err != nil {
		return nil, err
	}
	want, err := as[autoscalingv1.Scale](i.UpdatedObjectInfo.UpdatedObject(ctx, was.DeepCopy()))
	if err != nil {
		return nil, err
	}
	if want.ResourceVersion != "" && want.ResourceVersion != was.ResourceVersion {
		return nil, apierrors.NewConflict(i.e.parent.r.groupResource(), was.Name, errors.New(genericregistry.OptimisticLockErrorMsg))
	}
	if want.Spec.Replicas < 0 {
		return nil, apierrors.NewInvalid(i.e.GroupVersionKind(schema.GroupVersion{}).GroupKind(), was.Name, field.ErrorList{
			field.Invalid(field.NewPath("spec", "replicas"), want.Spec.Replicas, notNegative),
		})
	}
	parent := old.DeepCopyObject() // the registry compares it with old
	m, err := meta.Accessor(parent)
	if err != nil {
		return nil, err
	}
	managed, err := i.e.fields(m).ToParent(want.ManagedFields)
	if err != nil {
		return nil, err
	}
	m.SetManagedFields(managed)
	switch x := parent.(type) {
	case *appsv1.Deployment:
		x.Spec.Replicas = &want.Spec.Replicas
	case *appsv1.ReplicaSet:
		x.Spec.Replicas = &want.Spec.Replicas
	}
	return parent, nil
}
