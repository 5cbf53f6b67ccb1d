package api

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func nodeRules() rules {
	return rules{
		validate: on(func(n *corev1.Node) field.ErrorList {
			errs := validTaints(n.Spec.Taints, field.NewPath("metadata", "taints")) // Kubernetes names the wrong parent
			for _, l := range []struct {
				name string
				list corev1.ResourceList
			}{{"capacity", n.Status.Capacity}, {"allocatable", n.Status.Allocatable}} {
				for _, name := range slices.Sorted(maps.Keys(l.list)) {
					errs = append(errs, quantity(field.NewPath("status", l.name, string(name)), l.list[name])...)
				}
			}
			return errs
		}),
		replace: on2(func(n, old *corev1.Node) field.ErrorList {
			at, now, was := field.NewPath("spec", "providerID"), n.Spec.ProviderID, old.Spec.ProviderID
			switch {
			case was == "" || now == was:
				return nil
			case now == "":
				return field.ErrorList{field.Invalid(at, nil, "field cannot be cleared once set")}
			}
			return field.ErrorList{field.Invalid(at, nil, "field cannot be modified once set")}
		}),
	}
}
