// Package stack is the composition: it stands up the whole simulator and takes it down again. It is the one package that
// imports every service; services meet here and nowhere else.
package stack

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/dpesim/dpesim/dpe/image"
	"github.com/dpesim/dpesim/portal"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/clock/pace"
	"github.com/dpesim/dpesim/sim/cluster"
	"github.com/dpesim/dpesim/sim/conceal"
	"github.com/dpesim/dpesim/sim/draw"
	"github.com/dpesim/dpesim/sim/durable"
	"github.com/dpesim/dpesim/sim/edge"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/sim/life"
	"github.com/dpesim/dpesim/sim/pki"
	"github.com/dpesim/dpesim/sim/registry"
)

// Stack is a simulator. Every state that it has is under its data directory.
type Stack struct {
	config Config
	dir    *dataDir
	last   ports // of the run before on this data directory
	bus    *event.Bus
	pace   *pace.Pace
	draw   *draw.Source
	faults *fault.Set

	secrets  *conceal.Set // that were made in this run, or before it on this data directory
	ca       *pki.CA
	edge     *edge.Edge
	egress   *edge.Egress // of the customer
	inside   *edge.Egress // of the cloud itself, which every allowlist lets in
	proxy    *edge.Proxy
	registry *registry.Registry
	images   *image.Builder
	clouds   *environments
	cluster  customer
	portal   *portal.Portal
	token    sim.Secret // of who runs the simulator, for the portal
	httpPort string

	reconciler *reconciler
	books      *bookkeeper

	group     life.Group
	closing   func() error // Close's work, once
	endpoints Endpoints
}

// Open stands up a simulator: everything is bound and its addresses are known, nothing is served yet. ctx bounds opening
// only. It returns Conflict if a port or the data directory is taken and Invalid if c cannot work.
func Open(ctx context.Context, c Config) (_ *Stack, err error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	s := &Stack{config: c, pace: pace.New(c.Clock), draw: draw.New(c.Seed), bus: event.New(c.Clock, 0)}
	s.faults, s.secrets = fault.New(c.Clock, s.draw), conceal.New()
	s.closing = sync.OnceValue(s.close)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.dir, err = openDataDir(c.DataDir); err != nil {
		return nil, err
	}
	if s.last, err = s.dir.recall(); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		name string
		open func(context.Context) error
	}{
		{"certificate authority", s.openCA},
		{"edge", s.openEdge},
		{"proxy", s.openProxy},
		{"registry", s.openRegistry},
		{"environments", s.openEnvironments},
		{"cluster", s.openCluster},
		{"portal", s.openPortal},
		{"reconciler", s.openReconciler},
		{"residue ledger", s.openBookkeeper},
	} {
		if err := step.open(ctx); err != nil {
			return nil, fmt.Errorf("open %s: %w", step.name, err)
		}
	}
	if err := s.describe(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Stack) openCA(context.Context) error {
	dir := s.config.CADir
	if dir == "" {
		var err error
		if dir, err = s.dir.dir("pki"); err != nil {
			return err
		}
	}
	var err error
	if s.ca, err = pki.Open(dir, s.config.Clock); err != nil {
		return err
	}
	s.secrets.Note(s.ca.Secret())
	return nil
}

func (s *Stack) openEdge(ctx context.Context) (err error) {
	s.edge, err = bind(s.config.TLSAddr, s.last.TLS, func(addr string) (*edge.Edge, error) {
		return edge.Open(ctx, edge.Options{
			Addr: addr, Entrance: s.entrance(), Flag: "--tls", Clock: s.config.Clock, Bus: s.bus, Faults: s.faults, Log: s.log(sim.PartEdge),
		})
	})
	if err != nil {
		return err
	}
	s.egress, s.inside = s.edge.Egress(s.config.Source), s.edge.Egress(insideAddress)
	return s.group.Add(life.Service{Name: "edge", Serve: s.edge.Serve, Close: s.edge.Close})
}

// insideAddress is where connections from inside the cloud come from: TEST-NET-2, RFC 5737, nobody's address.
var insideAddress = netip.AddrFrom4([4]byte{198, 51, 100, 10})

