// Package controller holds the controllers that an operator of an engine meets: Deployment, ReplicaSet, Job, scheduler,
// volumes, endpoints, life and taints of nodes, disruption budgets, autoscalers, namespaces, garbage.
//
// They speak client-go to a rest.Config. Informers say when something may have to be done; what is to be done is decided
// on a live read, so that no stale cache makes a pod too many. Each is small on purpose: see DESIGN.md of sim/cluster for
// what they leave out.
package controller

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/cluster/internal/record"
	"github.com/dpesim/dpesim/sim/cluster/internal/trail"
)

// Options say how the controllers run. All are required.
type Options struct {
	Config *rest.Config // of the API server
	Clock  *clock.Clock
	Trail  *trail.Trail
	Log    *slog.Logger
}

// Manager runs the controllers.
type Manager struct {
	client    kubernetes.Interface
	discovery discovery.DiscoveryInterfaces
	metadata  metadata.Interface
	informers informers.SharedInformerFactory
	events    *record.Recorder
	clock     *clock.Clock
	trail     *trail.Trail
	log       *slog.Logger
	ca        []byte // of the API server, PEM
	ready     chan struct{}
	loops     []*loop
}

// New gives a manager. Nothing runs before [Manager.Run].
func New(o Options) (*Manager, error) {
	client, err := kubernetes.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("open the controllers: %w", err)
	}
	meta, err := metadata.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("open the controllers: %w", err)
	}
	return &Manager{
		client: client, discovery: client.Discovery(), metadata: meta, informers: informers.NewSharedInformerFactory(client, 0),
		events: record.New(client, o.Clock, o.Log), clock: o.Clock, trail: o.Trail, log: o.Log,
		ca: o.Config.CAData, ready: make(chan struct{}),
	}, nil
}

// Ready is closed once every controller watches what it needs.
func (m *Manager) Ready() <-chan struct{} { return m.ready }

// Run runs the controllers until ctx is done, and returns once all have stopped. It may be called once.
func (m *Manager) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { m.events.Run(ctx) })

	inventory, err := newInventory(ctx, m)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("learn what the API server holds: %w", err)
	}
	defer func() {
		cancel()
		for _, l := range m.loops {
			l.queue.ShutDown()
		}
		m.informers.Shutdown()
		inventory.factory.Shutdown()
	}()
	for _, add := range []func() error{
		m.addDeployments, m.addReplicaSets, m.addJobs, m.addScheduler, m.addVolumes, m.addProtection, m.addEndpoints,
		m.addNodeLife, m.addEvictions, m.addBudgets, m.addScalers, m.addServiceAccounts, m.addPodCollector,
		func() error { return m.addNamespaces(inventory) },
		func() error { m.addCollector(inventory); return inventory.connect() },
	} {
		if err := add(); err != nil {
			return fmt.Errorf("start the controllers: %w", err)
		}
	}
	m.informers.StartWithContext(ctx)
	inventory.factory.Start(ctx.Done())
	m.informers.WaitForCacheSync(ctx.Done())
	inventory.factory.WaitForCacheSync(ctx.Done())
	for _, l := range m.loops {
		running.Go(func() { l.run(ctx) })
	}
	if ctx.Err() == nil {
		close(m.ready)
	}
	<-ctx.Done()
	return nil
}

// on calls f for each object that an informer adds, changes or removes.
func on(i cache.SharedIndexInformer, f func(metav1.Object)) error {
	_, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { forward(o, f) },
		UpdateFunc: func(_, o any) { forward(o, f) },
		DeleteFunc: func(o any) { forward(o, f) },
	})
	return err
}

func forward(o any, f func(metav1.Object)) {
	if t, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = t.Obj
	}
	if m, ok := o.(metav1.Object); ok {
		f(m)
	}
}

func keyOf(o metav1.Object) string { return cache.MetaObjectToName(o).String() }
