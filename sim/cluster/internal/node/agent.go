package node

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"

	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/cluster/internal/image"
	"github.com/dpesim/dpesim/sim/cluster/internal/record"
	"github.com/dpesim/dpesim/sim/cluster/internal/trail"
	"github.com/dpesim/dpesim/sim/fault"
)

// stopGrace is how long, in machine time, containers may take to end when the agent goes: the whole simulator stops
// within a second.
const stopGrace = 500 * time.Millisecond

// Options say how an agent runs. All but Dial, Trust, Dir and Faults are required.
type Options struct {
	Config  *rest.Config // of the API server
	Nodes   []Node
	Keep    bool // nodes that the API server has are kept as they are: Nodes is for a cluster without any
	Runtime Runtime
	Dial    DialFunc       // outgoing connections of containers, and of nodes that pull images; nil: ordinary ones
	Trust   *x509.CertPool // of registries, beside the system's roots; nil: nothing else
	Dir     string         // of scratch directories and claims, kept; "": a temporary one, removed by Close
	Clock   *clock.Clock
	Trail   *trail.Trail
	Faults  *fault.Set
	Log     *slog.Logger
}

// Agent runs the pods that are bound to its nodes. It is safe for concurrent use.
type Agent struct {
	client  kubernetes.Interface
	events  *record.Recorder
	runtime Runtime
	dial    DialFunc
	clock   *clock.Clock
	trail   *trail.Trail
	faults  *fault.Set
	log     *slog.Logger
	puller  *image.Puller
	wanted  []Node
	keep    bool
	version string // of the API server, which the nodes claim too
	network *network
	turn    atomic.Uint64 // of endpoints of services
	dir     string
	forget  bool // dir is temporary
	ready   chan struct{}

	ctx     context.Context // of Run: done when the agent goes
	running sync.WaitGroup

	mu   sync.Mutex
	pods map[types.UID]*pod
}

// Open gives an agent. It runs nothing before [Agent.Run].
func Open(o Options) (*Agent, error) {
	client, err := kubernetes.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("open the node agent: %w", err)
	}
	if err := check(o.Nodes); err != nil {
		return nil, err
	}
	a := &Agent{
		client: client, events: record.New(client, o.Clock, o.Log), runtime: o.Runtime, dial: o.Dial, clock: o.Clock, trail: o.Trail, faults: o.Faults,
		log: o.Log, wanted: o.Nodes, keep: o.Keep, network: newNetwork(), dir: o.Dir, ready: make(chan struct{}), pods: map[types.UID]*pod{},
	}
	if a.dial == nil {
		a.dial = new(net.Dialer).DialContext
	}
	a.puller = &image.Puller{
		Client:   image.NewClient(image.Dial(a.dial), o.Trust, o.Clock.Now),
		Platform: v1.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH},
	}
	if a.dir == "" {
		a.forget = true
		if a.dir, err = os.MkdirTemp("", "dpesim-node-"); err != nil {
			return nil, fmt.Errorf("open the node agent: %w", err)
		}
	} else if a.dir, err = filepath.Abs(a.dir); err != nil {
		return nil, fmt.Errorf("open the node agent: %w", err)
	}
	return a, nil
}

// Close gives back what Open took. It is idempotent, and must not be called while Run runs.
func (a *Agent) Close() error {
	if !a.forget {
		return nil
	}
	return os.RemoveAll(a.dir)
}

// Ready is closed once the nodes are registered and the pods that were bound to them are known.
func (a *Agent) Ready() <-chan struct{} { return a.ready }

// Run runs pods until ctx is done. Then it asks the containers to end and returns once they have; the API server is not
// told, so that the pods come back with the next agent. It may be called once.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.ctx = ctx
	var recorder sync.WaitGroup
	recorder.Go(func() { a.events.Run(ctx) })
	defer recorder.Wait()
	defer cancel()
	version, err := a.client.Discovery().ServerVersionWithContext(ctx)
	if err == nil {
		a.version = version.GitVersion
		err = a.register(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("register the nodes: %w", err)
	}
	err = a.serve(ctx, func() { close(a.ready) })
	cancel()
	return errors.Join(err, a.halt(context.WithoutCancel(ctx)))
}

// halt ends every pod.
func (a *Agent) halt(ctx context.Context) error {
	a.mu.Lock()
	for _, p := range a.pods {
		p.abandon()
	}
	a.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		a.running.Wait()
		close(ended)
	}()
	soft, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	select {
	case <-ended:
		return nil
	case <-soft.Done():
	}
	a.mu.Lock()
	for _, p := range a.pods {
		p.kill()
	}
	a.mu.Unlock()
	hard, cancelHard := context.WithTimeout(ctx, 4*stopGrace)
	defer cancelHard()
	select {
	case <-ended:
		return nil
	case <-hard.Done():
		return errors.New("stop the node agent: a container goes on although it was killed: its runtime ignores ctx")
	}
}

