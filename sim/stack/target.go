package stack

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/dpe/image"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster"
	"github.com/dpesim/dpesim/sim/cluster/probe"
	"github.com/dpesim/dpesim/sim/edge"
	"github.com/dpesim/dpesim/sim/registry"
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
	Gateway    netip.Addr // this machine's address as nodes and pods see it
	Listen     netip.Addr // where the edge listens for the cluster, too; invalid: at Gateway
	Registry   string     // name or address by which images and commands name the registry; empty: localhost
	Namespaces []string   // that may be looked into; nil: all
	Chart      string     // label selector of the pods and Deployments that events are told of; empty: all
	// Connect lets the cluster's nodes pull from the registry. It is called once, when the edge's port is known.
	Connect func(ctx context.Context, r Reach) error
	// Prove shows, once everything is served, that the cluster reaches the simulator; nil: it is taken for granted.
	Prove func(ctx context.Context, p Proof) error
}

// Reach is where the simulator's registry is for nodes.
type Reach struct {
	Registry string // host:port by which images name it: "localhost:8443"
	Inside   string // host:port by which nodes reach it, at the gateway: "registry.dpesim.localhost:8443"
	CA       []byte // PEM of the authority of its certificate
	// Images writes the engine's image of every release, by the names that pods have for it, as an OCI archive.
	Images func(w io.Writer) error
}

// Proof is what shows whether a cluster reaches the simulator.
type Proof struct {
	Image   string // the engine's
	Login   probe.Login
	CA      []byte // PEM
	Targets []probe.Target
}

// entrance is where the edge listens for the target's pods and nodes.
func (s *Stack) entrance() edge.Entrance {
	if s.config.Target == nil {
		return edge.Entrance{}
	}
	out := edge.Entrance{Addr: s.config.Target.Listen, Source: s.config.Source, Closed: []string{s.hostOfPortal()}} // it has users that anybody may pick
	if !out.Addr.IsValid() {
		out.Addr = s.config.Target.Gateway
	}
	if s.config.Target.Registry != "" {
		out.Unnamed = s.hostOfRegistry()
	}
	return out
}

// hostOfPortal is the portal's name behind the edge.
func (s *Stack) hostOfPortal() string { return "portal." + s.config.Domain }

// openTarget lets the target's nodes find the registry and follows it.
func (s *Stack) openTarget(ctx context.Context) (customer, error) {
	t := s.config.Target
	port := s.edgePort()
	registry := s.registryAt()
	images := func(w io.Writer) error { return s.archive(w, registry) }
	if err := t.Connect(ctx, Reach{Registry: registry, Inside: net.JoinHostPort(s.hostOfRegistry(), port), CA: s.ca.PEM(), Images: images}); err != nil {
		return nil, fmt.Errorf("connect the cluster: %w", err)
	}
	return cluster.OpenReal(cluster.RealOptions{Config: t.Config, Kubeconfig: t.Kubeconfig, Namespaces: t.Namespaces, Chart: t.Chart, Bus: s.bus})
}

// proofUser is who pulls the image for a proof.
const proofUser = "dpesim-proof"

// Prove shows whether a cluster beside this process reaches the simulator, which must be served. It returns what the target's
// Prove does; nil if there is none.
func (s *Stack) Prove(ctx context.Context) (err error) {
	t := s.config.Target
	if t == nil || t.Prove == nil {
		return nil
	}
	releases := chart.Releases()
	p := Proof{
		Image: image.Reference(s.registryAt(), releases[len(releases)-1]), CA: s.ca.PEM(),
		Login: probe.Login{Registry: s.registryAt(), User: proofUser, Password: sim.Secret(rand.Text())},
	}
	s.secrets.Note(p.Login.Password)
	if err := s.registry.PutToken(ctx, registry.Token{User: proofUser, Secret: p.Login.Password, Grants: registry.VendorPull()}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.registry.DeleteToken(context.WithoutCancel(ctx), proofUser)) }()
	at := func(name, host string) {
		p.Targets = append(p.Targets, probe.Target{Name: name, Addr: net.JoinHostPort(host, s.edgePort()), TLS: true})
	}
	at("registry", s.hostOfRegistry())
	for _, id := range s.clouds.ids() {
		at("DPM of "+string(id), s.hostOf(serviceDPM, id))
		at("object storage of "+string(id), s.hostOf(serviceStorage, id))
	}
	return t.Prove(ctx, p)
}
