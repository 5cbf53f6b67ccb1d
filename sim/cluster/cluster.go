package cluster

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/cluster/internal/api"
	"github.com/dpesim/dpesim/sim/cluster/internal/controller"
	"github.com/dpesim/dpesim/sim/cluster/internal/node"
	"github.com/dpesim/dpesim/sim/cluster/internal/trail"
	"github.com/dpesim/dpesim/sim/conceal"
	"github.com/dpesim/dpesim/sim/draw"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/sim/life"
)

// PointOOM can be made to fail: a container of the DPE is then killed as if it had used more memory than its limit.
const PointOOM = node.PointOOM

// PointPull can be made to fail: an image is then not pulled.
const PointPull = node.PointPull

// Options say how a cluster is opened. Runtime, Clock, Draw and Log are required.
type Options struct {
	Addr    string         // where the API server listens; "": loopback, a free port, the one of the last run in Dir if possible
	Dir     string         // keeps objects, identity and claims over restarts; "": everything is forgotten
	Nodes   []Node         // nil: [DefaultNodes]
	Runtime Runtime        // runs the containers
	Dial    DialFunc       // outgoing connections of containers, and of nodes that pull images; nil: ordinary ones
	Trust   *x509.CertPool // what nodes trust when they pull, beside the system's roots; nil: nothing else
	Clock   *clock.Clock
	Bus     *event.Bus   // nil: silent
	Faults  *fault.Set   // nil: none
	Conceal *conceal.Set // learns of tokens and of what Secrets hold; nil: nothing does
	Draw    *draw.Source
	Log     *slog.Logger
}

// Cluster is a Kubernetes cluster in this process. It is safe for concurrent use.
type Cluster struct {
	api         *api.Server
	agent       *node.Agent
	controllers *controller.Manager
	acts        *trail.Acts
	view        *View
	ready       chan struct{}

	mu     sync.Mutex
	stop   context.CancelFunc // of Serve; nil: it never ran
	served chan struct{}      // closed when Serve has returned
	closed bool
}

// Open opens a cluster: its API server is bound, nothing runs before [Cluster.Serve]. ctx bounds opening only. It
// returns Invalid if a node is described wrongly.
func Open(ctx context.Context, o Options) (*Cluster, error) {
	if o.Runtime == nil || o.Clock == nil || o.Draw == nil || o.Log == nil {
		return nil, sim.Errorf(sim.Invalid, "a cluster needs a runtime, a clock, a source of draws and a log").WithHelp("set Runtime, Clock, Draw and Log")
	}
	keep := o.Nodes == nil
	if keep {
		o.Nodes = DefaultNodes()
	}
	logs, steps := &logSource{}, trail.New(o.Bus)
	apiDir, nodeDir := "", ""
	if o.Dir != "" {
		apiDir, nodeDir = filepath.Join(o.Dir, "api"), filepath.Join(o.Dir, "node")
	}
	server, err := api.Open(ctx, api.Options{Addr: o.Addr, Dir: apiDir, Clock: o.Clock, Draw: o.Draw, Bus: o.Bus, Conceal: o.Conceal, Acts: steps.Acts, Log: o.Log, Logs: logs})
	if err != nil {
		return nil, fmt.Errorf("open the API server: %w", err)
	}
	c := &Cluster{api: server, acts: steps.Acts, ready: make(chan struct{}), served: make(chan struct{})}
	c.agent, err = node.Open(node.Options{
		Config: protobuf(server.RESTConfig(api.NodeAgent)), Nodes: o.Nodes, Keep: keep, Trust: o.Trust, Runtime: o.Runtime, Dial: o.Dial,
		Dir: nodeDir, Clock: o.Clock, Trail: steps, Faults: o.Faults, Log: o.Log,
	})
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	logs.agent = c.agent
	c.controllers, err = controller.New(controller.Options{Config: protobuf(server.RESTConfig(api.ControllerManager)), Clock: o.Clock, Trail: steps, Log: o.Log})
	if err != nil {
		return nil, errors.Join(err, c.agent.Close(), server.Close())
	}
	if c.view, err = newView(protobuf(server.RESTConfig(api.Operator)), nil); err != nil {
		return nil, errors.Join(err, c.agent.Close(), server.Close())
	}
	return c, nil
}

