package api

import (
	"fmt"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func podRules() rules {
	return rules{
		create:   do(podCreated),
		update:   podUpdated,
		validate: on(validPod),
		replace:  on2(podReplaced),
		grace:    podGrace,
	}
}

// podCreated gives a new pod its first status.
func podCreated(p *corev1.Pod) {
	p.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: qosClass(p)}
}

// podUpdated keeps what binding alone may set.
func podUpdated(o, old runtime.Object) {
	p, ok := o.(*corev1.Pod)
	was, same := old.(*corev1.Pod)
	if ok && same && p.Spec.NodeName == "" {
		p.Spec.NodeName = was.Spec.NodeName
	}
}

// podGrace gives how long a pod may take to end: what was asked for, or what the pod says. One that was never placed, or
// has ended, goes at once.
func podGrace(o runtime.Object, asked *int64) *int64 {
	p, ok := o.(*corev1.Pod)
	if !ok {
		return nil
	}
	period := int64(corev1.DefaultTerminationGracePeriodSeconds)
	switch {
	case asked != nil:
		period = *asked
	case p.Spec.TerminationGracePeriodSeconds != nil:
		period = *p.Spec.TerminationGracePeriodSeconds
	}
	if p.Spec.NodeName == "" || p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded {
		period = 0
	}
	period = max(period, 0)
	return &period
}

