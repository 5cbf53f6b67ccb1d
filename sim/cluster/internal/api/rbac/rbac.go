// Package rbac decides who may do what in the cluster, as Kubernetes' RBAC does: by roles, and bindings that give them to
// users, groups and service accounts. It reads roles and bindings from a [Source] at each decision, so that a change holds
// from the next request on. It authenticates nobody.
package rbac

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// Source gives the cluster's roles and bindings. What it gives is only read.
type Source interface {
	// Role gives a role by name, or false.
	Role(namespace, name string) (*rbacv1.Role, bool)
	// ClusterRole gives a cluster role by name, or false.
	ClusterRole(name string) (*rbacv1.ClusterRole, bool)
	// RoleBindings gives the bindings of a namespace.
	RoleBindings(namespace string) []*rbacv1.RoleBinding
	// ClusterRoleBindings gives the bindings that hold everywhere.
	ClusterRoleBindings() []*rbacv1.ClusterRoleBinding
}

// Authorizer decides by what Source says. Members of system:masters may do everything, whatever it says. It is safe for
// concurrent use if Source is.
type Authorizer struct{ Source Source }

var _ authorizer.Authorizer = Authorizer{}

// Authorize allows a request that a rule of the user allows, and else has no opinion; the reason says what allows it, or
// which role is missing.
func (z Authorizer) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if slices.Contains(a.GetUser().GetGroups(), user.SystemPrivilegedGroup) {
		return authorizer.DecisionAllow, "", nil
	}
	var missing []error
	for g := range z.grants(a.GetUser(), a.GetNamespace()) {
		if g.err != nil {
			missing = append(missing, g.err)
		}
		for _, r := range g.rules {
			if allows(&r, a) {
				return authorizer.DecisionAllow, "RBAC: allowed by " + g.String(), nil
			}
		}
	}
	if err := errors.Join(missing...); err != nil {
		return authorizer.DecisionNoOpinion, "RBAC: " + err.Error(), nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// ConditionsAwareAuthorize allows without conditions.
func (z Authorizer) ConditionsAwareAuthorize(ctx context.Context, a authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(z.Authorize(ctx, a))
}

// EvaluateConditions is never needed: no decision has conditions.
func (Authorizer) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision, authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

// RulesFor lists what u may do in a namespace, and everywhere.
func (z Authorizer) RulesFor(u user.Info, namespace string) []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	for g := range z.grants(u, namespace) {
		out = append(out, g.rules...)
	}
	if slices.Contains(u.GetGroups(), user.SystemPrivilegedGroup) {
		out = append(out, Everything()...)
	}
	return out
}

// Everything are the rules that allow everything.
func Everything() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{Verbs: []string{rbacv1.VerbAll}, APIGroups: []string{rbacv1.APIGroupAll}, Resources: []string{rbacv1.ResourceAll}},
		{Verbs: []string{rbacv1.VerbAll}, NonResourceURLs: []string{rbacv1.NonResourceAll}},
	}
}

// grant is what one binding gives to a user.
type grant struct {
	binding, name string // "ClusterRoleBinding", its name
	role          rbacv1.RoleRef
	subject       rbacv1.Subject
	namespace     string // of the binding
	rules         []rbacv1.PolicyRule
	err           error // the role is missing
}

// String describes the grant as Kubernetes does in a decision's reason.
func (g grant) String() string {
	name, subject := g.name, g.subject.Name
	if g.namespace != "" {
		name += "/" + g.namespace
	}
	if g.subject.Kind == rbacv1.ServiceAccountKind {
		in := g.subject.Namespace
		if in == "" {
			in = g.namespace
		}
		subject += "/" + in
	}
	return fmt.Sprintf("%s %q of %s %q to %s %q", g.binding, name, g.role.Kind, g.role.Name, g.subject.Kind, subject)
}

// grants goes through the bindings of u that hold in namespace; "" is the cluster's scope.
func (z Authorizer) grants(u user.Info, namespace string) func(yield func(grant) bool) {
	return func(yield func(grant) bool) {
		for _, b := range z.Source.ClusterRoleBindings() {
			i := slices.IndexFunc(b.Subjects, func(s rbacv1.Subject) bool { return is(u, s, "") })
			if i < 0 {
				continue
			}
			g := grant{binding: "ClusterRoleBinding", name: b.Name, role: b.RoleRef, subject: b.Subjects[i]}
			g.rules, g.err = z.rules(b.RoleRef, "")
			if !yield(g) {
				return
			}
		}
		if namespace == "" {
			return
		}
		for _, b := range z.Source.RoleBindings(namespace) {
			i := slices.IndexFunc(b.Subjects, func(s rbacv1.Subject) bool { return is(u, s, namespace) })
			if i < 0 {
				continue
			}
			g := grant{binding: "RoleBinding", name: b.Name, role: b.RoleRef, subject: b.Subjects[i], namespace: namespace}
			g.rules, g.err = z.rules(b.RoleRef, namespace)
			if !yield(g) {
				return
			}
		}
	}
}

func (z Authorizer) rules(ref rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error) {
	if ref.Kind == "Role" {
		if r, ok := z.Source.Role(namespace, ref.Name); ok {
			return r.Rules, nil
		}
		return nil, apierrors.NewNotFound(rbacv1.Resource("role"), ref.Name)
	}
	if r, ok := z.Source.ClusterRole(ref.Name); ok {
		return r.Rules, nil
	}
	return nil, apierrors.NewNotFound(rbacv1.Resource("clusterrole"), ref.Name)
}

// is tells whether u is meant by a binding's subject. namespace is the binding's.
func is(u user.Info, s rbacv1.Subject, namespace string) bool {
	switch s.Kind {
	case rbacv1.UserKind:
		return u.GetName() == s.Name
	case rbacv1.GroupKind:
		return slices.Contains(u.GetGroups(), s.Name)
	case rbacv1.ServiceAccountKind:
		if s.Namespace != "" {
			namespace = s.Namespace
		}
		return namespace != "" && u.GetName() == "system:serviceaccount:"+namespace+":"+s.Name
	}
	return false
}

// allows tells whether a rule allows what is asked.
func allows(r *rbacv1.PolicyRule, a authorizer.Attributes) bool {
	if !matches(r.Verbs, a.GetVerb()) {
		return false
	}
	if !a.IsResourceRequest() {
		return slices.ContainsFunc(r.NonResourceURLs, func(u string) bool {
			prefix, wild := strings.CutSuffix(u, "*")
			return u == a.GetPath() || wild && strings.HasPrefix(a.GetPath(), prefix)
		})
	}
	what := a.GetResource()
	if sub := a.GetSubresource(); sub != "" {
		if what += "/" + sub; slices.Contains(r.Resources, "*/"+sub) {
			what = "*/" + sub
		}
	}
	return matches(r.APIGroups, a.GetAPIGroup()) && matches(r.Resources, what) &&
		(len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, a.GetName()))
}

// matches tells whether a list, which may have a "*", has v.
func matches(list []string, v string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, v)
}