func (s *Stack) openProxy(ctx context.Context) (err error) {
	s.proxy, err = bind(s.config.ProxyAddr, s.last.Proxy, func(addr string) (*edge.Proxy, error) {
		return edge.OpenProxy(ctx, edge.ProxyOptions{Addr: addr, Edge: s.edge, Log: s.log(sim.PartEdge)})
	})
	if err != nil {
		return err
	}
	return s.group.Add(life.Service{Name: "proxy", Serve: s.proxy.Serve, Close: s.proxy.Close})
}

func (s *Stack) openEnvironments(context.Context) error {
	s.clouds = &environments{stack: s, open: map[sim.EnvironmentID]*environment{}}
	return s.group.Add(life.Service{Name: "environments", Serve: s.clouds.group.Serve, Close: s.clouds.group.Close})
}

func (s *Stack) openCluster(ctx context.Context) (err error) {
	if s.config.Target != nil {
		s.cluster, err = s.openTarget(ctx)
	} else {
		s.cluster, err = s.openOwnCluster(ctx)
	}
	if err != nil {
		return err
	}
	return s.group.Add(life.Service{Name: "cluster", Serve: s.cluster.Serve, Close: s.cluster.Close})
}

// openOwnCluster opens the cluster in this process.
func (s *Stack) openOwnCluster(ctx context.Context) (customer, error) {
	dir := ""
	if !s.dir.temporary {
		d, err := s.dir.dir("cluster")
		if err != nil {
			return nil, err
		}
		dir = d
	}
	trust, err := s.nodeTrust()
	if err != nil {
		return nil, err
	}
	return cluster.Open(ctx, cluster.Options{
		Addr: s.config.ClusterAddr, Dir: dir, Nodes: s.config.Nodes, Runtime: engines{s}, Dial: s.egress.DialContext, Trust: trust,
		Clock: s.config.Clock, Bus: s.bus, Draw: s.draw, Faults: s.faults, Conceal: s.secrets, Log: s.log(sim.PartCluster),
	})
}

// nodeTrust is what the nodes trust when they pull: the cloud's CA, and those of the organisation's own registries. It
// returns Invalid for a file without certificates.
func (s *Stack) nodeTrust() (*x509.CertPool, error) {
	pool := s.ca.Pool()
	for _, path := range s.config.NodeCAs {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, sim.Errorf(sim.Invalid, "the certificates that nodes trust cannot be read: %s", err).WithHelp("name a file with the certificates of your registry's CA, in PEM (--node-ca)")
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, sim.Errorf(sim.Invalid, "%s has no certificate that the nodes could trust", path).
				WithHelp("name a file with the certificates of your registry's CA, in PEM (--node-ca)")
		}
	}
	return pool, nil
}

func (s *Stack) openPortal(ctx context.Context) error {
	token, err := s.dir.token()
	if err != nil {
		return err
	}
	s.token = token
	s.secrets.Note(token)
	plain, err := bind(s.config.HTTPAddr, s.last.HTTP, func(addr string) (net.Listener, error) {
		return edge.ListenTCP(ctx, addr, "--http")
	})
	if err != nil {
		return err
	}
	host := s.hostOfPortal()
	secure, err := s.edge.Listen(host, "")
	if err != nil {
		return errors.Join(err, plain.Close())
	}
	s.httpPort = portOf(plain.Addr())
	commands, err := s.openRunner()
	if err != nil {
		return errors.Join(err, plain.Close(), secure.Close())
	}
	s.portal, err = portal.Open(ctx, portal.Options{
		Path: s.dir.join("portal.db"), Token: s.token, Listener: plain, TLSListener: secure, TLS: s.ca.ServerTLS(host), Hosts: []string{host},
		Cloud: cloud{s}, Simulator: simulator{s}, Runner: commands, Clock: s.config.Clock, Pace: s.pace, Bus: s.bus, Draw: s.draw, Faults: s.faults, Conceal: s.secrets, Log: s.log(sim.PartPortal),
	})
	if err != nil {
		return errors.Join(err, plain.Close(), secure.Close())
	}
	return s.group.Add(life.Service{Name: "portal", Serve: s.portal.Serve, Close: s.portal.Close})
}

// openReconciler makes what the portal's rows want before anything is served, and then keeps it so.
func (s *Stack) openReconciler(ctx context.Context) error {
	s.reconciler = &reconciler{stack: s}
	if err := s.reconciler.once(ctx); err != nil {
		return err
	}
	return s.group.Add(life.Service{Name: "reconciler", Serve: s.reconciler.serve})
}

