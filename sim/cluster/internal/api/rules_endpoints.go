package api

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The most that one EndpointSlice holds.
// Source: the API reference of discovery.k8s.io/v1, EndpointSlice.
const maxEndpoints, maxAddresses = 1000, 100

func endpointsRules() rules {
	return rules{
		validate: on(func(e *corev1.Endpoints) field.ErrorList {
			var errs field.ErrorList
			for i, s := range e.Subsets {
				errs = append(errs, validSubset(s, field.NewPath("subsets").Index(i))...)
			}
			return errs
		}),
	}
}

func validSubset(s corev1.EndpointSubset, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(s.Addresses)+len(s.NotReadyAddresses) == 0 {
		errs = append(errs, field.Required(at, "must specify `addresses` or `notReadyAddresses`"))
	}
	addresses := func(list []corev1.EndpointAddress, at *field.Path) {
		for i, a := range list {
			errs = append(errs, endpointIP(at.Index(i).Child("ip"), a.IP)...)
			if a.Hostname != "" {
				errs = append(errs, label(at.Index(i).Child("hostname"), a.Hostname)...)
			}
			if a.NodeName != nil {
				errs = append(errs, subdomain(at.Index(i).Child("nodeName"), *a.NodeName)...)
			}
		}
	}
	addresses(s.Addresses, at.Child("addresses"))
	addresses(s.NotReadyAddresses, at.Child("notReadyAddresses"))
	for i, p := range s.Ports {
		at := at.Child("ports").Index(i)
		switch {
		case p.Name == "" && len(s.Ports) > 1:
			errs = append(errs, field.Required(at.Child("name"), ""))
		case p.Name != "":
			errs = append(errs, label(at.Child("name"), p.Name)...)
		}
		errs = append(errs, portNumber(at.Child("port"), p.Port)...)
		errs = append(errs, oneOf(at.Child("protocol"), p.Protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)...)
	}
	return errs
}

// endpointIP checks an address at which something may be reached from elsewhere.
func endpointIP(at *field.Path, v string) field.ErrorList {
	ip, err := netip.ParseAddr(v)
	if err != nil {
		return validation.IsValidIP(at, v)
	}
	var msg string
	switch {
	case ip.IsUnspecified():
		msg = "may not be unspecified (" + v + ")"
	case ip.IsLoopback():
		msg = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
	case ip.IsLinkLocalUnicast():
		msg = "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
	case ip.IsLinkLocalMulticast():
		msg = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
	default:
		return nil
	}
	return field.ErrorList{field.Invalid(at, v, msg)}
}

func endpointSliceRules() rules {
	return rules{
		validate: on(validSlice),
		replace: on2(func(s, old *discoveryv1.EndpointSlice) field.ErrorList {
			return fixed(field.NewPath("addressType"), s.AddressType, old.AddressType)
		}),
	}
}

func validSlice(s *discoveryv1.EndpointSlice) field.ErrorList {
	errs := oneOf(field.NewPath("addressType"), s.AddressType, discoveryv1.AddressTypeFQDN, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6)
	var names []string
	for i, p := range s.Ports {
		at, name := field.NewPath("ports").Index(i), deref(p.Name, "")
		if name != "" {
			errs = append(errs, label(at.Child("name"), name)...)
		}
		if slices.Contains(names, name) {
			errs = append(errs, field.Duplicate(at.Child("name"), name))
		}
		names = append(names, name)
		errs = append(errs, oneOf(at.Child("protocol"), deref(p.Protocol, ""), corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)...)
	}
	if at := field.NewPath("endpoints"); len(s.Endpoints) > maxEndpoints {
		return append(errs, field.TooMany(at, len(s.Endpoints), maxEndpoints))
	}
	for i, e := range s.Endpoints {
		errs = append(errs, validEndpoint(e, s.AddressType, field.NewPath("endpoints").Index(i))...)
	}
	return errs
}

func validEndpoint(e discoveryv1.Endpoint, kind discoveryv1.AddressType, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	addresses := at.Child("addresses")
	switch n := len(e.Addresses); {
	case n == 0:
		errs = append(errs, field.Required(addresses, "must contain at least 1 address"))
	case n > maxAddresses:
		errs = append(errs, field.TooMany(addresses, n, maxAddresses))
	}
	for i, a := range e.Addresses {
		ip, err := netip.ParseAddr(a)
		switch {
		case kind == discoveryv1.AddressTypeFQDN:
			errs = append(errs, validation.IsFullyQualifiedDomainName(addresses.Index(i), a)...)
			continue
		case err == nil && kind == discoveryv1.AddressTypeIPv4 && !ip.Is4():
			errs = append(errs, field.Invalid(addresses, a, "must be an IPv4 address"))
		case err == nil && kind == discoveryv1.AddressTypeIPv6 && !ip.Is6():
			errs = append(errs, field.Invalid(addresses, a, "must be an IPv6 address"))
		}
		errs = append(errs, endpointIP(addresses.Index(i), a)...)
	}
	if e.NodeName != nil {
		errs = append(errs, subdomain(at.Child("nodeName"), *e.NodeName)...)
	}
	if e.Hostname != nil {
		errs = append(errs, label(at.Child("hostname"), *e.Hostname)...)
	}
	return errs
}
