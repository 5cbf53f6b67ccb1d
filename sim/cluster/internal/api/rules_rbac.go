package api

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// rbacName lets roles have names as "system:node".
func rbacName(name string, _ bool) []string { return content.IsPathSegmentName(name) }

func roleRules() rules {
	return rules{
		name:     rbacName,
		validate: on(func(r *rbacv1.Role) field.ErrorList { return validPolicyRules(r.Rules, true) }),
	}
}

func clusterRoleRules() rules {
	return rules{
		name: rbacName,
		validate: on(func(r *rbacv1.ClusterRole) field.ErrorList {
			errs := validPolicyRules(r.Rules, false)
			if r.AggregationRule != nil {
				errs = append(errs, field.Forbidden(field.NewPath("aggregationRule"), "the in-process cluster does not aggregate cluster roles: list the rules"))
			}
			return errs
		}),
	}
}

func validPolicyRules(list []rbacv1.PolicyRule, namespaced bool) field.ErrorList {
	var errs field.ErrorList
	for i, r := range list {
		at := field.NewPath("rules").Index(i)
		if len(r.Verbs) == 0 {
			errs = append(errs, field.Required(at.Child("verbs"), "verbs must contain at least one value"))
		}
		if len(r.NonResourceURLs) > 0 {
			urls := at.Child("nonResourceURLs")
			if namespaced {
				errs = append(errs, field.Invalid(urls, r.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs"))
			}
			if len(r.APIGroups)+len(r.Resources)+len(r.ResourceNames) > 0 {
				errs = append(errs, field.Invalid(urls, r.NonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs"))
			}
			continue
		}
		if len(r.APIGroups) == 0 {
			errs = append(errs, field.Required(at.Child("apiGroups"), "resource rules must supply at least one api group"))
		}
		if len(r.Resources) == 0 {
			errs = append(errs, field.Required(at.Child("resources"), "resource rules must supply at least one resource"))
		}
	}
	return errs
}

func roleBindingRules() rules {
	return rules{
		name: rbacName,
		validate: on(func(b *rbacv1.RoleBinding) field.ErrorList {
			return validBinding(b.RoleRef, b.Subjects, true, "Role", "ClusterRole")
		}),
		replace: on2(func(b, old *rbacv1.RoleBinding) field.ErrorList {
			return fixed(field.NewPath("roleRef"), b.RoleRef, old.RoleRef)
		}),
	}
}

func clusterRoleBindingRules() rules {
	return rules{
		name: rbacName,
		validate: on(func(b *rbacv1.ClusterRoleBinding) field.ErrorList {
			return validBinding(b.RoleRef, b.Subjects, false, "ClusterRole")
		}),
		replace: on2(func(b, old *rbacv1.ClusterRoleBinding) field.ErrorList {
			return fixed(field.NewPath("roleRef"), b.RoleRef, old.RoleRef)
		}),
	}
}

// validBinding checks who is given which role. kinds are those of roles that the binding may name.
func validBinding(ref rbacv1.RoleRef, subjects []rbacv1.Subject, namespaced bool, kinds ...string) field.ErrorList {
	at := field.NewPath("roleRef")
	errs := supported(at.Child("apiGroup"), ref.APIGroup, rbacv1.GroupName)
	errs = append(errs, supported(at.Child("kind"), ref.Kind, kinds...)...)
	if ref.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	}
	for _, msg := range rbacName(ref.Name, false) {
		errs = append(errs, field.Invalid(at.Child("name"), ref.Name, msg))
	}
	for i, s := range subjects {
		errs = append(errs, validSubject(s, namespaced, field.NewPath("subjects").Index(i))...)
	}
	return errs
}

func validSubject(s rbacv1.Subject, namespaced bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	}
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		if s.Name != "" {
			for _, msg := range apivalidation.ValidateServiceAccountName(s.Name, false) {
				errs = append(errs, field.Invalid(at.Child("name"), s.Name, msg))
			}
		}
		errs = append(errs, supported(at.Child("apiGroup"), s.APIGroup, "")...)
		if !namespaced && s.Namespace == "" {
			errs = append(errs, field.Required(at.Child("namespace"), ""))
		}
	case rbacv1.UserKind, rbacv1.GroupKind:
		errs = append(errs, supported(at.Child("apiGroup"), s.APIGroup, rbacv1.GroupName)...)
	default:
		errs = append(errs, supported(at.Child("kind"), s.Kind, rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind)...)
	}
	return errs
}

// rbacDefaults fills in whose API a subject belongs to.
func rbacDefaults(ref *rbacv1.RoleRef, subjects []rbacv1.Subject) {
	fill(&ref.APIGroup, rbacv1.GroupName)
	for i := range subjects {
		if s := &subjects[i]; s.Kind == rbacv1.UserKind || s.Kind == rbacv1.GroupKind {
			fill(&s.APIGroup, rbacv1.GroupName)
		}
	}
}