// protobuf makes a client speak what is read and written fastest.
func protobuf(c *rest.Config) *rest.Config {
	c.ContentType = "application/vnd.kubernetes.protobuf"
	c.AcceptContentTypes = c.ContentType + ",application/json"
	return c
}

// URL gives the API server's address, "https://127.0.0.1:41234".
func (c *Cluster) URL() string { return c.api.URL() }

// Kubeconfig gives what helm and kubectl need, as a file's content: the contexts "dpesim" of the user operator, who may do
// everything, and "dpesim-viewer" of viewer, who may see everything but secrets. It holds tokens: write it with mode 0600.
func (c *Cluster) Kubeconfig() []byte { return c.api.Kubeconfig(0) }

// KubeconfigOf is [Cluster.Kubeconfig] for one piece of work: what is done with it is told as caused by the event with Seq
// cause.
func (c *Cluster) KubeconfigOf(cause uint64) []byte { return c.api.Kubeconfig(cause) }

// RESTConfig gives what a client in this process needs to come as the operator.
func (c *Cluster) RESTConfig() *rest.Config { return c.api.RESTConfig(api.Operator) }

// View gives the cluster as its operator sees it.
func (c *Cluster) View() *View { return c.view }

// Made gives the Seq of the event that tells which person made the object with a UID; 0 if nobody did, as of what
// controllers make, or if that is not known, as of what was made before a restart.
func (c *Cluster) Made(uid string) uint64 { return c.acts.Of(types.UID(uid)).Made }

// Ready is closed once the cluster serves: nodes are registered, namespaces exist, controllers watch.
func (c *Cluster) Ready() <-chan struct{} { return c.ready }

// Serve runs the cluster until ctx is done, and then returns nil once everything has stopped: first the controllers,
// then the pods, last the API server. It may be called once.
func (c *Cluster) Serve(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c.mu.Lock()
	if c.closed || c.stop != nil {
		c.mu.Unlock()
		return sim.Errorf(sim.Conflict, "the cluster has been closed, or serves already")
	}
	c.stop = stop
	c.mu.Unlock()
	defer close(c.served)
	var group life.Group
	for _, s := range []life.Service{
		{Name: "API server", Serve: c.api.Serve},
		{Name: "node agent", Serve: c.agent.Run},
		{Name: "controllers", Serve: func(ctx context.Context) error {
			select {
			case <-c.agent.Ready(): // pods that an earlier run left as ready are no longer taken for it
			case <-ctx.Done():
				return nil
			}
			return c.controllers.Run(ctx)
		}},
		{Name: "view", Serve: c.view.serve},
		{Name: "readiness", Serve: func(ctx context.Context) error {
			select {
			case <-c.controllers.Ready():
				close(c.ready)
			case <-ctx.Done():
			}
			return nil
		}},
	} {
		if err := group.Add(s); err != nil {
			return err
		}
	}
	return group.Serve(ctx)
}

// Close stops the cluster and gives back what it took. It is idempotent, and right if Serve never ran.
func (c *Cluster) Close() error {
	c.mu.Lock()
	stop := c.stop
	c.closed = true
	c.mu.Unlock()
	if stop != nil {
		stop()
		<-c.served
	}
	return errors.Join(c.agent.Close(), c.api.Close())
}

// logSource lets the API server ask the node agent, which is opened after it.
type logSource struct{ agent *node.Agent }

// PodLog opens the log of a container.
func (l *logSource) PodLog(ctx context.Context, namespace, pod, container string, opts *corev1.PodLogOptions) (io.ReadCloser, error) {
	if l.agent == nil {
		return nil, apierrors.NewServiceUnavailable("the node agent is not open yet")
	}
	return l.agent.PodLog(ctx, namespace, pod, container, opts)
}
