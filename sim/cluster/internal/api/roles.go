package api

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/dpesim/dpesim/sim/cluster/internal/api/rbac"
)

// policyStore is the main endpoint of a kind that gives rights: nobody writes there what would give them more than they
// have.
type policyStore struct {
	*kindStore
	authorizer rbac.Authorizer
}

// Create refuses to escalate.
func (p policyStore) Create(ctx context.Context, o runtime.Object, check rest.ValidateObjectFunc, opts *metav1.CreateOptions) (runtime.Object, error) {
	return p.kindStore.Create(ctx, o, func(ctx context.Context, o runtime.Object) error {
		if err := p.judge(ctx, o); err != nil || check == nil {
			return err
		}
		return check(ctx, o)
	}, opts)
}

// Update refuses to escalate.
func (p policyStore) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, force bool, opts *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	checked := rest.WrapUpdatedObjectInfo(info, func(ctx context.Context, o, _ runtime.Object) (runtime.Object, error) {
		return o, p.judge(ctx, o)
	})
	return p.kindStore.Update(ctx, name, checked, create, update, force, opts)
}

// judge fails if the user may not give the rights that o gives.
func (p policyStore) judge(ctx context.Context, o runtime.Object) error {
	who, err := userOf(ctx)
	if err != nil {
		return err
	}
	ns, name := request.NamespaceValue(ctx), ""
	switch x := o.(type) {
	case *rbacv1.Role:
		name, err = x.Name, p.authorizer.MayWriteRole(ctx, who, p.r.plural, ns, x.Name, x.Rules)
	case *rbacv1.ClusterRole:
		name, err = x.Name, p.authorizer.MayWriteRole(ctx, who, p.r.plural, "", x.Name, x.Rules)
	case *rbacv1.RoleBinding:
		name, err = x.Name, p.authorizer.MayBind(ctx, who, ns, x.RoleRef)
	case *rbacv1.ClusterRoleBinding:
		name, err = x.Name, p.authorizer.MayBind(ctx, who, "", x.RoleRef)
	}
	if err == nil || apierrors.IsNotFound(err) {
		return err
	}
	return apierrors.NewForbidden(p.r.groupResource(), name, err)
}
