package api

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"
)

// systemNamespaces are in every cluster from its start.
func systemNamespaces() []string {
	return []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease}
}

func namespaceRules() rules {
	return rules{
		name: apivalidation.ValidateNamespaceName,
		create: do(func(n *corev1.Namespace) {
			n.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
			if slices.Contains(n.Spec.Finalizers, corev1.FinalizerKubernetes) {
				return
			}
			n.Spec.Finalizers = append(n.Spec.Finalizers, corev1.FinalizerKubernetes)
		}),
		update: func(o, old runtime.Object) {
			n, ok := o.(*corev1.Namespace)
			was, same := old.(*corev1.Namespace)
			if ok && same {
				n.Spec.Finalizers = was.Spec.Finalizers // written by /finalize alone
			}
		},
	}
}

// namespaceStore is the main endpoint of namespaces. Deletion has two steps: the first marks the namespace as
// terminating; it is gone once its content is, when the namespace controller takes the last finalizer away.
//
//	Active --delete--> Terminating --content gone, PUT /finalize--> gone
type namespaceStore struct {
	*kindStore
	stamp stamper
}

// Delete marks the namespace as terminating, or removes it if nothing finalizes it any more.
func (n namespaceStore) Delete(ctx context.Context, name string, check rest.ValidateObjectFunc, opts *metav1.DeleteOptions) (runtime.Object, bool, error) {
	switch name {
	case metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic:
		return nil, false, apierrors.NewForbidden(n.r.groupResource(), name, errors.New("this namespace may not be deleted"))
	}
	found, err := as[corev1.Namespace](n.Get(ctx, name, &metav1.GetOptions{}))
	if err != nil {
		return nil, false, err
	}
	if opts == nil {
		opts = &metav1.DeleteOptions{}
	}
	if p := opts.Preconditions; p != nil && p.UID != nil && *p.UID != found.UID {
		return nil, false, apierrors.NewConflict(n.r.groupResource(), name, fmt.Errorf( //nolint:staticcheck // Kubernetes' own words
			"Precondition failed: UID in precondition: %v, UID in object meta: %v", *p.UID, found.UID))
	}
	if len(found.Spec.Finalizers) == 0 {
		return n.kindStore.Delete(ctx, name, check, opts)
	}
	out, err := n.terminate(ctx, name, check, opts)
	return out, false, err
}

// terminate is the first step.
func (n namespaceStore) terminate(ctx context.Context, name string, check rest.ValidateObjectFunc, opts *metav1.DeleteOptions) (runtime.Object, error) {
	key, err := n.KeyFunc(ctx, name)
	if err != nil {
		return nil, err
	}
	out := n.New()
	var pre storage.Preconditions
	if opts.Preconditions != nil {
		pre = storage.Preconditions{UID: opts.Preconditions.UID, ResourceVersion: opts.Preconditions.ResourceVersion}
	}
	err = n.Storage.GuaranteedUpdate(ctx, key, out, false, &pre, storage.SimpleUpdate(func(in runtime.Object) (runtime.Object, error) {
		ns, err := as[corev1.Namespace](in, nil)
		if err != nil {
			return nil, err
		}
		if check != nil {
			if err := check(ctx, ns.DeepCopy()); err != nil {
				return nil, err
			}
		}
		if ns.DeletionTimestamp == nil {
			now := n.stamp.now()
			ns.DeletionTimestamp = &now
		}
		ns.Status.Phase = corev1.NamespaceTerminating
		return ns, nil
	}), dryrun.IsDryRun(opts.DryRun), nil)
	if err != nil {
		return nil, storeerr.InterpretUpdateError(err, n.r.groupResource(), name)
	}
	return out, nil
}

// finalizeStrategy writes a namespace's finalizers, and nothing else.
type finalizeStrategy struct{ strategy }

// PrepareForUpdate keeps all but the finalizers.
func (finalizeStrategy) PrepareForUpdate(_ context.Context, o, old runtime.Object) {
	n, ok := o.(*corev1.Namespace)
	was, same := old.(*corev1.Namespace)
	if ok && same {
		n.Status = was.Status
	}
}

// gone tells whether an update takes away the last thing that keeps a terminating namespace.
func gone(ctx context.Context, key string, o, existing runtime.Object) bool {
	n, ok := o.(*corev1.Namespace)
	return ok && len(n.Spec.Finalizers) == 0 && genericregistry.ShouldDeleteDuringUpdate(ctx, key, o, existing)
}
