package api

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func serviceRules() rules {
	return rules{
		name: apivalidation.NameIsDNSLabel,
		update: func(o, old runtime.Object) {
			s, ok := o.(*corev1.Service)
			was, same := old.(*corev1.Service)
			if ok && same {
				keepAllocated(s, was)
			}
		},
		validate: on(validService),
		replace: on2(func(s, old *corev1.Service) field.ErrorList {
			if addressless(s) || addressless(old) || s.Spec.ClusterIP == old.Spec.ClusterIP {
				return nil
			}
			return field.ErrorList{field.Invalid(field.NewPath("spec", "clusterIPs").Index(0), s.Spec.ClusterIPs, "may not change once set")}
		}),
	}
}

func addressless(s *corev1.Service) bool { return s.Spec.Type == corev1.ServiceTypeExternalName }

// onNodes tells whether a service has a port on every node.
func onNodes(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeNodePort ||
		s.Spec.Type == corev1.ServiceTypeLoadBalancer && deref(s.Spec.AllocateLoadBalancerNodePorts, true)
}

// outside tells whether a service can be reached from outside of the cluster.
func outside(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeNodePort || s.Spec.Type == corev1.ServiceTypeLoadBalancer ||
		s.Spec.Type == corev1.ServiceTypeClusterIP && len(s.Spec.ExternalIPs) > 0
}

// keepAllocated puts what was allocated into an update that does not say it, and drops what the type no longer has.
func keepAllocated(s, old *corev1.Service) {
	if addressless(s) {
		if s.Spec.ClusterIP == old.Spec.ClusterIP {
			s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.IPFamilies, s.Spec.IPFamilyPolicy = "", nil, nil, nil
		}
	} else if s.Spec.ClusterIP == "" {
		s.Spec.ClusterIP, s.Spec.ClusterIPs = old.Spec.ClusterIP, old.Spec.ClusterIPs
		s.Spec.IPFamilies, s.Spec.IPFamilyPolicy = old.Spec.IPFamilies, old.Spec.IPFamilyPolicy
	}
	type key struct {
		protocol corev1.Protocol
		port     int32
	}
	had := map[key]int32{}
	for _, p := range old.Spec.Ports {
		had[key{p.Protocol, p.Port}] = p.NodePort
	}
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		switch before := had[key{p.Protocol, p.Port}]; {
		case onNodes(s) && onNodes(old):
			fill(&p.NodePort, before)
		case !onNodes(s) && onNodes(old) && p.NodePort == before:
			p.NodePort = 0
		}
	}
	if !outside(s) && outside(old) && s.Spec.ExternalTrafficPolicy == old.Spec.ExternalTrafficPolicy {
		s.Spec.ExternalTrafficPolicy = ""
	}
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer && old.Spec.Type == corev1.ServiceTypeLoadBalancer {
		s.Spec.AllocateLoadBalancerNodePorts = nil
	}
}

// affinityConfig gives how long a client stays with a pod: of a service without affinity, nothing.
func affinityConfig(s *corev1.Service) *corev1.SessionAffinityConfig {
	c := s.Spec.SessionAffinityConfig
	if s.Spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		return nil
	}
	if c == nil || c.ClientIP == nil || c.ClientIP.TimeoutSeconds == nil {
		t := corev1.DefaultClientIPServiceAffinitySeconds
		return &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &t}}
	}
	return c
}