// qosClass tells how a pod's promises about CPU and memory are classed.
// Source: Kubernetes documentation, "Pod Quality of Service Classes".
func qosClass(p *corev1.Pod) corev1.PodQOSClass {
	some, all := false, true
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		for _, n := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			request, limit := c.Resources.Requests[n], c.Resources.Limits[n]
			some = some || !request.IsZero() || !limit.IsZero()
			all = all && !limit.IsZero() && request.Cmp(limit) == 0
		}
	}
	switch {
	case !some:
		return corev1.PodQOSBestEffort
	case all:
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

// podReplaced lets an update change what a running pod can follow, and nothing else.
func podReplaced(p, old *corev1.Pod) field.ErrorList {
	spec := field.NewPath("spec")
	if len(p.Spec.Containers) != len(old.Spec.Containers) {
		return field.ErrorList{field.Forbidden(spec.Child("containers"), "pod updates may not add or remove containers")}
	}
	if len(p.Spec.InitContainers) != len(old.Spec.InitContainers) {
		return field.ErrorList{field.Forbidden(spec.Child("initContainers"), "pod updates may not add or remove containers")}
	}
	at, now, was := spec.Child("activeDeadlineSeconds"), p.Spec.ActiveDeadlineSeconds, old.Spec.ActiveDeadlineSeconds
	var errs field.ErrorList
	switch {
	case now == nil && was != nil:
		errs = append(errs, field.Invalid(at, now, "must not update from a positive integer to nil value"))
	case now != nil && was != nil && *was < *now:
		return field.ErrorList{field.Invalid(at, *now, "must be less than or equal to previous value")}
	}
	if !tolerates(p.Spec.Tolerations, old.Spec.Tolerations) {
		errs = append(errs, field.Forbidden(spec.Child("tolerations"), "existing toleration can not be modified except its tolerationSeconds"))
	}
	like := p.Spec.DeepCopy()
	for i := range like.Containers {
		like.Containers[i].Image = old.Spec.Containers[i].Image
	}
	for i := range like.InitContainers {
		like.InitContainers[i].Image = old.Spec.InitContainers[i].Image
	}
	like.ActiveDeadlineSeconds, like.Tolerations = old.Spec.ActiveDeadlineSeconds, old.Spec.Tolerations
	if len(like.SchedulingGates) < len(old.Spec.SchedulingGates) {
		like.SchedulingGates = old.Spec.SchedulingGates
	}
	if old.Spec.NodeName == "" {
		like.NodeName = "" // set by binding
	}
	if apiequality.Semantic.DeepEqual(*like, old.Spec) {
		return errs
	}
	return append(errs, field.Forbidden(spec, "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"+
		"`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "+
		"(allow it to be set to 1 if it was previously negative)\n"+diff.Diff(old.Spec, *like)))
}

// tolerates tells whether now has all that was, with other times perhaps.
func tolerates(now, was []corev1.Toleration) bool {
	return !slices.ContainsFunc(was, func(o corev1.Toleration) bool {
		return !slices.ContainsFunc(now, func(n corev1.Toleration) bool {
			o.TolerationSeconds = n.TolerationSeconds
			return apiequality.Semantic.DeepEqual(n, o)
		})
	})
}

// validPod checks a pod. A template may name an image with blanks around, a pod may not.
func validPod(p *corev1.Pod) field.ErrorList {
	at := field.NewPath("spec")
	errs := validPodSpec(&p.Spec, at)
	blanks := func(list []corev1.Container, at *field.Path) {
		for i, c := range list {
			if strings.TrimSpace(c.Image) != c.Image {
				errs = append(errs, field.Invalid(at.Index(i).Child("image"), c.Image, "must not have leading or trailing whitespace"))
			}
		}
	}
	blanks(p.Spec.Containers, at.Child("containers"))
	blanks(p.Spec.InitContainers, at.Child("initContainers"))
	return errs
}

// validPodSpec checks what a pod, or a workload's template, says.
func validPodSpec(s *corev1.PodSpec, at *field.Path) field.ErrorList {
	errs, volumes := validVolumes(s.Volumes, at.Child("volumes"))
	errs = append(errs, validContainers(s, volumes, at)...)
	errs = append(errs, oneOf(at.Child("restartPolicy"), s.RestartPolicy, corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)...)
	errs = append(errs, oneOf(at.Child("dnsPolicy"), s.DNSPolicy, corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)...)
	errs = append(errs, validLabels(s.NodeSelector, at.Child("nodeSelector"))...)
	errs = append(errs, validPodSecurity(s.SecurityContext, at.Child("securityContext"))...)
	if s.ShareProcessNamespace != nil && *s.ShareProcessNamespace && s.HostPID {
		errs = append(errs, field.Invalid(at.Child("shareProcessNamespace"), true, "ShareProcessNamespace and HostPID cannot both be enabled"))
	}
	errs = append(errs, validAffinity(s.Affinity, at.Child("affinity"))...)
	errs = append(errs, validDNS(s, at.Child("dnsConfig"))...)
	for i, g := range s.ReadinessGates {
		errs = append(errs, invalid(at.Child("readinessGates").Index(i).Child("conditionType"), string(g.ConditionType), validation.IsQualifiedName(string(g.ConditionType)))...)
	}
	errs = append(errs, validSpread(s.TopologySpreadConstraints, at.Child("topologySpreadConstraints"))...)
	for _, n := range []struct {
		name, value string
		check       func(at *field.Path, v string) field.ErrorList
	}{
		{"serviceAccountName", s.ServiceAccountName, subdomain},
		{"nodeName", s.NodeName, subdomain},
		{"hostname", s.Hostname, label},
		{"subdomain", s.Subdomain, label},
		{"priorityClassName", s.PriorityClassName, subdomain},
		{"runtimeClassName", deref(s.RuntimeClassName, ""), subdomain},
	} {
		if n.value != "" {
			errs = append(errs, n.check(at.Child(n.name), n.value)...)
		}
	}
	if d := s.ActiveDeadlineSeconds; d != nil && (*d < 1 || *d > math.MaxInt32) {
		errs = append(errs, field.Invalid(at.Child("activeDeadlineSeconds"), *d, validation.InclusiveRangeError(1, math.MaxInt32)))
	}
	errs = append(errs, validTolerations(s.Tolerations, at.Child("tolerations"))...)
	for i, h := range s.HostAliases {
		at := at.Child("hostAliases").Index(i)
		errs = append(errs, validation.IsValidIP(at.Child("ip"), h.IP)...)
		for j, name := range h.Hostnames {
			errs = append(errs, subdomain(at.Child("hostnames").Index(j), name)...)
		}
	}
	if p := s.PreemptionPolicy; p != nil {
		errs = append(errs, oneOf(at.Child("preemptionPolicy"), *p, corev1.PreemptLowerPriority, corev1.PreemptNever)...)
	}
	return errs
}

// The limits of a resolver's configuration.
// Source: the API reference of Kubernetes 1.37, PodDNSConfig; they are those of glibc.
const maxNameservers, maxSearches = 3, 32

func validDNS(s *corev1.PodSpec, at *field.Path) field.ErrorList {
	c := s.DNSConfig
	if s.DNSPolicy == corev1.DNSNone {
		switch {
		case c == nil:
			return field.ErrorList{field.Required(at, "must provide `dnsConfig` when `dnsPolicy` is None")}
		case len(c.Nameservers) == 0:
			return field.ErrorList{field.Required(at.Child("nameservers"), "must provide at least one DNS nameserver when `dnsPolicy` is None")}
		}
	}
	if c == nil {
		return nil
	}
	var errs field.ErrorList
	if len(c.Nameservers) > maxNameservers {
		errs = append(errs, field.Invalid(at.Child("nameservers"), c.Nameservers, fmt.Sprintf("must not have more than %v nameservers", maxNameservers)))
	}
	for i, ns := range c.Nameservers {
		errs = append(errs, validation.IsValidIP(at.Child("nameservers").Index(i), ns)...)
	}
	if len(c.Searches) > maxSearches {
		errs = append(errs, field.Invalid(at.Child("searches"), c.Searches, fmt.Sprintf("must not have more than %v search paths", maxSearches)))
	}
	for i, o := range c.Options {
		if o.Name == "" {
			errs = append(errs, field.Required(at.Child("options").Index(i), "must not be empty"))
		}
	}
	return errs
}