// describe fills in the endpoints and writes the files that they name.
func (s *Stack) describe() error {
	port := s.edgePort()
	host, _, err := net.SplitHostPort(s.config.HTTPAddr)
	if err != nil {
		return fmt.Errorf("name the portal: %w", err)
	}
	e := Endpoints{
		Portal:     "http://" + net.JoinHostPort(host, s.httpPort),
		PortalTLS:  "https://" + net.JoinHostPort(s.hostOfPortal(), port),
		Registry:   "https://" + s.registryAt(),
		Edge:       s.edge.Near(),
		Proxy:      s.proxy.URL(),
		Kubernetes: s.cluster.URL(),
		Kubeconfig: s.dir.join("kubeconfig"),
		CA:         s.dir.join("ca.pem"),
		TokenFile:  s.dir.join(tokenFile),
		DataDir:    s.dir.path,
		Temporary:  s.dir.temporary,
		Domain:     s.config.Domain,
		Seed:       s.config.Seed,
		PID:        os.Getpid(),
	}
	s.endpoints = e
	return errors.Join(s.dir.remember(ports{HTTP: s.httpPort, TLS: port, Proxy: portOf(s.proxy.Addr())}),
		durable.WriteFile(e.Kubeconfig, s.cluster.Kubeconfig(), 0o600), durable.WriteFile(e.CA, s.ca.PEM(), 0o600))
}

// edgePort is the port of all cloud endpoints.
func (s *Stack) edgePort() string { return portOf(s.edge.Addr()) }

// Serve runs everything until ctx ends or a service fails, and stops it in reverse order.
func (s *Stack) Serve(ctx context.Context) error { return s.group.Serve(ctx) }

// Close ends Serve and gives everything back; a temporary data directory is removed. It is idempotent, safe for concurrent
// use and right if Serve never ran.
func (s *Stack) Close() error { return s.closing() }

func (s *Stack) close() error {
	err := s.group.Close()
	if s.dir != nil { // Open came so far
		err = errors.Join(err, s.dir.close())
	}
	return err
}

// WaitReady waits until the portal says that every part is ready. It returns ctx's error if that comes first: end ctx
// when Serve returns.
func (s *Stack) WaitReady(ctx context.Context) error {
	for {
		if ok, err := s.ready(ctx); ok || err != nil {
			return err
		}
		if err := clock.New().Sleep(ctx, readyPoll); err != nil {
			return err
		}
	}
}

// readyPoll is how often readiness is asked for: often enough that nobody notices.
const readyPoll = 5 * time.Millisecond

func (s *Stack) ready(ctx context.Context) (bool, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.portal.URL()+"/readyz", nil)
	if err != nil {
		return false, err
	}
	res, err := client.Do(req)
	if err != nil {
		return false, ctx.Err() // not served yet
	}
	return res.StatusCode == http.StatusOK, res.Body.Close()
}

// Endpoints tells where everything is.
func (s *Stack) Endpoints() Endpoints { return s.endpoints }

// Path gives a path inside the data directory, for files that live as long as the simulator's state.
func (s *Stack) Path(elem ...string) string { return s.dir.join(elem...) }

// Client gives a client of the portal that acts as the trainer, who runs the simulator.
func (s *Stack) Client() *api.Client {
	return &api.Client{BaseURL: s.endpoints.Portal, Token: s.token}
}

// Bus gives the event log of the run.
func (s *Stack) Bus() *event.Bus { return s.bus }

// Clock gives the product's time.
func (s *Stack) Clock() *clock.Clock { return s.config.Clock }

// Pace gives what moves the product's time.
func (s *Stack) Pace() *pace.Pace { return s.pace }

// Faults gives what can be broken on purpose.
func (s *Stack) Faults() *fault.Set { return s.faults }

// Objects is [cluster.Cluster.Objects].
func (s *Stack) Objects(ctx context.Context) (map[string][]byte, error) {
	return s.cluster.Objects(ctx)
}

// Secrets gives all secrets that this simulator has made or was given, also those that are no longer valid.
func (s *Stack) Secrets() *conceal.Set { return s.secrets }

// Operator gives the cluster as its operator sees it.
func (s *Stack) Operator() *cluster.View { return s.cluster.View() }
