package api

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// roleColumns are those of roles and cluster roles. They say when a role was made, to the second, not how long ago.
func roleColumns() columns {
	return columns{createdColumn()}
}

func roleBindingColumns() columns {
	return bindingColumns(func(b *rbacv1.RoleBinding) (rbacv1.RoleRef, []rbacv1.Subject) { return b.RoleRef, b.Subjects })
}

func clusterRoleBindingColumns() columns {
	return bindingColumns(func(b *rbacv1.ClusterRoleBinding) (rbacv1.RoleRef, []rbacv1.Subject) { return b.RoleRef, b.Subjects })
}

func bindingColumns[O any](of func(b *O) (rbacv1.RoleRef, []rbacv1.Subject)) columns {
	subjects := func(kind string) func(b *O) any {
		return func(b *O) any {
			_, list := of(b)
			var names []string
			for _, s := range list {
				switch {
				case s.Kind != kind:
				case kind == rbacv1.ServiceAccountKind:
					names = append(names, s.Namespace+"/"+s.Name)
				default:
					names = append(names, s.Name)
				}
			}
			return strings.Join(names, ", ")
		}
	}
	return columns{
		show("Role", func(b *O) any {
			ref, _ := of(b)
			return ref.Kind + "/" + ref.Name
		}),
		ageColumn(),
		wide("Users", subjects(rbacv1.UserKind)), wide("Groups", subjects(rbacv1.GroupKind)), wide("ServiceAccounts", subjects(rbacv1.ServiceAccountKind)),
	}
}
