package api

import (
	"fmt"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validContainer checks a container. names are those that the pod has already; volumes those that may be mounted.
func validContainer(c *corev1.Container, volumes, names map[string]bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case c.Name == "":
		errs = append(errs, field.Required(at.Child("name"), ""))
	case names[c.Name]:
		errs = append(errs, field.Duplicate(at.Child("name"), c.Name))
	default:
		errs = append(errs, label(at.Child("name"), c.Name)...)
	}
	names[c.Name] = true
	switch {
	case c.Image == "":
		errs = append(errs, field.Required(at.Child("image"), ""))
	case strings.TrimSpace(c.Image) != c.Image:
		errs = append(errs, field.Invalid(at.Child("image"), c.Image, "must not have leading or trailing whitespace"))
	}
	errs = append(errs, oneOf(at.Child("imagePullPolicy"), c.ImagePullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)...)
	errs = append(errs, oneOf(at.Child("terminationMessagePolicy"), c.TerminationMessagePolicy, corev1.TerminationMessageFallbackToLogsOnError, corev1.TerminationMessageReadFile)...)
	errs = append(errs, validPorts(c.Ports, at.Child("ports"))...)
	errs = append(errs, validEnv(c.Env, at.Child("env"))...)
	errs = append(errs, validEnvFrom(c.EnvFrom, at.Child("envFrom"))...)
	errs = append(errs, validMounts(c.VolumeMounts, volumes, at.Child("volumeMounts"))...)
	errs = append(errs, validResources(c.Resources, at.Child("resources"))...)
	errs = append(errs, validProbe(c.LivenessProbe, at.Child("livenessProbe"))...)
	errs = append(errs, validProbe(c.ReadinessProbe, at.Child("readinessProbe"))...)
	errs = append(errs, validProbe(c.StartupProbe, at.Child("startupProbe"))...)
	return errs
}

func validPorts(ports []corev1.ContainerPort, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := map[string]bool{}
	for i, p := range ports {
		at := at.Index(i)
		if p.Name != "" {
			for _, msg := range validation.IsValidPortName(p.Name) {
				errs = append(errs, field.Invalid(at.Child("name"), p.Name, msg))
			}
			if names[p.Name] {
				errs = append(errs, field.Duplicate(at.Child("name"), p.Name))
			}
			names[p.Name] = true
		}
		if p.ContainerPort == 0 {
			errs = append(errs, field.Required(at.Child("containerPort"), ""))
		} else {
			errs = append(errs, portNumber(at.Child("containerPort"), p.ContainerPort)...)
		}
		errs = append(errs, oneOf(at.Child("protocol"), p.Protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)...)
	}
	return errs
}

func validEnv(env []corev1.EnvVar, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, e := range env {
		at := at.Index(i)
		if e.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		} else {
			for _, msg := range validation.IsRelaxedEnvVarName(e.Name) {
				errs = append(errs, field.Invalid(at.Child("name"), e.Name, msg))
			}
		}
		if e.ValueFrom == nil {
			continue
		}
		at = at.Child("valueFrom")
		switch n := pointers(*e.ValueFrom); {
		case n == 0:
			errs = append(errs, field.Invalid(at, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"))
		case e.Value != "":
			errs = append(errs, field.Invalid(at, "", "may not be specified when `value` is not empty"))
		case n > 1:
			errs = append(errs, field.Invalid(at, "", "may not have more than one field specified at a time"))
		}
		if r := e.ValueFrom.SecretKeyRef; r != nil {
			errs = append(errs, validKeyRef(r.Key, at.Child("secretKeyRef"))...)
		}
		if r := e.ValueFrom.ConfigMapKeyRef; r != nil {
			errs = append(errs, validKeyRef(r.Key, at.Child("configMapKeyRef"))...)
		}
	}
	return errs
}

func validKeyRef(key string, at *field.Path) field.ErrorList {
	if key == "" {
		return field.ErrorList{field.Required(at.Child("key"), "")}
	}
	var errs field.ErrorList
	for _, msg := range validation.IsConfigMapKey(key) {
		errs = append(errs, field.Invalid(at.Child("key"), key, msg))
	}
	return errs
}

func validEnvFrom(from []corev1.EnvFromSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, e := range from {
		switch n := pointers(e); {
		case n == 0:
			errs = append(errs, field.Invalid(at.Index(i), "", "must specify one of: `configMapRef` or `secretRef`"))
		case n > 1:
			errs = append(errs, field.Invalid(at.Index(i), "", "may not have more than one field specified at a time"))
		}
	}
	return errs
}

// pointers counts a struct's pointers that are set: how many of its alternatives were chosen.
func pointers(x any) int {
	v, n := reflect.ValueOf(x), 0
	for _, f := range v.Fields() {
		if f.Kind() == reflect.Pointer && !f.IsNil() {
			n++
		}
	}
	return n
}

func validMounts(mounts []corev1.VolumeMount, volumes map[string]bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	paths := map[string]bool{}
	for i, m := range mounts {
		at := at.Index(i)
		switch {
		case m.Name == "":
			errs = append(errs, field.Required(at.Child("name"), ""))
		case !volumes[m.Name]:
			errs = append(errs, field.NotFound(at.Child("name"), m.Name))
		}
		switch {
		case m.MountPath == "":
			errs = append(errs, field.Required(at.Child("mountPath"), ""))
		case paths[m.MountPath]:
			errs = append(errs, field.Invalid(at.Child("mountPath"), m.MountPath, "must be unique"))
		}
		paths[m.MountPath] = true
		if m.SubPath != "" {
			errs = append(errs, localPath(at.Child("subPath"), m.SubPath)...)
		}
	}
	return errs
}

// localPath checks a path that must stay inside what it is relative to.
func localPath(at *field.Path, p string) field.ErrorList {
	var errs field.ErrorList
	if strings.HasPrefix(p, "/") {
		errs = append(errs, field.Invalid(at, p, "must be a relative path"))
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == ".." {
			return append(errs, field.Invalid(at, p, "must not contain '..'"))
		}
	}
	return errs
}

func validResources(r corev1.ResourceRequirements, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for name, q := range r.Limits {
		errs = append(errs, validQuantity(name, q, at.Child("limits").Key(string(name)))...)
	}
	for name, q := range r.Requests {
		errs = append(errs, validQuantity(name, q, at.Child("requests").Key(string(name)))...)
		if limit, ok := r.Limits[name]; ok && q.Cmp(limit) > 0 {
			errs = append(errs, field.Invalid(at.Child("requests"), q.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String())))
		}
	}
	return errs
}

