package api

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validContainers checks a pod's containers, and that their names differ from those of its init containers.
func validContainers(s *corev1.PodSpec, volumes map[string]bool, at *field.Path) field.ErrorList {
	if len(s.Containers) == 0 {
		return field.ErrorList{field.Required(at.Child("containers"), "")}
	}
	var errs field.ErrorList
	names := map[string]bool{}
	each := func(list []corev1.Container, at *field.Path, own func(c *corev1.Container, at *field.Path) field.ErrorList) {
		for i := range list {
			c, at := &list[i], at.Index(i)
			errs = append(errs, validContainer(c, volumes, at)...)
			if names[c.Name] {
				errs = append(errs, field.Duplicate(at.Child("name"), c.Name))
			}
			names[c.Name] = c.Name != ""
			errs = append(errs, own(c, at)...)
		}
	}
	each(s.Containers, at.Child("containers"), validProbes)
	each(s.InitContainers, at.Child("initContainers"), func(c *corev1.Container, at *field.Path) field.ErrorList {
		if p := c.RestartPolicy; p != nil && *p == corev1.ContainerRestartPolicyAlways {
			return validProbes(c, at)
		}
		return noProbes(c, at)
	})
	return append(errs, hostPorts(s.Containers, at.Child("containers"))...)
}

// validContainer checks what holds for every container. volumes are those that may be mounted.
func validContainer(c *corev1.Container, volumes map[string]bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	} else {
		errs = append(errs, label(at.Child("name"), c.Name)...)
	}
	if c.Image == "" {
		errs = append(errs, field.Required(at.Child("image"), ""))
	}
	errs = append(errs, oneOf(at.Child("terminationMessagePolicy"), c.TerminationMessagePolicy, corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)...)
	errs = append(errs, validPorts(c.Ports, at.Child("ports"))...)
	errs = append(errs, validEnv(c.Env, at.Child("env"))...)
	errs = append(errs, validEnvFrom(c.EnvFrom, at.Child("envFrom"))...)
	errs = append(errs, validMounts(c, volumes, at.Child("volumeMounts"))...)
	errs = append(errs, oneOf(at.Child("imagePullPolicy"), c.ImagePullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)...)
	errs = append(errs, validResources(c.Resources, at.Child("resources"))...)
	return append(errs, validSecurity(c.SecurityContext, at.Child("securityContext"))...)
}

func validPorts(ports []corev1.ContainerPort, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := map[string]bool{}
	for i, p := range ports {
		at := at.Index(i)
		if p.Name != "" {
			bad := invalid(at.Child("name"), p.Name, validation.IsValidPortName(p.Name))
			if len(bad) == 0 && names[p.Name] {
				bad = field.ErrorList{field.Duplicate(at.Child("name"), p.Name)}
			}
			errs = append(errs, bad...)
			names[p.Name] = true
		}
		if p.ContainerPort == 0 {
			errs = append(errs, field.Required(at.Child("containerPort"), ""))
		} else {
			errs = append(errs, portNumber(at.Child("containerPort"), p.ContainerPort)...)
		}
		if p.HostPort != 0 {
			errs = append(errs, portNumber(at.Child("hostPort"), p.HostPort)...)
		}
		errs = append(errs, oneOf(at.Child("protocol"), p.Protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)...)
	}
	return errs
}

// hostPorts checks that no two ports want the same of the node.
func hostPorts(list []corev1.Container, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, c := range list {
		for j, p := range c.Ports {
			if p.HostPort == 0 {
				continue
			}
			key := fmt.Sprintf("%s/%s/%d", p.Protocol, p.HostIP, p.HostPort)
			if seen[key] {
				errs = append(errs, field.Duplicate(at.Index(i).Child("ports").Index(j).Child("hostPort"), key))
			}
			seen[key] = true
		}
	}
	return errs
}

func validResources(r corev1.ResourceRequirements, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(r.Limits)) {
		errs = append(errs, validResource(name, r.Limits[name], at.Child("limits").Key(string(name)))...)
	}
	requests := at.Child("requests")
	for _, name := range slices.Sorted(maps.Keys(r.Requests)) {
		q := r.Requests[name]
		errs = append(errs, validResource(name, q, requests.Key(string(name)))...)
		switch limit, limited := r.Limits[name]; {
		case !limited && !divisible(name):
			errs = append(errs, field.Required(at.Child("limits"), "Limit must be set for non overcommitable resources"))
		case limited && !divisible(name) && q.Cmp(limit) != 0:
			errs = append(errs, field.Invalid(requests, q.String(), fmt.Sprintf("must be equal to %s limit of %s", name, limit.String())))
		case limited && q.Cmp(limit) > 0:
			errs = append(errs, field.Invalid(requests, q.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String())))
		}
	}
	return errs
}

// divisible tells whether more of a resource may be promised than there is: not of huge pages and devices.
func divisible(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") && !strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

func validResource(name corev1.ResourceName, q apiresource.Quantity, at *field.Path) field.ErrorList {
	errs := invalid(at, name, validation.IsQualifiedName(string(name)))
	known := name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage
	switch {
	case len(errs) > 0 || known || strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
	case strings.Contains(string(name), "/"):
		if q.MilliValue()%1000 != 0 {
			errs = append(errs, field.Invalid(at, q, "must be an integer"))
		}
	default:
		if !slices.Contains([]corev1.ResourceName{corev1.ResourceStorage, corev1.ResourcePods, corev1.ResourceServices, corev1.ResourceSecrets, corev1.ResourceConfigMaps}, name) {
			errs = append(errs, field.Invalid(at, name, "must be a standard resource type or fully qualified"))
		}
		errs = append(errs, field.Invalid(at, name, "must be a standard resource for containers"))
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