func validService(s *corev1.Service) field.ErrorList {
	at := field.NewPath("spec")
	headless := s.Spec.ClusterIP == corev1.ClusterIPNone
	var errs field.ErrorList
	if len(s.Spec.Ports) == 0 && !headless && !addressless(s) {
		errs = append(errs, field.Required(at.Child("ports"), ""))
	}
	switch s.Spec.Type {
	case corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort:
		if headless {
			errs = append(errs, field.Invalid(at.Child("clusterIPs").Index(0), s.Spec.ClusterIP, "may not be set to 'None' for "+string(s.Spec.Type)+" services"))
		}
	case corev1.ServiceTypeExternalName:
		if s.Spec.ClusterIP != "" {
			errs = append(errs, field.Forbidden(at.Child("clusterIPs"), "may not be set for ExternalName services"))
		}
		if name := strings.TrimSuffix(s.Spec.ExternalName, "."); name == "" {
			errs = append(errs, field.Required(at.Child("externalName"), ""))
		} else {
			errs = append(errs, subdomain(at.Child("externalName"), name)...)
		}
	case corev1.ServiceTypeClusterIP:
	}
	errs = append(errs, validServicePorts(s, at.Child("ports"))...)
	errs = append(errs, validLabels(s.Spec.Selector, at.Child("selector"))...)
	errs = append(errs, oneOf(at.Child("sessionAffinity"), s.Spec.SessionAffinity, corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone)...)
	if c := s.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
		const day = 86400
		if n := *c.ClientIP.TimeoutSeconds; n <= 0 || n > day {
			errs = append(errs, field.Invalid(at.Child("sessionAffinityConfig", "clientIP", "timeoutSeconds"), c.ClientIP.TimeoutSeconds, "must be greater than 0 and less than 86400"))
		}
	}
	if ip := s.Spec.ClusterIP; ip != "" && !headless && !addressless(s) {
		errs = append(errs, validation.IsValidIP(at.Child("clusterIPs").Index(0), ip)...)
	}
	for i, ip := range s.Spec.ExternalIPs {
		errs = append(errs, endpointIP(at.Child("externalIPs").Index(i), ip)...)
	}
	errs = append(errs, oneOf(at.Child("type"), s.Spec.Type, corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort)...)
	return append(errs, validTraffic(s, at)...)
}

// validTraffic checks who may reach a service from where.
func validTraffic(s *corev1.Service, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.Spec.Type == corev1.ServiceTypeClusterIP {
		for i, p := range s.Spec.Ports {
			if p.NodePort != 0 {
				errs = append(errs, field.Forbidden(at.Child("ports").Index(i).Child("nodePort"), "may not be used when `type` is 'ClusterIP'"))
			}
		}
	}
	seen := map[corev1.ServicePort]bool{}
	for i, p := range s.Spec.Ports {
		key := corev1.ServicePort{Protocol: p.Protocol, Port: p.Port, TargetPort: intstr.IntOrString{}}
		if seen[key] {
			errs = append(errs, field.Duplicate(at.Child("ports").Index(i), key))
		}
		seen[key] = true
	}
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		if len(s.Spec.LoadBalancerSourceRanges) > 0 {
			errs = append(errs, field.Forbidden(at.Child("LoadBalancerSourceRanges"), "may only be used when `type` is 'LoadBalancer'"))
		}
		if s.Spec.AllocateLoadBalancerNodePorts != nil {
			errs = append(errs, field.Forbidden(at.Child("allocateLoadBalancerNodePorts"), "may only be used when `type` is 'LoadBalancer'"))
		}
	}
	switch policy := at.Child("externalTrafficPolicy"); {
	case !outside(s) && s.Spec.ExternalTrafficPolicy != "":
		errs = append(errs, field.Invalid(policy, s.Spec.ExternalTrafficPolicy, "may only be set for externally-accessible services"))
	case outside(s):
		errs = append(errs, oneOf(policy, s.Spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)...)
	}
	if p := s.Spec.InternalTrafficPolicy; p != nil {
		errs = append(errs, supported(at.Child("internalTrafficPolicy"), *p, corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)...)
	}
	return errs
}

func validServicePorts(s *corev1.Service, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := map[string]bool{}
	for i, p := range s.Spec.Ports {
		at := at.Index(i)
		switch {
		case p.Name == "" && len(s.Spec.Ports) > 1:
			errs = append(errs, field.Required(at.Child("name"), ""))
		case p.Name != "":
			errs = append(errs, label(at.Child("name"), p.Name)...)
			if names[p.Name] {
				errs = append(errs, field.Duplicate(at.Child("name"), p.Name))
			}
			names[p.Name] = true
		}
		errs = append(errs, portNumber(at.Child("port"), p.Port)...)
		errs = append(errs, oneOf(at.Child("protocol"), p.Protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)...)
		errs = append(errs, portOrName(at.Child("targetPort"), p.TargetPort)...)
	}
	return errs
}
