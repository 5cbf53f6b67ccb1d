package api

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func claimRules() rules {
	return rules{
		create: do(func(c *corev1.PersistentVolumeClaim) {
			c.Status.Phase = corev1.ClaimPending
			c.Finalizers = protected(c.Finalizers, "kubernetes.io/pvc-protection")
		}),
		validate: on(func(c *corev1.PersistentVolumeClaim) field.ErrorList {
			return validClaimSpec(&c.Spec, field.NewPath("spec"))
		}),
		replace: on2(claimReplaced),
	}
}

// protected adds the finalizer that keeps storage which is in use. Source: Kubernetes, "Storage Object in Use Protection".
func protected(finalizers []string, keep string) []string {
	if slices.Contains(finalizers, keep) {
		return finalizers
	}
	return append(finalizers, keep)
}

// claimReplaced lets a bound claim grow, and nothing else.
func claimReplaced(c, old *corev1.PersistentVolumeClaim) field.ErrorList {
	var errs field.ErrorList
	now, was := c.Spec.DeepCopy(), old.Spec.DeepCopy()
	if was.VolumeName == "" {
		was.VolumeName = now.VolumeName // bound by the volume controller
	}
	if was.StorageClassName == nil {
		was.StorageClassName = now.StorageClassName // chosen by the volume controller
	}
	if c.Status.Phase == corev1.ClaimBound {
		if now.Resources.Requests != nil {
			now.Resources.Requests[corev1.ResourceStorage] = was.Resources.Requests[corev1.ResourceStorage]
		}
		now.VolumeAttributesClassName = was.VolumeAttributesClassName
	}
	if !apiequality.Semantic.DeepEqual(now, was) {
		errs = append(errs, field.Forbidden(field.NewPath("spec"),
			"spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n"+diff.Diff(*was, *now)))
	}
	size, before, has := c.Spec.Resources.Requests[corev1.ResourceStorage], old.Spec.Resources.Requests[corev1.ResourceStorage], old.Status.Capacity[corev1.ResourceStorage]
	if size.Cmp(before) < 0 && size.Cmp(has) <= 0 {
		errs = append(errs, field.Forbidden(field.NewPath("spec", "resources", "requests", "storage"), "field can not be less than status.capacity"))
	}
	return append(errs, fixed(field.NewPath("volumeMode"), c.Spec.VolumeMode, old.Spec.VolumeMode)...)
}

func volumeRules() rules {
	return rules{
		create: do(func(v *corev1.PersistentVolume) {
			v.Status.Phase = corev1.VolumePending
			v.Finalizers = protected(v.Finalizers, "kubernetes.io/pv-protection")
		}),
		validate: on(func(v *corev1.PersistentVolume) field.ErrorList {
			at := field.NewPath("spec")
			errs := validAccessModes(v.Spec.AccessModes, at.Child("accessModes"))
			size, said := v.Spec.Capacity[corev1.ResourceStorage]
			switch {
			case len(v.Spec.Capacity) == 0:
				errs = append(errs, field.Required(at.Child("capacity"), ""))
			case !said || len(v.Spec.Capacity) > 1:
				errs = append(errs, field.NotSupported(at.Child("capacity"), v.Spec.Capacity, []corev1.ResourceName{corev1.ResourceStorage}))
			case size.Sign() <= 0:
				errs = append(errs, field.Invalid(at.Child("capacity").Key(string(corev1.ResourceStorage)), size.String(), positive))
			}
			errs = append(errs, supported(at.Child("persistentVolumeReclaimPolicy"), v.Spec.PersistentVolumeReclaimPolicy,
				corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRecycle, corev1.PersistentVolumeReclaimRetain)...)
			if a := v.Spec.NodeAffinity; a != nil {
				if a.Required == nil {
					errs = append(errs, field.Required(at.Child("nodeAffinity", "required"), "must specify required node constraints"))
				} else {
					errs = append(errs, validNodeTerms(a.Required, at.Child("nodeAffinity", "required"))...)
				}
			}
			switch kinds := chosen(v.Spec.PersistentVolumeSource); {
			case len(kinds) == 0:
				errs = append(errs, field.Required(at, "must specify a volume type"))
			case len(kinds) > 1:
				errs = append(errs, field.Forbidden(at.Child(kinds[1]), "may not specify more than 1 volume type"))
			}
			return errs
		}),
		replace: on2(func(v, old *corev1.PersistentVolume) field.ErrorList {
			if apiequality.Semantic.DeepEqual(v.Spec.PersistentVolumeSource, old.Spec.PersistentVolumeSource) {
				return nil
			}
			return field.ErrorList{field.Forbidden(field.NewPath("spec", "persistentvolumesource"),
				"spec.persistentvolumesource is immutable after creation\n"+diff.Diff(old.Spec.PersistentVolumeSource, v.Spec.PersistentVolumeSource))}
		}),
	}
}

func classRules() rules {
	return rules{
		validate: on(func(c *storagev1.StorageClass) field.ErrorList {
			at := field.NewPath("provisioner")
			if c.Provisioner == "" {
				return field.ErrorList{field.Required(at, "")}
			}
			name := strings.ToLower(c.Provisioner)
			errs := invalid(at, name, validation.IsQualifiedName(name))
			if p := c.ReclaimPolicy; p != nil {
				errs = append(errs, supported(field.NewPath("reclaimPolicy"), *p, corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRetain)...)
			}
			if m := c.VolumeBindingMode; m != nil {
				errs = append(errs, supported(field.NewPath("volumeBindingMode"), *m, storagev1.VolumeBindingImmediate, storagev1.VolumeBindingWaitForFirstConsumer)...)
			}
			return errs
		}),
		replace: on2(func(c, old *storagev1.StorageClass) field.ErrorList {
			errs := fixed(field.NewPath("parameters"), c.Parameters, old.Parameters)
			errs = append(errs, fixed(field.NewPath("provisioner"), c.Provisioner, old.Provisioner)...)
			errs = append(errs, fixed(field.NewPath("reclaimPolicy"), c.ReclaimPolicy, old.ReclaimPolicy)...)
			return append(errs, fixed(field.NewPath("volumeBindingMode"), c.VolumeBindingMode, old.VolumeBindingMode)...)
		}),
	}
}
