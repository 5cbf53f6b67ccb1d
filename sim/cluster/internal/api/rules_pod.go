package api

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func podRules() rules {
	return rules{
		create:   do(podCreated),
		update:   podUpdated,
		validate: on(func(p *corev1.Pod) field.ErrorList { return validPodSpec(&p.Spec, field.NewPath("spec")) }),
		replace:  on2(podReplaced),
		grace:    podGrace,
	}
}

// podCreated does what the admission of a real cluster does: every pod has a service account, and outlasts short outages.
func podCreated(p *corev1.Pod) {
	fill(&p.Spec.ServiceAccountName, "default")
	p.Spec.DeprecatedServiceAccount = p.Spec.ServiceAccountName
	tolerateOutages(p)
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
	like := p.Spec.DeepCopy()
	for i := range like.Containers {
		like.Containers[i].Image = old.Spec.Containers[i].Image
	}
	for i := range like.InitContainers {
		like.InitContainers[i].Image = old.Spec.InitContainers[i].Image
	}
	like.ActiveDeadlineSeconds = old.Spec.ActiveDeadlineSeconds
	if old.Spec.NodeName == "" {
		like.NodeName = "" // set by binding
	}
	if len(like.Tolerations) >= len(old.Spec.Tolerations) && !slices.ContainsFunc(old.Spec.Tolerations, func(t corev1.Toleration) bool {
		return !slices.ContainsFunc(p.Spec.Tolerations, func(n corev1.Toleration) bool { return n.MatchToleration(&t) })
	}) {
		like.Tolerations = old.Spec.Tolerations
	}
	if apiequality.Semantic.DeepEqual(*like, old.Spec) {
		return nil
	}
	return field.ErrorList{field.Forbidden(spec, "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"+
		"`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "+
		"(allow it to be set to 1 if it was previously negative)")}
}

// validPodSpec checks what a pod, or a workload's template, says.
func validPodSpec(s *corev1.PodSpec, at *field.Path) field.ErrorList {
	errs, volumes := validVolumes(s.Volumes, at.Child("volumes"))
	if len(s.Containers) == 0 {
		errs = append(errs, field.Required(at.Child("containers"), ""))
	}
	names := map[string]bool{}
	for i := range s.InitContainers {
		errs = append(errs, validContainer(&s.InitContainers[i], volumes, names, at.Child("initContainers").Index(i))...)
	}
	for i := range s.Containers {
		errs = append(errs, validContainer(&s.Containers[i], volumes, names, at.Child("containers").Index(i))...)
	}
	errs = append(errs, oneOf(at.Child("restartPolicy"), s.RestartPolicy, corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)...)
	errs = append(errs, oneOf(at.Child("dnsPolicy"), s.DNSPolicy, corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)...)
	if s.ServiceAccountName != "" {
		errs = append(errs, subdomain(at.Child("serviceAccountName"), s.ServiceAccountName)...)
	}
	if g := s.TerminationGracePeriodSeconds; g != nil && *g < 0 {
		errs = append(errs, field.Invalid(at.Child("terminationGracePeriodSeconds"), *g, notNegative))
	}
	if d := s.ActiveDeadlineSeconds; d != nil && *d < 1 {
		errs = append(errs, field.Invalid(at.Child("activeDeadlineSeconds"), *d, "must be between 1 and 2147483647, inclusive"))
	}
	errs = append(errs, validLabels(s.NodeSelector, at.Child("nodeSelector"))...)
	for i, secret := range s.ImagePullSecrets {
		if strings.TrimSpace(secret.Name) != secret.Name {
			errs = append(errs, subdomain(at.Child("imagePullSecrets").Index(i).Child("name"), secret.Name)...)
		}
	}
	for i, t := range s.Tolerations {
		errs = append(errs, validToleration(t, at.Child("tolerations").Index(i))...)
	}
	return errs
}

func validToleration(t corev1.Toleration, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if t.Key == "" && t.Operator != corev1.TolerationOpExists {
		errs = append(errs, field.Invalid(at.Child("operator"), t.Operator, "operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
	}
	if t.Operator == corev1.TolerationOpExists && t.Value != "" {
		errs = append(errs, field.Invalid(at.Child("operator"), t, "value must be empty when `operator` is 'Exists'"))
	}
	if t.Effect != "" {
		errs = append(errs, oneOf(at.Child("effect"), t.Effect, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)...)
	}
	return errs
}
