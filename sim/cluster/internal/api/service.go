package api

import (
	"context"
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/draw"
)

// The addresses of services, of which the first belongs to the API itself, and the ports that they may have on nodes.
// Source: kubeadm's default for --service-cluster-ip-range has the same start (10.96.0.0/12); kube-apiserver's for
// --service-node-port-range is 30000-32767.
const (
	serviceBits           = 16
	firstPort, lastPort   = 30000, 32767
	nodePortRange         = "30000-32767"
	errAllocatedIP        = "provided IP is already allocated"
	errAllocatedPort      = "provided port is already allocated"
	errOtherNetwork       = "the provided network does not match the current range"
	serviceAddresses      = 1 << (32 - serviceBits)
	reserved, atEnd       = 2, 1 // the network and the API; the broadcast address
	addressDraw, portDraw = "cluster/api/service-ip", "cluster/api/node-port"
)

func serviceRange() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 96}), serviceBits)
}

// serviceStore is the main endpoint of services. Each gets an address in the cluster, and a port on the nodes if its type
// has one; writes take turns, so that nothing is given twice.
type serviceStore struct {
	*kindStore
	draw *draw.Source
	turn *sync.Mutex
}

func newServiceStore(k *kindStore, d *draw.Source) serviceStore {
	s := serviceStore{k, d, &sync.Mutex{}}
	inNamespace := k.BeginCreate
	k.BeginCreate = func(ctx context.Context, o runtime.Object, opts *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
		finish, err := inNamespace(ctx, o, opts)
		if err != nil {
			return nil, err
		}
		return finish, s.allocate(o, nil)
	}
	k.BeginUpdate = func(_ context.Context, o, old runtime.Object, _ *metav1.UpdateOptions) (genericregistry.FinishFunc, error) {
		return func(context.Context, bool) {}, s.allocate(o, old)
	}
	return s
}

// Create adds a service.
func (s serviceStore) Create(ctx context.Context, o runtime.Object, check rest.ValidateObjectFunc, opts *metav1.CreateOptions) (runtime.Object, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	return s.kindStore.Create(ctx, o, check, opts)
}

// Update changes a service.
func (s serviceStore) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, force bool, opts *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	return s.kindStore.Update(ctx, name, info, create, update, force, opts)
}

// allocate gives a service what it needs and does not have yet. old is nil if it is new.
func (s serviceStore) allocate(o, old runtime.Object) error {
	svc, err := as[corev1.Service](o, nil)
	if err != nil {
		return err
	}
	was, _ := old.(*corev1.Service)
	if was == nil {
		was = &corev1.Service{}
	}
	ips, ports := s.taken(svc)
	var errs field.ErrorList
	if !addressless(svc) && svc.Spec.ClusterIP != was.Spec.ClusterIP || svc.Spec.ClusterIP == "" && !addressless(svc) {
		errs, err = s.allocateAddress(svc, ips)
	}
	if err == nil && onNodes(svc) {
		var bad field.ErrorList
		bad, err = s.allocatePorts(svc, ports)
		errs = append(errs, bad...)
	}
	switch {
	case err != nil:
		return apierrors.NewInternalError(err)
	case len(errs) > 0:
		return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Service").GroupKind(), svc.Name, errs)
	}
	return nil
}

func (s serviceStore) allocateAddress(svc *corev1.Service, taken map[string]bool) (field.ErrorList, error) {
	switch ip := svc.Spec.ClusterIP; {
	case ip == "":
		free, err := s.freeAddress(taken)
		if err != nil {
			return nil, err
		}
		svc.Spec.ClusterIP = free
	case ip == corev1.ClusterIPNone:
	default:
		a, err := netip.ParseAddr(ip)
		if err != nil {
			return nil, nil //nolint:nilerr // validation says so
		}
		why := ""
		switch {
		case !serviceRange().Contains(a):
			why = errOtherNetwork
		case taken[ip]:
			why = errAllocatedIP
		}
		if why != "" {
			return field.ErrorList{field.Invalid(field.NewPath("spec", "clusterIPs"), []string{ip}, "failed to allocate IP "+ip+": "+why)}, nil
		}
	}
	svc.Spec.ClusterIPs = []string{svc.Spec.ClusterIP}
	fillPtr(&svc.Spec.IPFamilyPolicy, corev1.IPFamilyPolicySingleStack)
	if len(svc.Spec.IPFamilies) == 0 {
		svc.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	}
	return nil, nil
}

func (s serviceStore) allocatePorts(svc *corev1.Service, taken map[int32]bool) (field.ErrorList, error) {
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		why := ""
		switch n := p.NodePort; {
		case n == 0:
			free, err := s.freePort(taken)
			if err != nil {
				return nil, err
			}
			p.NodePort = free
		case n < firstPort || n > lastPort:
			why = "provided port is not in the valid range. The range of valid ports is " + nodePortRange
		case taken[n]:
			why = errAllocatedPort
		}
		if why != "" {
			return field.ErrorList{field.Invalid(field.NewPath("spec", "ports").Index(i).Child("nodePort"), p.NodePort, why)}, nil
		}
		taken[p.NodePort] = true
	}
	return nil, nil
}

// taken gives the addresses and node ports of all other services.
func (s serviceStore) taken(svc *corev1.Service) (map[string]bool, map[int32]bool) {
	ips, ports := map[string]bool{}, map[int32]bool{}
	for _, o := range peekAll[corev1.Service](s.kindStore, "") {
		if o.Namespace == svc.Namespace && o.Name == svc.Name {
			continue
		}
		ips[o.Spec.ClusterIP] = true
		for _, p := range o.Spec.Ports {
			ports[p.NodePort] = true
		}
	}
	return ips, ports
}

// freeAddress draws an address that no service has.
func (s serviceStore) freeAddress(taken map[string]bool) (string, error) {
	base := serviceRange().Addr().As4()
	start := s.draw.Uint64(addressDraw)
	for i := range uint64(serviceAddresses) {
		n := (start + i) % serviceAddresses
		if n < reserved || n >= serviceAddresses-atEnd {
			continue
		}
		ip := netip.AddrFrom4([4]byte{base[0], base[1], byte(n >> 8), byte(n)}).String()
		if !taken[ip] {
			return ip, nil
		}
	}
	return "", sim.Errorf(sim.Exhausted, "every address of %s is taken by a service", serviceRange())
}

// freePort draws a port that no service has.
func (s serviceStore) freePort(taken map[int32]bool) (int32, error) {
	const count = lastPort - firstPort + 1
	start := s.draw.Uint64(portDraw)
	for i := range uint64(count) {
		if p := int32(firstPort + (start+i)%count); !taken[p] {
			return p, nil
		}
	}
	return 0, sim.Errorf(sim.Exhausted, "every node port of %s is taken by a service", nodePortRange)
}
