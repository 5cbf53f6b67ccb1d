package api

import (
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validVolumes checks a pod's volumes and gives their names.
func validVolumes(list []corev1.Volume, at *field.Path) (field.ErrorList, map[string]bool) {
	var errs field.ErrorList
	names := map[string]bool{}
	for i, v := range list {
		at := at.Index(i)
		bad := validVolumeSource(&v.VolumeSource, at)
		switch {
		case v.Name == "":
			bad = append(bad, field.Required(at.Child("name"), ""))
		case names[v.Name]:
			bad = append(bad, field.Duplicate(at.Child("name"), v.Name))
		default:
			bad = append(bad, label(at.Child("name"), v.Name)...)
		}
		if len(bad) == 0 { // only what is right can be mounted
			names[v.Name] = true
		}
		errs = append(errs, bad...)
	}
	return errs, names
}

func validVolumeSource(v *corev1.VolumeSource, at *field.Path) field.ErrorList {
	if kinds := chosen(*v); len(kinds) > 1 {
		return field.ErrorList{field.Forbidden(at.Child(kinds[1]), "may not specify more than 1 volume type")}
	}
	switch {
	case v.EmptyDir != nil:
		if l := v.EmptyDir.SizeLimit; l != nil && l.Sign() < 0 {
			return field.ErrorList{field.Forbidden(at.Child("emptyDir", "sizeLimit"), "SizeLimit field must be a valid resource quantity")}
		}
	case v.HostPath != nil:
		return validHostPath(v.HostPath, at.Child("hostPath"))
	case v.Secret != nil:
		return validFiles("secretName", v.Secret.SecretName, v.Secret.DefaultMode, v.Secret.Items, at.Child("secret"))
	case v.ConfigMap != nil:
		return validFiles("name", v.ConfigMap.Name, v.ConfigMap.DefaultMode, v.ConfigMap.Items, at.Child("configMap"))
	case v.PersistentVolumeClaim != nil:
		if v.PersistentVolumeClaim.ClaimName == "" {
			return field.ErrorList{field.Required(at.Child("persistentVolumeClaim", "claimName"), "")}
		}
	case v.Ephemeral != nil:
		return validClaimTemplate(v.Ephemeral.VolumeClaimTemplate, at.Child("ephemeral", "volumeClaimTemplate"))
	case v.DownwardAPI != nil:
		return validDownward(v.DownwardAPI.Items, v.DownwardAPI.DefaultMode, at.Child("downwardAPI"))
	case v.Projected != nil:
		return validProjection(v.Projected, at.Child("projected"))
	}
	return nil
}

// chosen names the alternatives that are set in a struct of pointers, in its order.
func chosen(alternatives any) []string {
	v := reflect.ValueOf(alternatives)
	var names []string
	for t, f := range v.Fields() {
		if f.Kind() == reflect.Pointer && !f.IsNil() {
			name, _, _ := strings.Cut(t.Tag.Get("json"), ",")
			names = append(names, name)
		}
	}
	return names
}

// pointers counts a struct's alternatives that are set.
func pointers(alternatives any) int { return len(chosen(alternatives)) }

func validHostPath(h *corev1.HostPathVolumeSource, at *field.Path) field.ErrorList {
	if h.Path == "" {
		return field.ErrorList{field.Required(at.Child("path"), "")}
	}
	errs := noSteps(at.Child("path"), h.Path)
	if t := h.Type; t != nil {
		errs = append(errs, supported(at.Child("type"), *t, corev1.HostPathUnset, corev1.HostPathBlockDev, corev1.HostPathCharDev, corev1.HostPathDirectory,
			corev1.HostPathDirectoryOrCreate, corev1.HostPathFile, corev1.HostPathFileOrCreate, corev1.HostPathSocket)...)
	}
	return errs
}

// validFiles checks a secret or a config map that is mounted.
func validFiles(nameField, name string, mode *int32, items []corev1.KeyToPath, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if name == "" {
		errs = append(errs, field.Required(at.Child(nameField), ""))
	}
	errs = append(errs, fileMode(at.Child("defaultMode"), mode)...)
	for i, it := range items {
		at := at.Child("items").Index(i)
		if it.Key == "" {
			errs = append(errs, field.Required(at.Child("key"), ""))
		}
		if it.Path == "" {
			errs = append(errs, field.Required(at.Child("path"), ""))
		}
		errs = append(errs, ownPath(at.Child("path"), it.Path)...)
		errs = append(errs, fileMode(at.Child("mode"), it.Mode)...)
	}
	return errs
}

func fileMode(at *field.Path, mode *int32) field.ErrorList {
	if mode == nil || *mode >= 0 && *mode <= 0o777 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, *mode, "must be a number between 0 and 0777 (octal), both inclusive")}
}

