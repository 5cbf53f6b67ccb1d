package api

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func claimColumns() columns {
	return columns{
		show("Status", func(c *corev1.PersistentVolumeClaim) any {
			return string(phaseOf(c.DeletionTimestamp, c.Status.Phase))
		}),
		show("Volume", func(c *corev1.PersistentVolumeClaim) any { return c.Spec.VolumeName }),
		show("Capacity", func(c *corev1.PersistentVolumeClaim) any {
			if c.Spec.VolumeName == "" {
				return ""
			}
			return storageOf(c.Status.Capacity)
		}),
		show("Access Modes", func(c *corev1.PersistentVolumeClaim) any {
			if c.Spec.VolumeName == "" {
				return ""
			}
			return accessModes(c.Status.AccessModes)
		}),
		show("StorageClass", func(c *corev1.PersistentVolumeClaim) any { return deref(c.Spec.StorageClassName, "") }),
		show("VolumeAttributesClass", func(c *corev1.PersistentVolumeClaim) any { return deref(c.Spec.VolumeAttributesClassName, unset) }),
		ageColumn(),
		wide("VolumeMode", func(c *corev1.PersistentVolumeClaim) any { return string(deref(c.Spec.VolumeMode, unset)) }),
	}
}

func volumeColumns() columns {
	return columns{
		show("Capacity", func(v *corev1.PersistentVolume) any { return storageOf(v.Spec.Capacity) }),
		show("Access Modes", func(v *corev1.PersistentVolume) any { return accessModes(v.Spec.AccessModes) }),
		show("Reclaim Policy", func(v *corev1.PersistentVolume) any { return string(v.Spec.PersistentVolumeReclaimPolicy) }),
		show("Status", func(v *corev1.PersistentVolume) any { return string(phaseOf(v.DeletionTimestamp, v.Status.Phase)) }),
		show("Claim", func(v *corev1.PersistentVolume) any {
			if v.Spec.ClaimRef == nil {
				return ""
			}
			return v.Spec.ClaimRef.Namespace + "/" + v.Spec.ClaimRef.Name
		}),
		show("StorageClass", func(v *corev1.PersistentVolume) any { return v.Spec.StorageClassName }),
		show("VolumeAttributesClass", func(v *corev1.PersistentVolume) any { return deref(v.Spec.VolumeAttributesClassName, unset) }),
		show("Reason", func(v *corev1.PersistentVolume) any { return v.Status.Reason }), ageColumn(),
		wide("VolumeMode", func(v *corev1.PersistentVolume) any { return string(deref(v.Spec.VolumeMode, unset)) }),
	}
}

// phaseOf is a phase, unless the object is being deleted.
func phaseOf[P ~string](deleted *metav1.Time, phase P) P {
	if deleted != nil {
		return "Terminating"
	}
	return phase
}

func storageOf(l corev1.ResourceList) string {
	q := l[corev1.ResourceStorage]
	return q.String()
}

func accessModes(modes []corev1.PersistentVolumeAccessMode) string {
	short := map[corev1.PersistentVolumeAccessMode]string{
		corev1.ReadWriteOnce: "RWO", corev1.ReadOnlyMany: "ROX", corev1.ReadWriteMany: "RWX", corev1.ReadWriteOncePod: "RWOP",
	}
	var out []string
	for _, m := range modes {
		out = append(out, short[m])
	}
	return strings.Join(out, ",")
}

func classColumns() columns {
	return columns{
		show("Provisioner", func(c *storagev1.StorageClass) any { return c.Provisioner }),
		show("ReclaimPolicy", func(c *storagev1.StorageClass) any {
			return string(deref(c.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete))
		}),
		show("VolumeBindingMode", func(c *storagev1.StorageClass) any {
			return string(deref(c.VolumeBindingMode, storagev1.VolumeBindingImmediate))
		}),
		show("AllowVolumeExpansion", func(c *storagev1.StorageClass) any { return deref(c.AllowVolumeExpansion, false) }), ageColumn(),
	}
}

// isDefaultClass is the annotation of the class that claims get which name none.
const isDefaultClass = "storageclass.kubernetes.io/is-default-class"

// defaultClass names the class that claims get which name none: of several the newest.
func defaultClass(l *storagev1.StorageClassList) string {
	var found *storagev1.StorageClass
	for i := range l.Items {
		c := &l.Items[i]
		if c.Annotations[isDefaultClass] == "true" && (found == nil || found.CreationTimestamp.Before(&c.CreationTimestamp)) {
			found = c
		}
	}
	if found == nil {
		return ""
	}
	return found.Name
}