// watch hands the pods of one node to the agent.
func (a *Agent) watch(n *place) (informers.SharedInformerFactory, error) {
	f := informers.NewSharedInformerFactoryWithOptions(a.client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", n.name).String()
	}))
	_, err := f.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { a.see(n, o.(*corev1.Pod)) },
		UpdateFunc: func(_, o any) { a.see(n, o.(*corev1.Pod)) },
		DeleteFunc: func(o any) {
			if t, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = t.Obj
			}
			if p, ok := o.(*corev1.Pod); ok {
				a.gone(p.UID)
			}
		},
	})
	return f, err
}

// see starts a pod that is new, and tells one that is known what changed.
func (a *Agent) see(n *place, spec *corev1.Pod) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n.ctx.Err() != nil {
		return
	}
	if p := a.pods[spec.UID]; p != nil {
		p.see(spec)
		return
	}
	ended := spec.Status.Phase == corev1.PodSucceeded || spec.Status.Phase == corev1.PodFailed
	switch {
	case spec.DeletionTimestamp != nil: // nobody runs it
		a.running.Go(func() { a.remove(a.ctx, spec.Namespace, spec.Name, spec.UID) })
		return
	case ended:
		return
	}
	p := newPod(a, n, spec)
	a.pods[spec.UID] = p
	a.running.Go(func() {
		p.run()
		a.mu.Lock()
		delete(a.pods, spec.UID)
		a.mu.Unlock()
	})
}

func (a *Agent) gone(uid types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.pods[uid]; p != nil {
		p.gone()
	}
}

// write writes a pod's status.
func (a *Agent) write(ctx context.Context, p *pod, status *corev1.PodStatus) error {
	pods := a.client.CoreV1().Pods(p.namespace)
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		have, err := pods.Get(ctx, p.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if have.UID != p.uid {
			return apierrors.NewNotFound(corev1.Resource("pods"), p.name)
		}
		merge(&have.Status, status, have.Generation, metav1.NewTime(a.clock.Now()))
		_, err = pods.UpdateStatus(ctx, have, metav1.UpdateOptions{})
		return err
	})
}

// remove takes a pod that has ended off the API server, however often that takes.
func (a *Agent) remove(ctx context.Context, namespace, name string, uid types.UID) {
	now := int64(0)
	opts := metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: metav1.NewUIDPreconditions(string(uid))}
	for ctx.Err() == nil {
		err := a.client.CoreV1().Pods(namespace).Delete(ctx, name, opts)
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return
		}
		a.log.Warn("pod not removed", "err", err, "namespace", namespace, "pod", name)
		if a.clock.Sleep(ctx, firstRetry) != nil {
			return
		}
	}
}

// PodLog opens the log of a container: of its latest run, or of the one before if opts say Previous. It returns
// NotFound if the agent runs no such pod and BadRequest if the container has not run.
func (a *Agent) PodLog(ctx context.Context, namespace, name, container string, opts *corev1.PodLogOptions) (io.ReadCloser, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.pods {
		if p.namespace == namespace && p.name == name {
			return p.openLog(ctx, container, opts)
		}
	}
	return nil, apierrors.NewNotFound(corev1.Resource("pods"), name)
}

func (p *pod) openLog(ctx context.Context, name string, opts *corev1.PodLogOptions) (io.ReadCloser, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.containers {
		if c.spec.Name != name {
			continue
		}
		log := c.log
		if opts.Previous {
			log = c.previous
			if log == nil {
				return nil, apierrors.NewBadRequest(fmt.Sprintf("previous terminated container %q in pod %q not found", name, p.name))
			}
		}
		if log == nil {
			reason := "ContainerCreating"
			if c.state.Waiting != nil {
				reason = c.state.Waiting.Reason
			}
			switch reason { // in the kubelet's words
			case ErrImagePull:
				reason = "image can't be pulled"
			case ImagePullBackOff:
				reason = "trying and failing to pull image"
			}
			return nil, apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q is waiting to start: %s", name, p.name, reason))
		}
		return log.open(ctx, opts), nil
	}
	return nil, apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", name, p.name))
}

// Dial connects to a port of a pod, "10.244.0.3:8034", as a caller inside the cluster does.
func (a *Agent) Dial(ctx context.Context, addr string) (net.Conn, error) {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("dial a pod: %w", err)
	}
	return a.network.dial(ctx, ap)
}