func validDownward(items []corev1.DownwardAPIVolumeFile, mode *int32, at *field.Path) field.ErrorList {
	errs := fileMode(at.Child("defaultMode"), mode)
	for i, it := range items {
		at := at.Child("items").Index(i)
		if it.Path == "" {
			errs = append(errs, field.Required(at.Child("path"), ""))
		}
		errs = append(errs, ownPath(at.Child("path"), it.Path)...)
		switch {
		case it.FieldRef != nil && it.ResourceFieldRef != nil:
			errs = append(errs, field.Invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
		case it.FieldRef != nil:
			errs = append(errs, validFieldRef(it.FieldRef, at.Child("fieldRef"), "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")...)
		case it.ResourceFieldRef != nil && it.ResourceFieldRef.ContainerName == "":
			errs = append(errs, field.Required(at.Child("resourceFieldRef", "containerName"), ""))
		case it.ResourceFieldRef != nil:
			errs = append(errs, validResourceRef(it.ResourceFieldRef, at.Child("resourceFieldRef"))...)
		default:
			errs = append(errs, field.Required(at.Child("fieldRef"), "one of fieldRef and resourceFieldRef is required"))
		}
		errs = append(errs, fileMode(at.Child("mode"), it.Mode)...)
	}
	return errs
}

func validProjection(p *corev1.ProjectedVolumeSource, at *field.Path) field.ErrorList {
	errs := fileMode(at.Child("defaultMode"), p.DefaultMode)
	for i, src := range p.Sources {
		at := at.Child("sources").Index(i)
		if kinds := chosen(src); len(kinds) > 1 {
			errs = append(errs, field.Forbidden(at.Child(kinds[1]), "may not specify more than 1 volume type per source"))
			continue
		}
		switch {
		case src.Secret != nil:
			errs = append(errs, validFiles("name", src.Secret.Name, nil, src.Secret.Items, at.Child("secret"))...)
		case src.ConfigMap != nil:
			errs = append(errs, validFiles("name", src.ConfigMap.Name, nil, src.ConfigMap.Items, at.Child("configMap"))...)
		case src.DownwardAPI != nil:
			errs = append(errs, validDownward(src.DownwardAPI.Items, nil, at.Child("downwardAPI"))...)
		case src.ServiceAccountToken != nil && src.ServiceAccountToken.Path == "":
			errs = append(errs, field.Required(at.Child("serviceAccountToken", "path"), ""))
		}
	}
	return errs
}

func validMounts(c *corev1.Container, volumes map[string]bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	paths := map[string]bool{}
	for i, m := range c.VolumeMounts {
		one := at.Index(i)
		if m.Name == "" {
			errs = append(errs, field.Required(one.Child("name"), ""))
		}
		if !volumes[m.Name] {
			errs = append(errs, field.NotFound(one.Child("name"), m.Name))
		}
		if m.MountPath == "" {
			errs = append(errs, field.Required(one.Child("mountPath"), ""))
		}
		if paths[m.MountPath] {
			errs = append(errs, field.Invalid(one.Child("mountPath"), m.MountPath, "must be unique"))
		}
		paths[m.MountPath] = true
		errs = append(errs, localPath(at.Child("subPath"), m.SubPath)...) // Kubernetes names the list here, not the entry
		if m.SubPathExpr != "" && m.SubPath != "" {
			errs = append(errs, field.Invalid(one.Child("subPathExpr"), m.SubPathExpr, "subPathExpr and subPath are mutually exclusive"))
		}
		errs = append(errs, localPath(at.Child("subPathExpr"), m.SubPathExpr)...)
		if p := m.MountPropagation; p != nil {
			at := at.Child("mountPropagation")
			errs = append(errs, supported(at, *p, corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer, corev1.MountPropagationNone)...)
			if s := c.SecurityContext; *p == corev1.MountPropagationBidirectional && (s == nil || s.Privileged == nil || !*s.Privileged) {
				errs = append(errs, field.Forbidden(at, "Bidirectional mount propagation is available only to privileged containers"))
			}
		}
	}
	return errs
}

// ownPath checks the path of a file in a volume.
func ownPath(at *field.Path, p string) field.ErrorList {
	errs := localPath(at, p)
	if strings.HasPrefix(p, "..") && !strings.HasPrefix(p, "../") {
		errs = append(errs, field.Invalid(at, p, "must not start with '..'"))
	}
	return errs
}

// localPath checks a path that must stay inside what it is relative to.
func localPath(at *field.Path, p string) field.ErrorList {
	var errs field.ErrorList
	if strings.HasPrefix(p, "/") {
		errs = append(errs, field.Invalid(at, p, "must be a relative path"))
	}
	return append(errs, noSteps(at, p)...)
}

// noSteps checks that a path does not go up.
func noSteps(at *field.Path, p string) field.ErrorList {
	for part := range strings.SplitSeq(p, "/") {
		if part == ".." {
			return field.ErrorList{field.Invalid(at, p, "must not contain '..'")}
		}
	}
	return nil
}

// validClaimTemplate checks the claim that a pod brings along.
func validClaimTemplate(t *corev1.PersistentVolumeClaimTemplate, at *field.Path) field.ErrorList {
	if t == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	errs := apivalidation.ValidateAnnotations(t.Annotations, at.Child("metadata", "annotations"))
	errs = append(errs, validLabels(t.Labels, at.Child("metadata", "labels"))...)
	return append(errs, validClaimSpec(&t.Spec, at.Child("spec"))...)
}

func validClaimSpec(s *corev1.PersistentVolumeClaimSpec, at *field.Path) field.ErrorList {
	errs := validAccessModes(s.AccessModes, at.Child("accessModes"))
	errs = append(errs, validSelector(s.Selector, at.Child("selector"))...)
	size := at.Child("resources").Key(string(corev1.ResourceStorage))
	switch q, said := s.Resources.Requests[corev1.ResourceStorage]; {
	case !said:
		errs = append(errs, field.Required(size, ""))
	case q.Sign() <= 0:
		errs = append(errs, field.Invalid(size, q.String(), positive))
	case q.MilliValue()%1000 != 0:
		errs = append(errs, field.Invalid(size, q, "must be an integer"))
	}
	if s.StorageClassName != nil && *s.StorageClassName != "" {
		errs = append(errs, subdomain(at.Child("storageClassName"), *s.StorageClassName)...)
	}
	if m := s.VolumeMode; m != nil {
		errs = append(errs, supported(at.Child("volumeMode"), *m, corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)...)
	}
	return errs
}

func validAccessModes(modes []corev1.PersistentVolumeAccessMode, at *field.Path) field.ErrorList {
	if len(modes) == 0 {
		return field.ErrorList{field.Required(at, "at least 1 access mode is required")}
	}
	var errs field.ErrorList
	one := false
	for _, m := range modes {
		errs = append(errs, supported(at, m, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod)...)
		one = one || m == corev1.ReadWriteOncePod
	}
	if one && len(modes) > 1 {
		errs = append(errs, field.Forbidden(at, "may not use ReadWriteOncePod with other access modes"))
	}
	return errs
}
