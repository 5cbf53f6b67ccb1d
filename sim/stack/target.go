package stack

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/dpesim/dpesim/sim/cluster"
	"github.com/dpesim/dpesim/sim/edge"
)

// customer is the customer's cluster: the one in this process, or a real one.
type customer interface {
	URL() string
	Kubeconfig() []byte
	KubeconfigOf(cause uint64) []byte
	RESTConfig() *cluster.Config
	View() *cluster.View
	Made(uid string) uint64
	Objects(ctx context.Context) (map[string][]byte, error)
	Ready() <-chan struct{}
	Serve(ctx context.Context) error
	Close() error
}

var (
	_ customer = (*cluster.Cluster)(nil)
	_ customer = (*cluster.Real)(nil)
)

// Target is a cluster beside this process. The simulator uses it and follows it; it does not make or remove it.
type Target struct {
	Config     *cluster.Config
	Kubeconfig []byte
	Gateway    netip.Addr // this machine's address as nodes and pods see it; the edge listens there, too
	// Connect lets the cluster's nodes pull from the registry. It is called once, when the edge's port is known.
	Connect func(ctx context.Context, r Reach) error
}

// Reach is where the simulator's registry is for nodes.
type Reach struct {
	Registry string // host:port by which images name it: "localhost:8443"
	Inside   string // host:port by which nodes reach it, at the gateway: "registry.dpesim.localhost:8443"
	CA       []byte // PEM of the authority of its certificate
	// Images writes the engine's image of every release, by the names that pods have for it, as an OCI archive.
	Images func(w io.Writer) error
}

// entrance is where the edge listens for the target's pods and nodes.
func (s *Stack) entrance() edge.Entrance {
	if s.config.Target == nil {
		return edge.Entrance{}
	}
	return edge.Entrance{Addr: s.config.Target.Gateway, Source: s.config.Source, Closed: []string{s.hostOfPortal()}} // it has users that anybody may pick
}

// hostOfPortal is the portal's name behind the edge.
func (s *Stack) hostOfPortal() string { return "portal." + s.config.Domain }

// openTarget lets the target's nodes find the registry and follows it.
func (s *Stack) openTarget(ctx context.Context) (customer, error) {
	t := s.config.Target
	port := s.edgePort()
	registry := net.JoinHostPort("localhost", port)
	images := func(w io.Writer) error { return s.archive(w, registry) }
	if err := t.Connect(ctx, Reach{Registry: registry, Inside: net.JoinHostPort(s.hostOfRegistry(), port), CA: s.ca.PEM(), Images: images}); err != nil {
		return nil, fmt.Errorf("connect the cluster: %w", err)
	}
	return cluster.OpenReal(cluster.RealOptions{Config: t.Config, Kubeconfig: t.Kubeconfig, Bus: s.bus})
}
