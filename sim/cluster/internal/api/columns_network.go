package api

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func serviceColumns() columns {
	return columns{
		show("Type", func(s *corev1.Service) any { return string(s.Spec.Type) }),
		show("Cluster-IP", func(s *corev1.Service) any { return or(s.Spec.ClusterIP, none) }),
		show("External-IP", func(s *corev1.Service) any { return externalIP(s) }),
		show("Port(s)", func(s *corev1.Service) any { return or(servicePorts(s.Spec.Ports), none) }),
		ageColumn(),
		wide("Selector", func(s *corev1.Service) any { return labels.FormatLabels(s.Spec.Selector) }),
	}
}

// externalIP says where a service can be reached from outside.
func externalIP(s *corev1.Service) string {
	at := strings.Join(s.Spec.ExternalIPs, ",")
	switch s.Spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort:
		return or(at, none)
	case corev1.ServiceTypeLoadBalancer:
		var given []string
		for _, i := range s.Status.LoadBalancer.Ingress {
			given = append(given, or(i.IP, i.Hostname))
		}
		slices.Sort(given)
		return or(strings.Join(append(given, s.Spec.ExternalIPs...), ","), "<pending>")
	case corev1.ServiceTypeExternalName:
		return s.Spec.ExternalName
	}
	return unknown
}

func servicePorts(list []corev1.ServicePort) string {
	var out []string
	for _, p := range list {
		if p.NodePort > 0 {
			out = append(out, fmt.Sprintf("%d:%d/%s", p.Port, p.NodePort, p.Protocol))
			continue
		}
		out = append(out, fmt.Sprintf("%d/%s", p.Port, p.Protocol))
	}
	return strings.Join(out, ",")
}

func endpointsColumns() columns {
	return columns{
		show("Endpoints", func(e *corev1.Endpoints) any {
			var all []string
			for _, s := range e.Subsets {
				if len(s.Ports) == 0 { // as of a headless service
					for _, a := range s.Addresses {
						all = append(all, a.IP)
					}
				}
				for _, p := range s.Ports {
					for _, a := range s.Addresses {
						all = append(all, net.JoinHostPort(a.IP, strconv.Itoa(int(p.Port))))
					}
				}
			}
			if len(e.Subsets) == 0 {
				return none
			}
			return firstOf(all, 3, ",")
		}),
		ageColumn(),
	}
}

func endpointSliceColumns() columns {
	return columns{
		show("AddressType", func(s *discoveryv1.EndpointSlice) any { return string(s.AddressType) }),
		show("Ports", func(s *discoveryv1.EndpointSlice) any {
			var all []string
			for _, p := range s.Ports {
				switch {
				case p.Port != nil:
					all = append(all, strconv.Itoa(int(*p.Port)))
				default:
					all = append(all, deref(p.Name, "*"))
				}
			}
			return or(firstOf(all, 3, ","), unset)
		}),
		show("Endpoints", func(s *discoveryv1.EndpointSlice) any {
			var all []string
			for _, e := range s.Endpoints {
				all = append(all, e.Addresses...)
			}
			return or(firstOf(all, 3, ","), unset)
		}),
		ageColumn(),
	}
}

// firstOf lists the first n and says how many more there are.
func firstOf(all []string, n int, separator string) string {
	if len(all) <= n {
		return strings.Join(all, separator)
	}
	return fmt.Sprintf("%s + %d more...", strings.Join(all[:n], separator), len(all)-n)
}

func networkPolicyColumns() columns {
	return columns{show("Pod-Selector", func(p *networkingv1.NetworkPolicy) any { return metav1.FormatLabelSelector(&p.Spec.PodSelector) }), ageColumn()}
}
