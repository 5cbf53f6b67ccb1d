package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dpesim/dpesim/sim/cluster/internal/trail"
)

// pod runs one pod that is bound to a node, from the moment the agent sees it until it is gone from the API server:
//
//	pending -> running <-> backing off -> finished
//	    \________\______________\___________\____-> stopping -> deleted
type pod struct {
	agent           *Agent
	node            *place
	namespace, name string
	uid             types.UID
	restored        bool // an agent before this one ran it

	ctx  context.Context // done: SIGKILL
	kill context.CancelFunc
	soft context.Context // done: SIGTERM, and with ctx
	ask  context.CancelFunc
	over chan struct{} // closed: the API server shall not have it any more, or has it not, or the node goes

	touched chan struct{} // cap 1: the status may have changed
	done    chan struct{} // closed when nothing of the pod is left

	mu         sync.Mutex
	spec       *corev1.Pod // as the API server has it
	ip         netip.Addr
	began      metav1.Time
	containers []*container
	grace      time.Duration
	killer     func() bool          // stops the timer of the grace period; nil: none runs
	stopped    bool                 // soft is done, or about to be
	dismissed  bool                 // over is closed
	evicted    string               // why; "": it was not
	disrupted  *corev1.PodCondition // that the eviction adds, nil: none
	silent     bool                 // nothing more is told to the API server: the pod is gone there, or the agent goes
	refused    string
	written    *corev1.PodStatus // as last told

	// Seqs of events that will be causes, 0 if unknown; guarded by the agent's trail.
	started uint64 // of the pod: of its containers' first runs
	changed uint64 // of a container: of the pod's becoming ready or not, which takes it
	exited  uint64 // of the last container to exit, while the pod is stopped: of the pod's end
}

func newPod(a *Agent, n *place, spec *corev1.Pod) *pod {
	ctx, kill := context.WithCancel(context.WithoutCancel(a.ctx))
	soft, ask := context.WithCancel(ctx)
	p := &pod{
		agent: a, node: n, namespace: spec.Namespace, name: spec.Name, uid: spec.UID, spec: spec, ctx: ctx, kill: kill,
		soft: soft, ask: ask, over: make(chan struct{}), touched: make(chan struct{}, 1), done: make(chan struct{}),
		began: metav1.NewTime(a.clock.Now()), refused: unsupported(spec),
	}
	if spec.Status.StartTime != nil {
		p.began, p.restored = *spec.Status.StartTime, true
	}
	for i := range spec.Spec.Containers {
		p.containers = append(p.containers, p.container(&spec.Spec.Containers[i]))
	}
	return p
}

// container gives a container of the pod, with what an agent before this one told of it.
func (p *pod) container(spec *corev1.Container) *container {
	c := &container{pod: p, spec: spec}
	c.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}
	for _, s := range p.spec.Status.ContainerStatuses {
		if s.Name != spec.Name || s.ContainerID == "" {
			continue
		}
		c.restarts, c.last, c.imageID, c.imageName = s.RestartCount, s.LastTerminationState, s.ImageID, s.Image
		switch {
		case s.State.Running != nil:
			c.restarts++
			c.last = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: exitUnknown, Reason: "Unknown", StartedAt: s.State.Running.StartedAt,
				FinishedAt: metav1.NewTime(p.agent.clock.Now()), ContainerID: s.ContainerID,
			}}
		case s.State.Terminated != nil && !c.again(s.State.Terminated.ExitCode):
			c.state, c.finished, c.id = s.State, true, s.ContainerID
		case s.State.Terminated != nil:
			c.restarts++
			c.last = s.State
		}
	}
	return c
}

// full names the pod as a kubelet does in its messages.
func (p *pod) full() string { return fmt.Sprintf("%s_%s(%s)", p.name, p.namespace, p.uid) }

// scratch is the directory that stands for "/" of the pod's writable volumes.
func (p *pod) scratch() string { return filepath.Join(p.agent.dir, "pods", string(p.uid)) }

