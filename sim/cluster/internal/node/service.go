package node

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// clusterDomain ends the full names of services. Source: KubeletConfiguration, clusterDomain, as installers set it.
const clusterDomain = ".cluster.local"

// dial opens a connection on behalf of a container: to an address or a service inside the cluster, or by the agent's own
// dial to the world outside. Network policies are not enforced.
func (p *pod) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, portName, err := net.SplitHostPort(addr)
	if err != nil {
		return p.agent.dial(ctx, network, addr)
	}
	port, err := strconv.ParseUint(portName, 10, 16)
	if err != nil {
		return p.agent.dial(ctx, network, addr)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if podNetwork.Contains(ip) {
			return p.agent.network.dial(ctx, netip.AddrPortFrom(ip, uint16(port)))
		}
		return p.agent.dial(ctx, network, addr)
	}
	name, namespace, sure := serviceName(host, p.namespace)
	if name == "" {
		return p.agent.dial(ctx, network, addr)
	}
	to, found, err := p.agent.endpoint(ctx, namespace, name, int32(port))
	switch {
	case err != nil:
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	case found && !to.IsValid():
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	case found:
		return p.agent.network.dial(ctx, to)
	case sure:
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
	}
	return p.agent.dial(ctx, network, addr)
}

// podNetwork holds the addresses of all pods.
var podNetwork = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, 0, 0}), 16)

// serviceName reads a host name as the cluster's DNS does for a pod of a namespace: "web", "web.prod", "web.prod.svc" or
// "web.prod.svc.cluster.local". The name is empty if host cannot be a service; sure tells that it can be nothing else.
func serviceName(host, own string) (name, namespace string, sure bool) {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	short, full := strings.CutSuffix(host, clusterDomain)
	if rest, ok := strings.CutSuffix(short, ".svc"); ok {
		short, sure = rest, true
	} else if full {
		return "", "", false
	}
	parts := strings.Split(short, ".")
	switch {
	case len(parts) == 2 && parts[0] != "" && parts[1] != "":
		return parts[0], parts[1], sure
	case len(parts) == 1 && parts[0] != "" && parts[0] != "localhost" && !sure:
		return parts[0], own, false
	}
	return "", "", false
}

// endpoint gives a ready endpoint behind a port of a service, each in turn; the zero address if none is ready or the
// service has no such port. found is false if there is no such service.
func (a *Agent) endpoint(ctx context.Context, namespace, name string, port int32) (to netip.AddrPort, found bool, err error) {
	service, err := a.client.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return to, false, nil
	}
	if err != nil {
		return to, false, err
	}
	slices, err := a.client.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + name})
	if err != nil {
		return to, true, err
	}
	var ready []netip.AddrPort
	for _, p := range service.Spec.Ports {
		if p.Port == port {
			ready = readyEndpoints(slices.Items, p)
		}
	}
	if len(ready) == 0 {
		return to, true, nil
	}
	return ready[int(a.turn.Add(1)-1)%len(ready)], true, nil
}

// readyEndpoints gives what stands behind a port of a service.
func readyEndpoints(slices []discoveryv1.EndpointSlice, of corev1.ServicePort) []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range slices {
		for _, p := range s.Ports {
			if p.Port == nil || p.Name != nil && *p.Name != of.Name || p.Name == nil && of.Name != "" {
				continue
			}
			for _, e := range s.Endpoints {
				if e.Conditions.Ready != nil && !*e.Conditions.Ready {
					continue
				}
				for _, address := range e.Addresses {
					if ip, err := netip.ParseAddr(address); err == nil {
						out = append(out, netip.AddrPortFrom(ip, uint16(*p.Port)))
					}
				}
			}
		}
	}
	return out
}
