package api

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validEnv(env []corev1.EnvVar, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, e := range env {
		at := at.Index(i)
		if e.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		} else {
			errs = append(errs, invalid(at.Child("name"), e.Name, validation.IsRelaxedEnvVarName(e.Name))...)
		}
		if e.ValueFrom != nil {
			errs = append(errs, validValueFrom(e, at.Child("valueFrom"))...)
		}
	}
	return errs
}

func validValueFrom(e corev1.EnvVar, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	f := e.ValueFrom
	if f.FieldRef != nil {
		errs = append(errs, validFieldRef(f.FieldRef, at.Child("fieldRef"),
			"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs")...)
	}
	if f.ResourceFieldRef != nil {
		errs = append(errs, validResourceRef(f.ResourceFieldRef, at.Child("resourceFieldRef"))...)
	}
	if f.ConfigMapKeyRef != nil {
		errs = append(errs, validKeyRef(f.ConfigMapKeyRef.Name, f.ConfigMapKeyRef.Key, at.Child("configMapKeyRef"))...)
	}
	if f.SecretKeyRef != nil {
		errs = append(errs, validKeyRef(f.SecretKeyRef.Name, f.SecretKeyRef.Key, at.Child("secretKeyRef"))...)
	}
	switch n := pointers(*f); {
	case n == 0:
		errs = append(errs, field.Invalid(at, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"))
	case e.Value != "":
		errs = append(errs, field.Invalid(at, "", "may not be specified when `value` is not empty"))
	case n > 1:
		errs = append(errs, field.Invalid(at, "", "may not have more than one field specified at a time"))
	}
	return errs
}

func validKeyRef(name, key string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	}
	if key == "" {
		return append(errs, field.Required(at.Child("key"), ""))
	}
	return append(errs, invalid(at.Child("key"), key, validation.IsConfigMapKey(key))...)
}

// validFieldRef checks what a container may know of its pod. paths are those without a subscript.
func validFieldRef(r *corev1.ObjectFieldSelector, at *field.Path, paths ...string) field.ErrorList {
	switch {
	case r.APIVersion == "":
		return field.ErrorList{field.Required(at.Child("apiVersion"), "")}
	case r.FieldPath == "":
		return field.ErrorList{field.Required(at.Child("fieldPath"), "")}
	}
	if path, rest, ok := strings.Cut(r.FieldPath, "['"); ok && strings.HasSuffix(rest, "']") {
		key := strings.TrimSuffix(rest, "']")
		switch path {
		case "metadata.annotations":
			key = strings.ToLower(key)
		case "metadata.labels":
		default:
			return field.ErrorList{field.Invalid(at.Child("fieldPath"), r.FieldPath, "error converting fieldPath: field label does not support subscript")}
		}
		return invalid(at, key, validation.IsQualifiedName(key))
	}
	known := append([]string{"metadata.annotations", "metadata.labels"}, paths...)
	known = append(known, "spec.restartPolicy", "spec.schedulerName", "status.phase")
	if !slices.Contains(known, r.FieldPath) {
		return field.ErrorList{field.Invalid(at.Child("fieldPath"), r.FieldPath, "error converting fieldPath: field label not supported: "+r.FieldPath)}
	}
	return supported(at.Child("fieldPath"), r.FieldPath, paths...)
}

// validResourceRef checks what a container may know of its resources.
func validResourceRef(r *corev1.ResourceFieldSelector, at *field.Path) field.ErrorList {
	if r.Resource == "" {
		return field.ErrorList{field.Required(at.Child("resource"), "")}
	}
	return supported(at.Child("resource"), r.Resource,
		"limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory")
}

func validEnvFrom(from []corev1.EnvFromSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, e := range from {
		if e.Prefix != "" {
			errs = append(errs, invalid(at.Index(i).Child("prefix"), e.Prefix, validation.IsRelaxedEnvVarName(e.Prefix))...)
		}
		names := map[string]string{}
		if e.ConfigMapRef != nil {
			names["configMapRef"] = e.ConfigMapRef.Name
		}
		if e.SecretRef != nil {
			names["secretRef"] = e.SecretRef.Name
		}
		for _, kind := range slices.Sorted(maps.Keys(names)) {
			at := at.Index(i).Child(kind, "name")
			if names[kind] == "" {
				errs = append(errs, field.Required(at, ""))
				continue
			}
			errs = append(errs, invalid(at, names[kind], apivalidation.NameIsDNSSubdomain(names[kind], true))...)
		}
		switch n := len(names); { // Kubernetes names the list here, not the entry
		case n == 0:
			errs = append(errs, field.Invalid(at, "", "must specify one of: `configMapRef` or `secretRef`"))
		case n > 1:
			errs = append(errs, field.Invalid(at, "", "may not have more than one field specified at a time"))
		}
	}
	return errs
}