func validQuantity(name corev1.ResourceName, q apiresource.Quantity, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, msg := range validation.IsQualifiedName(string(name)) {
		errs = append(errs, field.Invalid(at, name, msg))
	}
	if !strings.Contains(string(name), "/") {
		switch {
		case strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
		case name == corev1.ResourceCPU, name == corev1.ResourceMemory, name == corev1.ResourceEphemeralStorage:
		default:
			errs = append(errs, field.Invalid(at, name, "must be a standard resource for containers"))
		}
	}
	return append(errs, quantity(at, q)...)
}

// quantity checks that q is not negative.
func quantity(at *field.Path, q apiresource.Quantity) field.ErrorList {
	if q.Sign() < 0 {
		return field.ErrorList{field.Invalid(at, q.String(), notNegative)}
	}
	return nil
}

func validProbe(p *corev1.Probe, at *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	var errs field.ErrorList
	switch n := pointers(p.ProbeHandler); {
	case n == 0:
		errs = append(errs, field.Required(at, "must specify a handler type"))
	case n > 1:
		errs = append(errs, field.Forbidden(at, "may not specify more than 1 handler type"))
	}
	if g := p.HTTPGet; g != nil {
		errs = append(errs, portOrName(at.Child("httpGet", "port"), g.Port)...)
	}
	if s := p.TCPSocket; s != nil {
		errs = append(errs, portOrName(at.Child("tcpSocket", "port"), s.Port)...)
	}
	for _, n := range []struct {
		name  string
		value int32
	}{
		{"initialDelaySeconds", p.InitialDelaySeconds},
		{"timeoutSeconds", p.TimeoutSeconds},
		{"periodSeconds", p.PeriodSeconds},
		{"successThreshold", p.SuccessThreshold},
		{"failureThreshold", p.FailureThreshold},
	} {
		if n.value < 0 {
			errs = append(errs, field.Invalid(at.Child(n.name), n.value, notNegative))
		}
	}
	return errs
}

// portOrName checks a port that is given by number or by a container port's name.
func portOrName(at *field.Path, p intstr.IntOrString) field.ErrorList {
	if p.Type == intstr.Int {
		return portNumber(at, p.IntVal)
	}
	var errs field.ErrorList
	for _, msg := range validation.IsValidPortName(p.StrVal) {
		errs = append(errs, field.Invalid(at, p.StrVal, msg))
	}
	return errs
}

func portNumber(at *field.Path, n int32) field.ErrorList {
	var errs field.ErrorList
	for _, msg := range validation.IsValidPortNum(int(n)) {
		errs = append(errs, field.Invalid(at, n, msg))
	}
	return errs
}

// validVolumes checks a pod's volumes and gives their names.
func validVolumes(list []corev1.Volume, at *field.Path) (field.ErrorList, map[string]bool) {
	var errs field.ErrorList
	names := map[string]bool{}
	for i, v := range list {
		at := at.Index(i)
		switch {
		case v.Name == "":
			errs = append(errs, field.Required(at.Child("name"), ""))
		case names[v.Name]:
			errs = append(errs, field.Duplicate(at.Child("name"), v.Name))
		default:
			errs = append(errs, label(at.Child("name"), v.Name)...)
		}
		names[v.Name] = true
		if pointers(v.VolumeSource) > 1 {
			errs = append(errs, field.Forbidden(at, "may not specify more than 1 volume type"))
		}
		if v.Secret != nil && v.Secret.SecretName == "" {
			errs = append(errs, field.Required(at.Child("secret", "secretName"), ""))
		}
		if v.ConfigMap != nil && v.ConfigMap.Name == "" {
			errs = append(errs, field.Required(at.Child("configMap", "name"), ""))
		}
		if c := v.PersistentVolumeClaim; c != nil && c.ClaimName == "" {
			errs = append(errs, field.Required(at.Child("persistentVolumeClaim", "claimName"), ""))
		}
	}
	return errs, names
}

// pullPolicy is what Kubernetes takes if a container does not say: an image that may change under its tag is always pulled.
func pullPolicy(image string) corev1.PullPolicy {
	if strings.Contains(image, "@") {
		return corev1.PullIfNotPresent
	}
	_, tag, tagged := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	if !tagged || tag == "latest" {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}