// run is the pod's own goroutine.
func (p *pod) run() {
	defer close(p.done)
	defer p.kill()
	p.trail(func(t *trail.Trail, about *corev1.Pod) {
		cause := t.Made(p.uid)
		if p.restored {
			cause = p.node.began
		}
		p.started = t.Tell(p.agent.ctx, about, cause, "pod started", map[string]string{"pod": p.name, "node": p.node.name})
	})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		begun := p.begin()
		p.touch()
		if !begun {
			return
		}
		var containers sync.WaitGroup
		for _, c := range p.containers {
			if !c.finished {
				containers.Go(c.run)
			}
		}
		containers.Wait()
	}()
	over := p.over
	for over != nil || finished != nil {
		select {
		case <-p.touched:
			p.report()
		case <-finished:
			finished = nil
			if p.wasEvicted() {
				p.clear()
			}
			p.report()
		case <-over:
			over = nil
		}
	}
	p.mu.Lock()
	if p.killer != nil {
		p.killer()
	}
	p.mu.Unlock()
	p.report()
	p.leave()
}

// begin takes what the pod needs from the node: its volumes, then an address. It is false if the node cannot run the pod,
// or if the pod was stopped first.
func (p *pod) begin() bool {
	refused := p.refused
	if refused == "" {
		if !p.volumes() {
			return false
		}
		refused = p.lease()
	}
	if refused != "" {
		p.warn("FailedCreatePodSandBox", "Failed to create pod sandbox: %s", refused)
		return false
	}
	if p.restored {
		p.tell("SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
	}
	if err := os.MkdirAll(p.scratch(), 0o700); err != nil {
		p.agent.log.Error("scratch directory not made", "err", err, "namespace", p.namespace, "pod", p.name)
	}
	return !p.stopping()
}

// lease takes an address. It says why there is none; "" if there is.
func (p *pod) lease() string {
	ip, ok := p.agent.network.lease(p.node.pods)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ip = ip; !ok {
		p.refused = fmt.Sprintf("no address is free in %s", p.node.pods)
	}
	return p.refused
}

// leave gives back what the pod had, and takes it off the API server unless it is gone there.
func (p *pod) leave() {
	p.mu.Lock()
	silent := p.silent
	p.mu.Unlock()
	p.agent.network.release(p.ip)
	if p.node.ctx.Err() != nil {
		return // the pod comes back with the node, its scratch with it
	}
	p.clear()
	if !silent {
		p.agent.remove(p.agent.ctx, p.namespace, p.name, p.uid)
	}
	p.trail(func(t *trail.Trail, about *corev1.Pod) {
		seq := t.Tell(p.agent.ctx, about, p.exited, "pod deleted", map[string]string{"pod": p.name})
		if r := metav1.GetControllerOf(about); r != nil && t.Of(r.UID).News != 0 {
			t.Note(r.UID).News = seq // a Recreate waits for it
		}
	})
}

// see takes what the API server now has of the pod.
func (p *pod) see(spec *corev1.Pod) {
	p.mu.Lock()
	p.spec = spec
	p.mu.Unlock()
	if spec.DeletionTimestamp != nil {
		grace := int64(corev1.DefaultTerminationGracePeriodSeconds)
		if spec.DeletionGracePeriodSeconds != nil {
			grace = *spec.DeletionGracePeriodSeconds
		}
		p.terminate(time.Duration(grace) * time.Second)
	}
}

// terminate asks the containers to end, and kills them after grace. A later call can shorten the grace.
func (p *pod) terminate(grace time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dismissLocked()
	if p.stopped && grace >= p.grace {
		return
	}
	if p.killer != nil {
		p.killer()
	}
	p.grace = grace
	p.killer = p.agent.clock.AfterFunc(grace, p.kill).Stop
	p.stopped = true
	p.ask()
}

// abandon is terminate without a word to the API server any more.
func (p *pod) abandon() {
	p.mu.Lock()
	p.silent = true
	p.dismissLocked()
	p.stopped = true
	p.ask()
	p.mu.Unlock()
}

func (p *pod) dismissLocked() {
	if !p.dismissed {
		p.dismissed = true
		close(p.over)
	}
}

// lose kills the pod as a power cut does: its containers are not asked to end.
func (p *pod) lose() {
	p.kill()
	p.abandon()
}

func (p *pod) wasEvicted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.evicted != ""
}

