package api

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func networkPolicyRules() rules {
	return rules{validate: on(func(p *networkingv1.NetworkPolicy) field.ErrorList {
		at := field.NewPath("spec")
		errs := validSelector(&p.Spec.PodSelector, at.Child("podSelector"))
		for i, e := range p.Spec.Ingress {
			errs = append(errs, validPolicyPorts(e.Ports, at.Child("ingress").Index(i).Child("ports"))...)
			errs = append(errs, validPeers(e.From, at.Child("ingress").Index(i).Child("from"))...)
		}
		for i, e := range p.Spec.Egress {
			errs = append(errs, validPolicyPorts(e.Ports, at.Child("egress").Index(i).Child("ports"))...)
			errs = append(errs, validPeers(e.To, at.Child("egress").Index(i).Child("to"))...)
		}
		for i, t := range p.Spec.PolicyTypes {
			errs = append(errs, supported(at.Child("policyTypes").Index(i), t, networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress)...)
		}
		return errs
	})}
}

func validPolicyPorts(ports []networkingv1.NetworkPolicyPort, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, p := range ports {
		at := at.Index(i)
		if p.Protocol != nil {
			errs = append(errs, supported(at.Child("protocol"), *p.Protocol, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)...)
		}
		if p.Port != nil {
			errs = append(errs, portOrName(at.Child("port"), *p.Port)...)
		}
		end := at.Child("endPort")
		switch {
		case p.EndPort == nil:
		case p.Port == nil:
			errs = append(errs, field.Invalid(end, *p.EndPort, "may not be specified when `port` is not specified"))
		case p.Port.Type == intstr.String:
			errs = append(errs, field.Invalid(end, *p.EndPort, "may not be specified when `port` is non-numeric"))
		default:
			if *p.EndPort < p.Port.IntVal {
				errs = append(errs, field.Invalid(end, *p.EndPort, "must be greater than or equal to `port`"))
			}
			errs = append(errs, portNumber(end, *p.EndPort)...)
		}
	}
	return errs
}

func validPeers(peers []networkingv1.NetworkPolicyPeer, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, p := range peers {
		at := at.Index(i)
		errs = append(errs, validSelector(p.PodSelector, at.Child("podSelector"))...)
		errs = append(errs, validSelector(p.NamespaceSelector, at.Child("namespaceSelector"))...)
		switch {
		case p.IPBlock == nil && p.PodSelector == nil && p.NamespaceSelector == nil:
			errs = append(errs, field.Required(at, "must specify a peer"))
		case p.IPBlock != nil && (p.PodSelector != nil || p.NamespaceSelector != nil):
			errs = append(errs, field.Forbidden(at, "may not specify both ipBlock and another peer"))
		case p.IPBlock != nil:
			errs = append(errs, validBlock(p.IPBlock, at.Child("ipBlock"))...)
		}
	}
	return errs
}

// validBlock checks a range of addresses and its exceptions.
func validBlock(b *networkingv1.IPBlock, at *field.Path) field.ErrorList {
	if b.CIDR == "" {
		return field.ErrorList{field.Required(at.Child("cidr"), "")}
	}
	errs := validation.IsValidCIDR(at.Child("cidr"), b.CIDR)
	all, err := netip.ParsePrefix(b.CIDR)
	for i, e := range b.Except {
		at := at.Child("except").Index(i)
		errs = append(errs, validation.IsValidCIDR(at, e)...)
		if part, err2 := netip.ParsePrefix(e); err == nil && err2 == nil && (!all.Contains(part.Addr()) || part.Bits() <= all.Bits()) {
			errs = append(errs, field.Invalid(at, e, "must be a strict subset of `cidr`"))
		}
	}
	return errs
}
