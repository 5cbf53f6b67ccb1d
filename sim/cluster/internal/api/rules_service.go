package api

import (
	"context"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"

	"github.com/dpesim/dpesim/sim"
)

// The addresses of services: 10.96.0.0/16, of which the first belongs to the API itself.
// Source: kubeadm's default for --service-cluster-ip-range has the same start (10.96.0.0/12).
const serviceNetwork, serviceAddresses = "10.96.0.0", 1 << 16

func serviceRules() rules {
	return rules{
		name: apivalidation.NameIsDNS1035Label,
		update: func(o, old runtime.Object) {
			s, ok := o.(*corev1.Service)
			was, same := old.(*corev1.Service)
			if ok && same && s.Spec.Type != corev1.ServiceTypeExternalName && s.Spec.ClusterIP == "" {
				s.Spec.ClusterIP, s.Spec.ClusterIPs = was.Spec.ClusterIP, was.Spec.ClusterIPs
				s.Spec.IPFamilies, s.Spec.IPFamilyPolicy = was.Spec.IPFamilies, was.Spec.IPFamilyPolicy
			}
		},
		validate: on(validService),
		replace: on2(func(s, old *corev1.Service) field.ErrorList {
			if old.Spec.Type == corev1.ServiceTypeExternalName || s.Spec.Type == corev1.ServiceTypeExternalName {
				return nil
			}
			return fixed(field.NewPath("spec", "clusterIPs").Index(0), s.Spec.ClusterIP, old.Spec.ClusterIP)
		}),
	}
}

func validService(s *corev1.Service) field.ErrorList {
	at := field.NewPath("spec")
	errs := oneOf(at.Child("type"), s.Spec.Type, corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort)
	errs = append(errs, oneOf(at.Child("sessionAffinity"), s.Spec.SessionAffinity, corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone)...)
	errs = append(errs, validLabels(s.Spec.Selector, at.Child("selector"))...)
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		if s.Spec.ExternalName == "" {
			errs = append(errs, field.Required(at.Child("externalName"), ""))
		}
		return errs
	}
	if len(s.Spec.Ports) == 0 && s.Spec.ClusterIP != corev1.ClusterIPNone {
		errs = append(errs, field.Required(at.Child("ports"), ""))
	}
	names := map[string]bool{}
	for i, p := range s.Spec.Ports {
		at := at.Child("ports").Index(i)
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
		errs = append(errs, portOrName(at.Child("targetPort"), p.TargetPort)...)
		errs = append(errs, oneOf(at.Child("protocol"), p.Protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)...)
	}
	if ip := s.Spec.ClusterIP; ip != "" && ip != corev1.ClusterIPNone {
		errs = append(errs, validation.IsValidIP(at.Child("clusterIPs").Index(0), ip)...)
	}
	return errs
}

// allocateAddress gives a new service a free cluster IP, unless it brings one or wants none. Node ports are not
// allocated: nothing here listens on a node.
func (reg *registry) allocateAddress(ctx context.Context, o runtime.Object, opts *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
	finish, err := reg.requireNamespace(ctx, o, opts)
	if err != nil {
		return nil, err
	}
	s, err := as[corev1.Service](o, nil)
	if err != nil {
		return nil, err
	}
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return finish, nil
	}
	if s.Spec.ClusterIP == "" {
		ip, err := reg.freeAddress()
		if err != nil {
			return nil, apierrors.NewInternalError(err)
		}
		s.Spec.ClusterIP = ip
	}
	s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	fillPtr(&s.Spec.IPFamilyPolicy, corev1.IPFamilyPolicySingleStack)
	if len(s.Spec.IPFamilies) == 0 {
		s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	}
	return finish, nil
}

// freeAddress draws a cluster IP that no service has.
func (reg *registry) freeAddress() (string, error) {
	p, err := reg.stores["services"].objects.snapshot(reg.stores["services"].key("", ""), true, 0)
	if err != nil {
		return "", err
	}
	taken := map[string]bool{}
	for _, it := range p.items {
		if s, ok := it.object.(*corev1.Service); ok {
			taken[s.Spec.ClusterIP] = true
		}
	}
	first, err := netip.ParseAddr(serviceNetwork)
	if err != nil {
		return "", err
	}
	base := first.As4()
	start := reg.options.Draw.Uint64("cluster/api/service-ip")
	for i := range uint64(serviceAddresses) {
		n := (start + i) % serviceAddresses
		if n < 2 || n == serviceAddresses-1 { // the network, the API, the broadcast address
			continue
		}
		ip := netip.AddrFrom4([4]byte{base[0], base[1], byte(n >> 8), byte(n)}).String()
		if !taken[ip] {
			return ip, nil
		}
	}
	return "", sim.Errorf(sim.Exhausted, "every address of %s/16 is taken by a service", serviceNetwork)
}