// gone kills the pod: the API server has it no more.
func (p *pod) gone() {
	p.abandon()
	p.kill()
}

func (p *pod) stopping() bool {
	return p.soft.Err() != nil
}

// current gives the pod as the API server has it, with the addresses that the node gave.
func (p *pod) current() *corev1.Pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.spec.DeepCopy()
	if out.Status.HostIP = p.node.ip.String(); p.ip.IsValid() {
		out.Status.PodIP = p.ip.String()
	}
	return out
}

// sleep waits for d of product time; false if the pod was stopped meanwhile.
func (p *pod) sleep(d time.Duration) bool {
	due, giveUp := p.agent.clock.After(d)
	select {
	case <-due:
		return true
	case <-p.soft.Done():
		giveUp()
		return false
	}
}

func (p *pod) touch() {
	select {
	case p.touched <- struct{}{}:
	default: // it is to be reported already
	}
}

// report tells the API server the pod's status, if it changed.
func (p *pod) report() {
	p.mu.Lock()
	status, silent := p.statusLocked(), p.silent
	p.mu.Unlock()
	if silent {
		return
	}
	if p.written != nil && same(p.written, status) {
		return
	}
	var err error
	if ready := isReady(status); ready == isReady(p.written) {
		err = p.agent.write(p.agent.ctx, p, status)
	} else {
		p.trail(func(t *trail.Trail, about *corev1.Pod) {
			if err = p.agent.write(p.agent.ctx, p, status); err != nil {
				return
			}
			notes := t.Note(p.uid)
			notes.Ready = ready
			notes.Turned = t.Tell(p.agent.ctx, about, p.changed, map[bool]string{true: "pod ready", false: "pod not ready"}[ready], map[string]string{"pod": p.name})
			p.changed = 0
		})
	}
	switch {
	case err == nil:
		p.written = status
	case apierrors.IsNotFound(err), errors.Is(err, context.Canceled), p.agent.ctx.Err() != nil:
	default:
		p.agent.log.Warn("pod status not written", "err", err, "namespace", p.namespace, "pod", p.name)
		p.agent.clock.AfterFunc(firstRetry, p.touch)
	}
}

func (p *pod) source() *corev1.Pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spec
}

// tell writes an event about the pod.
func (p *pod) tell(reason, format string, args ...any) {
	p.record(corev1.EventTypeNormal, "", reason, format, args...)
}

// warn writes an event about the pod that an operator may have to act on.
func (p *pod) warn(reason, format string, args ...any) {
	p.record(corev1.EventTypeWarning, "", reason, format, args...)
}

// record writes an event about the part of the pod at fieldPath.
func (p *pod) record(kind, fieldPath, reason, format string, args ...any) {
	if p.agent.ctx.Err() != nil {
		return
	}
	src := p.source()
	p.agent.events.Tell(p.node.source(), corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: src.Namespace, Name: src.Name, UID: src.UID, ResourceVersion: src.ResourceVersion, FieldPath: fieldPath,
	}, kind, reason, fmt.Sprintf(format, args...))
}

// trail runs f with the trail locked, which also guards the pod's own causes.
func (p *pod) trail(f func(t *trail.Trail, about *corev1.Pod)) {
	about := p.source()
	p.agent.trail.Lock()
	defer p.agent.trail.Unlock()
	f(p.agent.trail, about)
}
