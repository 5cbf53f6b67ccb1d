package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"
	"k8s.io/client-go/util/workqueue"

	"github.com/dpesim/dpesim/sim/cluster/internal/trail"
)

// register makes the nodes that are wanted. If they were named in the options, nodes of an earlier run that are not among
// them are taken away; otherwise what is there stays, and the nodes are made only if there are none.
func (a *Agent) register(ctx context.Context) error {
	nodes := a.client.CoreV1().Nodes()
	have, err := nodes.List(ctx, metav1.ListOptions{LabelSelector: AgentLabel + "=" + AgentName})
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	if a.keep && len(have.Items) > 0 {
		return nil
	}
	for _, n := range a.wanted {
		if err := a.registerOne(ctx, n); err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	for _, n := range have.Items {
		if slices.ContainsFunc(a.wanted, func(w Node) bool { return w.Name == n.Name }) {
			continue
		}
		if err := nodes.Delete(ctx, n.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("take away node %s: %w", n.Name, err)
		}
	}
	return nil
}

// registerOne makes a node, or gives one that is there the size that is wanted.
func (a *Agent) registerOne(ctx context.Context, n Node) error {
	nodes := a.client.CoreV1().Nodes()
	_, err := nodes.Create(ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: map[string]string{
			AgentLabel: AgentName, corev1.LabelHostname: n.Name, corev1.LabelOSStable: runtime.GOOS, corev1.LabelArchStable: runtime.GOARCH,
		}},
		Status: corev1.NodeStatus{Capacity: n.size(), Allocatable: n.size()},
	}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		have, err := nodes.Get(ctx, n.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		have.Status.Capacity, have.Status.Allocatable = n.size(), n.size()
		_, err = nodes.UpdateStatus(ctx, have, metav1.UpdateOptions{})
		return err
	})
}

// fleet runs the nodes: it starts those that appear and stops those that go or lose their power, one change at a time.
type fleet struct {
	agent  *Agent
	queue  workqueue.TypedInterface[string]
	store  cache.Store
	places map[string]*place // owned by serve
	seats  map[int]string
}

// serve follows the API server's nodes until ctx is done. started is called once those of the beginning run.
func (a *Agent) serve(ctx context.Context, started func()) error {
	f := &fleet{agent: a, queue: workqueue.NewTyped[string](), places: map[string]*place{}, seats: map[int]string{}}
	factory := informers.NewSharedInformerFactoryWithOptions(a.client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.LabelSelector = AgentLabel + "=" + AgentName
	}))
	informer := factory.Core().V1().Nodes().Informer()
	f.store = informer.GetStore()
	add := func(o any) {
		if t, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = t.Obj
		}
		if n, ok := o.(*corev1.Node); ok {
			f.queue.Add(n.Name)
		}
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: add, UpdateFunc: func(_, o any) { add(o) }, DeleteFunc: add,
	}); err != nil {
		return fmt.Errorf("watch the nodes: %w", err)
	}
	factory.StartWithContext(ctx)
	factory.WaitForCacheSync(ctx.Done())
	for _, o := range f.store.List() {
		f.sync(ctx, o.(*corev1.Node).Name)
	}
	for _, n := range f.places {
		n.watch.WaitForCacheSync(ctx.Done())
	}
	if ctx.Err() == nil {
		started()
	}
	stop := context.AfterFunc(ctx, f.queue.ShutDown)
	defer stop()
	for {
		name, done := f.queue.Get()
		if done {
			break
		}
		f.sync(ctx, name)
		f.queue.Done(name)
	}
	factory.Shutdown()
	for _, n := range f.places {
		n.watch.Shutdown()
		n.running.Wait() // they end with ctx
	}
	return nil
}

// sync makes one node run, or not, as the API server has it.
func (f *fleet) sync(ctx context.Context, name string) {
	if ctx.Err() != nil {
		return
	}
	var node *corev1.Node
	if o, ok, err := f.store.GetByKey(name); err == nil && ok {
		node = o.(*corev1.Node)
	}
	n := f.places[name]
	switch {
	case n != nil && (node == nil || node.UID != n.current().UID):
		f.agent.dismantle(n, f.stop(n, "node removed"))
		for i, at := range f.seats {
			if at == name {
				delete(f.seats, i)
			}
		}
		if node != nil {
			f.queue.Add(name)
		}
	case n != nil && node.Annotations[PowerAnnotation] == PowerOff:
		f.stop(n, "node stopped")
	case n != nil:
		n.mu.Lock()
		n.node = node
		n.mu.Unlock()
		n.touch() // somebody else may have written its status
	case node != nil && node.Annotations[PowerAnnotation] != PowerOff:
		if err := f.start(ctx, node); err != nil && ctx.Err() == nil {
			f.agent.log.Error("node not started", "err", err, "node", name)
			f.agent.clock.AfterFunc(firstRetry, func() { f.queue.Add(name) })
		}
	}
}

