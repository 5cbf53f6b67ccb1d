package rbac

import (
	"context"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/component-helpers/auth/rbac/validation"
)

// MayWriteRole fails if u would give rights in a role that u does not have and may not escalate to. resource is "roles"
// or "clusterroles"; namespace is "" for the latter.
func (z Authorizer) MayWriteRole(ctx context.Context, u user.Info, resource, namespace, name string, rules []rbacv1.PolicyRule) error {
	if z.may(ctx, u, "escalate", resource, namespace, name) {
		return nil
	}
	return z.covered(u, namespace, rules)
}

// MayBind fails if u would give a role with rights that u does not have and may not bind.
func (z Authorizer) MayBind(ctx context.Context, u user.Info, namespace string, ref rbacv1.RoleRef) error {
	resource := "clusterroles"
	if ref.Kind == "Role" {
		resource = "roles"
	}
	if z.may(ctx, u, "bind", resource, namespace, ref.Name) {
		return nil
	}
	rules, err := z.rules(ref, namespace)
	if err != nil {
		return err
	}
	return z.covered(u, namespace, rules)
}

func (z Authorizer) may(ctx context.Context, u user.Info, verb, resource, namespace, name string) bool {
	d, _, err := z.Authorize(ctx, authorizer.AttributesRecord{
		User: u, Verb: verb, Namespace: namespace, Name: name, ResourceRequest: true,
		APIGroup: rbacv1.GroupName, APIVersion: "*", Resource: resource,
	})
	return err == nil && d == authorizer.DecisionAllow
}

// covered fails, in Kubernetes' words, unless u has all of rules.
func (z Authorizer) covered(u user.Info, namespace string, rules []rbacv1.PolicyRule) error {
	ok, missing := validation.Covers(z.RulesFor(u, namespace), rules)
	if ok {
		return nil
	}
	var lines []string
	for _, r := range missing {
		lines = append(lines, compact(r))
	}
	slices.Sort(lines)
	// Kubernetes' own words.
	return fmt.Errorf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s",
		u.GetName(), u.GetGroups(), strings.Join(slices.Compact(lines), "\n"))
}

// compact writes a rule on one line.
func compact(r rbacv1.PolicyRule) string {
	var parts []string
	for _, p := range []struct {
		name string
		list []string
	}{
		{"APIGroups", r.APIGroups},
		{"Resources", r.Resources},
		{"NonResourceURLs", r.NonResourceURLs},
		{"ResourceNames", r.ResourceNames},
		{"Verbs", r.Verbs},
	} {
		if len(p.list) > 0 {
			parts = append(parts, fmt.Sprintf("%s:%q", p.name, p.list))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
