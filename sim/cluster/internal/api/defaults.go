package api

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// addDefaults teaches s what Kubernetes fills in where a client says nothing. Server-side apply and diff compare objects
// after this, so a missing default shows as a difference that never goes away.
// Source: the API reference of Kubernetes 1.37, "defaults to" of each field.
func addDefaults(s *runtime.Scheme) {
	defaulter(s, func(p *corev1.Pod) {
		podSpecDefaults(&p.Spec)
		fillPtr(&p.Spec.EnableServiceLinks, true)
		requestsFromLimits(p.Spec.InitContainers)
		requestsFromLimits(p.Spec.Containers)
		fill(&p.Status.Phase, corev1.PodPending)
	})
	defaulter(s, func(n *corev1.Namespace) {
		fill(&n.Status.Phase, corev1.NamespaceActive)
		if n.Name == "" {
			return
		}
		if n.Labels == nil {
			n.Labels = map[string]string{}
		}
		n.Labels[corev1.LabelMetadataName] = n.Name
	})
	defaulter(s, func(n *corev1.Node) {
		if n.Status.Allocatable == nil {
			n.Status.Allocatable = n.Status.Capacity.DeepCopy()
		}
	})
	defaulter(s, func(x *corev1.Secret) { fill(&x.Type, corev1.SecretTypeOpaque) })
	defaulter(s, serviceDefaults)
	defaulter(s, func(c *corev1.PersistentVolumeClaim) {
		fill(&c.Status.Phase, corev1.ClaimPending)
		fillPtr(&c.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	})
	defaulter(s, func(v *corev1.PersistentVolume) {
		fill(&v.Status.Phase, corev1.VolumePending)
		fill(&v.Spec.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimRetain)
		fillPtr(&v.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
		if h := v.Spec.HostPath; h != nil {
			fillPtr(&h.Type, corev1.HostPathUnset)
		}
	})
	defaulter(s, func(e *corev1.Endpoints) {
		for i := range e.Subsets {
			for j := range e.Subsets[i].Ports {
				fill(&e.Subsets[i].Ports[j].Protocol, corev1.ProtocolTCP)
			}
		}
	})
	defaulter(s, func(e *discoveryv1.EndpointSlice) {
		for i := range e.Ports {
			fillPtr(&e.Ports[i].Name, "")
			fillPtr(&e.Ports[i].Protocol, corev1.ProtocolTCP)
		}
	})
	defaulter(s, func(b *rbacv1.RoleBinding) { rbacDefaults(&b.RoleRef, b.Subjects) })
	defaulter(s, func(b *rbacv1.ClusterRoleBinding) { rbacDefaults(&b.RoleRef, b.Subjects) })
	defaulter(s, deploymentDefaults)
	defaulter(s, func(r *appsv1.ReplicaSet) {
		podSpecDefaults(&r.Spec.Template.Spec)
		fillPtr(&r.Spec.Replicas, 1)
	})
	defaulter(s, jobDefaults)
	defaulter(s, func(p *networkingv1.NetworkPolicy) {
		for i := range p.Spec.Ingress {
			policyPortDefaults(p.Spec.Ingress[i].Ports)
		}
		for i := range p.Spec.Egress {
			policyPortDefaults(p.Spec.Egress[i].Ports)
		}
		if len(p.Spec.PolicyTypes) == 0 {
			p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
			if len(p.Spec.Egress) > 0 {
				p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
			}
		}
	})
	defaulter(s, scalerDefaults)
	defaulter(s, func(c *storagev1.StorageClass) {
		fillPtr(&c.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete)
		fillPtr(&c.VolumeBindingMode, storagev1.VolumeBindingImmediate)
	})
}

// defaulter registers f for objects of type O.
func defaulter[O any](s *runtime.Scheme, f func(o *O)) {
	if o, ok := any(new(O)).(runtime.Object); ok {
		s.AddTypeDefaultingFunc(o, func(o any) {
			if x, ok := o.(*O); ok {
				f(x)
			}
		})
	}
}

// fill sets *p if it is zero.
func fill[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// fillPtr sets *p if it is nil.
func fillPtr[T any](p **T, v T) {
	if *p == nil {
		*p = &v
	}
}

func podSpecDefaults(s *corev1.PodSpec) {
	fill(&s.RestartPolicy, corev1.RestartPolicyAlways)
	fill(&s.DNSPolicy, corev1.DNSClusterFirst)
	fill(&s.SchedulerName, corev1.DefaultSchedulerName)
	fillPtr(&s.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	fillPtr(&s.SecurityContext, corev1.PodSecurityContext{})
	// Two names for one thing: the older one follows.
	fill(&s.ServiceAccountName, s.DeprecatedServiceAccount)
	s.DeprecatedServiceAccount = s.ServiceAccountName
	for i := range s.InitContainers {
		containerDefaults(&s.InitContainers[i])
	}
	for i := range s.Containers {
		containerDefaults(&s.Containers[i])
	}
	for i := range s.Volumes {
		volumeDefaults(&s.Volumes[i])
	}
}

func containerDefaults(c *corev1.Container) {
	fill(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	fill(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	fill(&c.ImagePullPolicy, pullPolicy(c.Image))
	for i := range c.Ports {
		fill(&c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range c.Env {
		if f := c.Env[i].ValueFrom; f != nil {
			fieldRefDefaults(f.FieldRef)
		}
	}
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		probeDefaults(p)
	}
	if l := c.Lifecycle; l != nil {
		for _, h := range []*corev1.LifecycleHandler{l.PostStart, l.PreStop} {
			if h != nil {
				httpDefaults(h.HTTPGet)
			}
		}
	}
}

func probeDefaults(p *corev1.Probe) {
	if p == nil {
		return
	}
	fill(&p.TimeoutSeconds, 1)
	fill(&p.PeriodSeconds, 10)
	fill(&p.SuccessThreshold, 1)
	fill(&p.FailureThreshold, 3)
	httpDefaults(p.HTTPGet)
	if p.GRPC != nil {
		fillPtr(&p.GRPC.Service, "")
	}
}

func httpDefaults(g *corev1.HTTPGetAction) {
	if g != nil {
		fill(&g.Path, "/")
		fill(&g.Scheme, corev1.URISchemeHTTP)
	}
}

func volumeDefaults(v *corev1.Volume) {
	if v.VolumeSource == (corev1.VolumeSource{}) {
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	if v.Secret != nil {
		fillPtr(&v.Secret.DefaultMode, corev1.SecretVolumeSourceDefaultMode)
	}
	if v.ConfigMap != nil {
		fillPtr(&v.ConfigMap.DefaultMode, corev1.ConfigMapVolumeSourceDefaultMode)
	}
	if v.DownwardAPI != nil {
		fillPtr(&v.DownwardAPI.DefaultMode, corev1.DownwardAPIVolumeSourceDefaultMode)
		downwardDefaults(v.DownwardAPI.Items)
	}
	if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
		fillPtr(&v.Ephemeral.VolumeClaimTemplate.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	}
	if v.HostPath != nil {
		fillPtr(&v.HostPath.Type, corev1.HostPathUnset)
	}
	if v.Projected != nil {
		fillPtr(&v.Projected.DefaultMode, corev1.ProjectedVolumeSourceDefaultMode)
		for _, src := range v.Projected.Sources {
			if src.ServiceAccountToken != nil {
				fillPtr(&src.ServiceAccountToken.ExpirationSeconds, 60*60)
			}
			if src.DownwardAPI != nil {
				downwardDefaults(src.DownwardAPI.Items)
			}
		}
	}
}

func downwardDefaults(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		fieldRefDefaults(items[i].FieldRef)
	}
}

func fieldRefDefaults(r *corev1.ObjectFieldSelector) {
	if r != nil {
		fill(&r.APIVersion, "v1")
	}
}

// requestsFromLimits lets a container of a pod request what it is limited to, unless it says what it requests. Templates
// of workloads stay as written.
func requestsFromLimits(list []corev1.Container) {
	for i := range list {
		r := &list[i].Resources
		for name, limit := range r.Limits {
			if _, said := r.Requests[name]; said {
				continue
			}
			if r.Requests == nil {
				r.Requests = corev1.ResourceList{}
			}
			r.Requests[name] = limit.DeepCopy()
		}
	}
}

func serviceDefaults(s *corev1.Service) {
	fill(&s.Spec.Type, corev1.ServiceTypeClusterIP)
	fill(&s.Spec.SessionAffinity, corev1.ServiceAffinityNone)
	s.Spec.SessionAffinityConfig = affinityConfig(s)
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		fill(&p.Protocol, corev1.ProtocolTCP)
		if p.TargetPort == (intstr.IntOrString{}) || p.TargetPort == intstr.FromString("") {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return
	}
	fillPtr(&s.Spec.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster)
	if outside(s) {
		fill(&s.Spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer {
		fillPtr(&s.Spec.AllocateLoadBalancerNodePorts, true)
	}
}

func deploymentDefaults(d *appsv1.Deployment) {
	podSpecDefaults(&d.Spec.Template.Spec)
	fillPtr(&d.Spec.Replicas, 1)
	fillPtr(&d.Spec.RevisionHistoryLimit, 10)
	fillPtr(&d.Spec.ProgressDeadlineSeconds, 600)
	fill(&d.Spec.Strategy.Type, appsv1.RollingUpdateDeploymentStrategyType)
	if d.Spec.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		fillPtr(&d.Spec.Strategy.RollingUpdate, appsv1.RollingUpdateDeployment{})
		fillPtr(&d.Spec.Strategy.RollingUpdate.MaxSurge, intstr.FromString("25%"))
		fillPtr(&d.Spec.Strategy.RollingUpdate.MaxUnavailable, intstr.FromString("25%"))
	}
}

func jobDefaults(j *batchv1.Job) {
	podSpecDefaults(&j.Spec.Template.Spec)
	if j.Spec.Completions == nil && j.Spec.Parallelism == nil {
		fillPtr(&j.Spec.Completions, 1)
	}
	fillPtr(&j.Spec.Parallelism, 1)
	fillPtr(&j.Spec.BackoffLimit, 6)
	fillPtr(&j.Spec.CompletionMode, batchv1.NonIndexedCompletion)
	fillPtr(&j.Spec.Suspend, false)
	fillPtr(&j.Spec.ManualSelector, false)
	fillPtr(&j.Spec.PodReplacementPolicy, batchv1.TerminatingOrFailed)
}

func policyPortDefaults(ports []networkingv1.NetworkPolicyPort) {
	for i := range ports {
		fillPtr(&ports[i].Protocol, corev1.ProtocolTCP)
	}
}