// start gives a node power.
func (f *fleet) start(ctx context.Context, node *corev1.Node) error {
	a := f.agent
	node, i, err := f.assign(ctx, node)
	if err != nil {
		return err
	}
	n := &place{name: node.Name, node: node, moved: make(chan struct{}, 1)}
	n.ip, n.pods = seat(i)
	if n.images, err = openImages(a.imagesFile(n.name)); err != nil {
		return err
	}
	n.ctx, n.off = context.WithCancel(ctx)
	if n.watch, err = a.watch(n); err != nil {
		n.off()
		return fmt.Errorf("watch the pods of %s: %w", n.name, err)
	}
	f.places[n.name] = n
	n.began = a.trailNode(n, "node started")
	a.tellNode(n, "Starting", "Starting kubelet.")
	a.beat(n)
	n.watch.StartWithContext(n.ctx)
	n.running.Go(func() { a.heartbeat(n) })
	n.running.Go(func() { a.housekeep(n) })
	return nil
}

// assign gives a node its number, which its pods' addresses tell: the one that it has, or the lowest that is free.
func (f *fleet) assign(ctx context.Context, node *corev1.Node) (*corev1.Node, int, error) {
	if i, ok := seated(node.Spec.PodCIDR); ok && (f.seats[i] == "" || f.seats[i] == node.Name) {
		f.seats[i] = node.Name
		return node, i, nil
	}
	if node.Spec.PodCIDR != "" {
		return nil, 0, fmt.Errorf("its pod network %s is taken or none of this cluster: leave spec.podCIDR empty", node.Spec.PodCIDR)
	}
	i := 0
	for f.seats[i] != "" || f.planned(i) {
		if i++; i == maxNodes {
			return nil, 0, fmt.Errorf("there are %d nodes already", maxNodes)
		}
	}
	_, pods := seat(i)
	nodes, name := f.agent.client.CoreV1().Nodes(), node.Name // of a conflict, Update gives a node without a name
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		have, err := nodes.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		have.Spec.PodCIDR, have.Spec.PodCIDRs = pods.String(), []string{pods.String()}
		node, err = nodes.Update(ctx, have, metav1.UpdateOptions{})
		return err
	})
	if err == nil {
		f.seats[i] = name
	}
	return node, i, err
}

// planned tells whether a node that does not run has number i.
func (f *fleet) planned(i int) bool {
	for _, o := range f.store.List() {
		if n, ok := seated(o.(*corev1.Node).Spec.PodCIDR); ok && n == i {
			return true
		}
	}
	return false
}

// stop takes a node's power away: its processes die without a word, nobody tells the API server.
func (f *fleet) stop(n *place, what string) []*pod {
	cause := f.agent.trailNode(n, what)
	n.off()
	n.watch.Shutdown()
	n.running.Wait()
	delete(f.places, n.name)
	return f.agent.lose(n, cause)
}

// trailNode tells the bus what became of a node, by the last that a person did to it, and gives the event's Seq.
func (a *Agent) trailNode(n *place, what string) uint64 {
	a.trail.Lock()
	defer a.trail.Unlock()
	node := n.current()
	seq := a.trail.Tell(a.ctx, node, a.trail.Acts.Of(node.UID).Seq, what, map[string]string{"node": n.name})
	switch what {
	case "node stopped":
		a.trail.Note(node.UID).Turned = seq
	case "node started":
		a.trail.Note(node.UID).Turned = 0
	}
	return seq
}

// lose kills the pods of a node, because of an event, and waits for their end.
func (a *Agent) lose(n *place, cause uint64) []*pod {
	var pods []*pod
	a.mu.Lock()
	for _, p := range a.pods {
		if p.node == n {
			pods = append(pods, p)
		}
	}
	a.mu.Unlock()
	for _, p := range pods {
		p.trail(func(t *trail.Trail, _ *corev1.Pod) { t.Note(p.uid).Unwanted = cause })
		p.lose()
	}
	for _, p := range pods {
		select {
		case <-p.done:
		case <-a.ctx.Done(): // halt waits for it
		}
	}
	return pods
}

// dismantle removes what a node that is gone for good had on its disk.
func (a *Agent) dismantle(n *place, pods []*pod) {
	for _, p := range pods {
		p.clear()
	}
	err := os.Remove(a.imagesFile(n.name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		a.log.Warn("images of a node not removed", "err", err, "node", n.name)
	}
}

// beatEvery is how often a node renews its lease and looks at its status; leaseTime is how long the lease says it holds.
// Unchanged, the status is written every reportEvery. Source: KubeletConfiguration, nodeStatusUpdateFrequency 10s,
// nodeLeaseDurationSeconds 40, nodeStatusReportFrequency 5m.
const (
	beatEvery   = 10 * time.Second
	leaseTime   = 40
	reportEvery = 5 * time.Minute
)

// capacity gives what the node says it has, completed by defaults.
func capacity(n *corev1.Node) corev1.ResourceList {
	out := corev1.ResourceList{}
	for name, value := range map[corev1.ResourceName]string{
		corev1.ResourceCPU: defaultCPU, corev1.ResourceMemory: defaultMemory,
		corev1.ResourceEphemeralStorage: defaultDisk, corev1.ResourcePods: podsPerNode,
	} {
		if q, ok := n.Status.Capacity[name]; ok && q.Sign() > 0 {
			out[name] = q
		} else {
			out[name] = resource.MustParse(value)
		}
	}
	return out
}
