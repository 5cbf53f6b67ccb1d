// Package borrowed makes somebody's cluster, named by a kubeconfig, the target of a simulator: with leave, in namespaces of
// its own, and so that nothing is left behind. See DESIGN.md.
package borrowed

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster"
	"github.com/dpesim/dpesim/sim/cluster/survey"
	"github.com/dpesim/dpesim/sim/stack"
)

const (
	// Home is the namespace for what the simulator itself puts into the cluster: pods of probes.
	Home = "dpesim"
	// Mark is the label of [Home] by which its administrator says that the cluster is one for rehearsals.
	Mark = "dpesim.dev/rehearsal"
)

// Options say which cluster is borrowed, and how it reaches the simulator.
type Options struct {
	Files      []string   // kubeconfig files, as in $KUBECONFIG; none: ~/.kube/config
	Context    string     // of the kubeconfig; empty: its current one
	Advertised Advertised // from [Advertise]
	Yes        bool       // there is leave to write to a cluster that is not marked
	Keep       bool       // Close leaves what is there
	ProbeImage string     // that nodes pull without a login for the pod that looks from inside; empty: the engine's, from the simulator
	// Ask asks a person whether to write to a cluster that is not marked; nil: there is nobody to ask.
	Ask func(Place) (bool, error)
	// Uninstall removes a Helm release, as helm does with that kubeconfig.
	Uninstall func(ctx context.Context, kubeconfig []byte, namespace, release string) error
	Progress  func(what string) // is told what is done, line by line, from one goroutine at a time; nil: nobody
}

// Cluster is a cluster that is borrowed. It is safe for concurrent use.
type Cluster struct {
	opts       Options
	place      Place
	config     *rest.Config
	kubeconfig []byte
	client     kubernetes.Interface
	namespaces []string // that may be worked in; nil: all
	madeHome   bool

	told    atomic.Bool // what must be reachable
	proving sync.Mutex
	proven  bool

	keeper *keeper
}

// Open finds the cluster, asks for leave, and notes what is there. The caller closes it.
//
// It returns Unavailable if the cluster does not answer, NotFound if the kubeconfig does not have it, and Forbidden without
// leave or with too few rights.
func Open(ctx context.Context, o Options) (*Cluster, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	c := &Cluster{opts: o}
	var err error
	if c.place, c.config, c.kubeconfig, err = load(o.Files, o.Context); err != nil {
		return nil, err
	}
	if c.client, err = kubernetes.NewForConfig(c.config); err != nil {
		return nil, fmt.Errorf("open a client of the cluster: %w", err)
	}
	for _, step := range []func(context.Context) error{c.answers, c.leave, c.rights} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	if c.keeper, err = keep(ctx, c.client, c.namespaces); err != nil {
		return nil, err
	}
	if err := c.settle(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// leave returns Forbidden unless the cluster is marked, or somebody says yes.
func (c *Cluster) leave(ctx context.Context) error {
	home, err := c.client.CoreV1().Namespaces().Get(ctx, Home, metav1.GetOptions{})
	if err == nil && home.Labels[Mark] == "true" {
		return nil
	}
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
		return fmt.Errorf("look for the mark of rehearsals: %w", err)
	}
	if c.opts.Yes {
		return nil
	}
	if c.opts.Ask != nil {
		ok, err := c.opts.Ask(c.place)
		if err != nil || ok {
			return err
		}
		return sim.Errorf(sim.Forbidden, "nothing was written to the cluster %s", c.place.Cluster).WithHelp("rehearse on another one, or on the one in the process: --cluster inprocess")
	}
	return sim.Errorf(sim.Forbidden, "the cluster %s (context %s, %s) is not marked as one for rehearsals, and there is nobody to ask", c.place.Cluster, c.place.Context, c.place.Server).
		WithHelp("if it is the right one, say so with --yes, or mark it once: 'dpesim cluster role | kubectl --context %s apply -f -'", c.place.Context)
}

// settle makes the simulator's own namespace, unless it is there. One that an earlier run is removing is waited for.
func (c *Cluster) settle(ctx context.Context) error {
	there, err := c.client.CoreV1().Namespaces().Get(ctx, Home, metav1.GetOptions{})
	if err == nil && there.DeletionTimestamp != nil {
		err = c.noHome(ctx)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("look for the namespace %s: %w", Home, err)
	}
	_, err = c.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: Home, Labels: map[string]string{survey.ManagedBy: survey.Simulator}},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make the namespace %s: %w", Home, err)
	}
	c.madeHome = true
	return nil
}

// Target gives what a simulator needs of the cluster.
func (c *Cluster) Target() *stack.Target {
	return &stack.Target{
		Config: rest.CopyConfig(c.config), Kubeconfig: c.kubeconfig, Gateway: c.opts.Advertised.Address, Listen: c.opts.Advertised.Listen,
		Registry: c.opts.Advertised.Name, Namespaces: c.namespaces, Chart: ofChart, Connect: c.connect, Prove: c.prove,
	}
}

// cleanTimeout bounds what is cleaned at the end, in machine time: pods may take their time to end.
const cleanTimeout = 3 * time.Minute

// Close removes what scenarios have left, as [Cluster.Clean] does, and the simulator's own namespace if this run made it; with
// Keep nothing.
func (c *Cluster) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanTimeout)
	defer cancel()
	var err error
	if !c.opts.Keep {
		err = c.Clean(ctx)
	}
	c.keeper.close()
	if c.madeHome && !c.opts.Keep {
		err = errors.Join(err, c.leaveHome(ctx))
	}
	return err
}

// leaveHome removes the simulator's own namespace, and waits until it is gone.
func (c *Cluster) leaveHome(ctx context.Context) error {
	there, err := c.client.CoreV1().Namespaces().Get(ctx, Home, metav1.GetOptions{})
	if err == nil {
		err = c.client.CoreV1().Namespaces().Delete(ctx, Home, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(there.UID))})
	}
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("remove the namespace %s: %w", Home, err)
	}
	return c.noHome(ctx)
}

// noHome waits until the simulator's own namespace is gone.
func (c *Cluster) noHome(ctx context.Context) error {
	only := metav1.ListOptions{FieldSelector: "metadata.name=" + Home}
	return cluster.AwaitGone(ctx, "namespaces", c.client.CoreV1().Namespaces(), only, func(n metav1.Object) bool { return n.GetDeletionTimestamp() != nil })
}

// Advertised is how a cluster reaches this machine.
type Advertised struct {
	Name    string     // name or address by which nodes pull
	Address netip.Addr // by which pods come
	Listen  netip.Addr // at which this machine listens for them
}
