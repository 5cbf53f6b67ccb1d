package api

import (
	"context"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/dpesim/dpesim/sim/cluster/internal/api/rbac"
)

// bootstrapPolicy gives the roles and bindings that every cluster has.
func bootstrapPolicy(resources []*resource) []runtime.Object {
	read := []string{"get", "list", "watch"}
	urls := func(verb string, paths ...string) []rbacv1.PolicyRule {
		return []rbacv1.PolicyRule{{Verbs: []string{verb}, NonResourceURLs: paths}}
	}
	public := []string{"/healthz", "/livez", "/readyz", "/version", "/version/"}
	discovery := append([]string{"/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"}, public...)
	visible := func(only func(r *resource) bool) []rbacv1.PolicyRule { return readable(resources, read, only) }
	write := []string{"create", "delete", "deletecollection", "patch", "update"}

	return []runtime.Object{
		clusterRole("cluster-admin", rbac.Everything()),
		clusterRole("system:discovery", urls("get", discovery...)),
		clusterRole("system:public-info-viewer", urls("get", public...)),
		clusterRole("system:basic-user", []rbacv1.PolicyRule{
			{Verbs: []string{"create"}, APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"selfsubjectaccessreviews", "selfsubjectrulesreviews"}},
			{Verbs: []string{"create"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"selfsubjectreviews"}},
		}),
		// What people may do in their own namespaces, for bindings of the cluster's owner.
		clusterRole("view", visible(func(r *resource) bool { return r.namespaced && !secret(r) && r.kind.Group != rbacv1.GroupName })),
		clusterRole("edit", slices.Concat(
			visible(func(r *resource) bool { return r.namespaced && r.kind.Group != rbacv1.GroupName }),
			readable(resources, write, func(r *resource) bool { return editable(r) && r.kind.Group != rbacv1.GroupName }), evict())),
		clusterRole("admin", slices.Concat(
			visible(func(r *resource) bool { return r.namespaced }), readable(resources, write, editable), evict())),
		// What the kubeconfig's viewer may do: see everything but secrets, everywhere.
		clusterRole(viewers, visible(func(r *resource) bool { return !secret(r) })),

		clusterBinding("cluster-admin", "cluster-admin", user.SystemPrivilegedGroup),
		clusterBinding(operators, "cluster-admin", operators),
		clusterBinding(viewers, viewers, viewers),
		clusterBinding("system:discovery", "system:discovery", user.AllAuthenticated),
		clusterBinding("system:basic-user", "system:basic-user", user.AllAuthenticated),
		clusterBinding("system:public-info-viewer", "system:public-info-viewer", user.AllAuthenticated, user.AllUnauthenticated),
	}
}

// loadPolicy puts the roles and bindings of [bootstrapPolicy] in place: as in Kubernetes, at each start, unless a changed
// one asks to be left alone by the annotation rbac.authorization.kubernetes.io/autoupdate: "false".
func (reg *registry) loadPolicy(ctx context.Context) error {
	for _, o := range bootstrapPolicy(reg.resources) {
		m, err := meta.Accessor(o)
		if err != nil {
			return err
		}
		s := reg.stores["clusterroles"]
		if _, is := o.(*rbacv1.ClusterRoleBinding); is {
			s = reg.stores["clusterrolebindings"]
		}
		_, err = s.Create(ctx, o.DeepCopyObject(), rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			info := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
				return restored(old.DeepCopyObject(), o), nil
			})
			_, _, err = s.Update(ctx, m.GetName(), info, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
		}
		if err != nil {
			return fmt.Errorf("restore %s %s: %w", s.r.singular, m.GetName(), err)
		}
	}
	return nil
}

// restored gives a role or binding as it should be.
func restored(is, should runtime.Object) runtime.Object {
	switch x := is.(type) {
	case *rbacv1.ClusterRole:
		if want, ok := should.(*rbacv1.ClusterRole); ok && x.Annotations[rbacv1.AutoUpdateAnnotationKey] != "false" {
			x.Rules = want.Rules
		}
	case *rbacv1.ClusterRoleBinding:
		if want, ok := should.(*rbacv1.ClusterRoleBinding); ok && x.Annotations[rbacv1.AutoUpdateAnnotationKey] != "false" {
			x.Subjects = want.Subjects
		}
	}
	return is
}

// policySource reads roles and bindings for decisions: as they are in memory, also while they are being written.
type policySource struct{ reg *registry }

// Role gives a role.
func (p policySource) Role(namespace, name string) (*rbacv1.Role, bool) {
	o, ok := p.reg.peek("roles", namespace, name).(*rbacv1.Role)
	return o, ok
}

// ClusterRole gives a cluster role.
func (p policySource) ClusterRole(name string) (*rbacv1.ClusterRole, bool) {
	o, ok := p.reg.peek("clusterroles", "", name).(*rbacv1.ClusterRole)
	return o, ok
}

// RoleBindings gives the bindings of a namespace.
func (p policySource) RoleBindings(namespace string) []*rbacv1.RoleBinding {
	return peekAll[rbacv1.RoleBinding](p.reg.stores["rolebindings"], namespace)
}

// ClusterRoleBindings gives the bindings of the cluster.
func (p policySource) ClusterRoleBindings() []*rbacv1.ClusterRoleBinding {
	return peekAll[rbacv1.ClusterRoleBinding](p.reg.stores["clusterrolebindings"], "")
}

func secret(r *resource) bool { return r.plural == "secrets" }

// editable is what the owner of a namespace writes; what the cluster writes by itself is not.
func editable(r *resource) bool {
	return r.namespaced && !slices.Contains([]string{"endpoints", "endpointslices", "leases", "events"}, r.plural)
}

func evict() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{{Verbs: []string{"create"}, APIGroups: []string{""}, Resources: []string{"pods/eviction"}}}
}

// readable gives a rule for each group of the resources that are chosen, with their subresources.
func readable(resources []*resource, verbs []string, chosen func(r *resource) bool) []rbacv1.PolicyRule {
	byGroup := map[string][]string{}
	var groups []string
	for _, r := range resources {
		if !chosen(r) {
			continue
		}
		if _, known := byGroup[r.kind.Group]; !known {
			groups = append(groups, r.kind.Group)
		}
		list := append(byGroup[r.kind.Group], r.plural)
		if r.scale {
			list = append(list, r.plural+"/scale")
		}
		if slices.Contains(verbs, "list") {
			if r.has("Status") {
				list = append(list, r.plural+"/status")
			}
			if r.plural == "pods" {
				list = append(list, "pods/log")
			}
		}
		byGroup[r.kind.Group] = list
	}
	var out []rbacv1.PolicyRule
	for _, g := range groups {
		out = append(out, rbacv1.PolicyRule{Verbs: verbs, APIGroups: []string{g}, Resources: byGroup[g]})
	}
	return out
}

// bootstrapMeta marks what comes from here.
// Source: Kubernetes documentation, "Default roles and role bindings".
func bootstrapMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"}}
}

func clusterRole(name string, rules []rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: bootstrapMeta(name), Rules: rules}
}

func clusterBinding(name, role string, groups ...string) *rbacv1.ClusterRoleBinding {
	b := &rbacv1.ClusterRoleBinding{ObjectMeta: bootstrapMeta(name), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}}
	for _, g := range groups {
		b.Subjects = append(b.Subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: g})
	}
	return b
}
