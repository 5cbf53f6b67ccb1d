package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster/internal/trail"
	"github.com/dpesim/dpesim/sim/event"
)

const (
	// A container that ends is started again at once the first time, then after 10 s, 20 s and so on to 5 minutes; the
	// count starts anew after a run of 10 minutes. Source: Kubernetes, "Pod Lifecycle", container restarts.
	firstBackOff = 10 * time.Second
	lastBackOff  = 5 * time.Minute
	healthyRun   = 10 * time.Minute

	// What is missing at a start is looked for again after half a second, then ever more slowly. Our choice: a kubelet's
	// figures differ from cause to cause.
	firstRetry = 500 * time.Millisecond
	lastRetry  = 10 * time.Second

	// messageSize is how much of an error becomes the termination message. Source: Kubernetes, "Determine the Reason
	// for Pod Failure", 4096 bytes for a container.
	messageSize = 4096
)

// Exit codes that this node gives.
const (
	exitError   = 1   // Run returned an error
	exitKilled  = 137 // 128 + SIGKILL
	exitUnknown = 255 // the node went down while it ran, as container runtimes report it
)

// container runs one container of a pod, again and again as the pod's policy says.
type container struct {
	pod  *pod
	spec *corev1.Container

	// What follows is guarded by pod.mu.
	state, last    corev1.ContainerState
	restarts       int32
	ready, started bool
	id             string
	log, previous  *containerLog // nil: no such run
	finished       bool          // it will not run again

	exited uint64 // Seq of the last run's exit, 0: none; guarded by the agent's trail
}

// run runs the container until it is finished for good.
func (c *container) run() {
	defer c.set(func() { c.finished = true })
	backOff := time.Duration(0)
	for {
		start, ok := c.prepare()
		if !ok {
			return
		}
		began := c.pod.agent.clock.Now()
		code := c.once(start)
		if c.pod.stopping() || !c.again(code) {
			return
		}
		if c.pod.agent.clock.Now().Sub(began) >= healthyRun {
			backOff = 0
		}
		if backOff > 0 && !c.wait(backOff) {
			return
		}
		backOff = min(max(2*backOff, firstBackOff), lastBackOff)
		c.set(func() { c.restarts++ })
	}
}

// again tells whether the pod's policy wants another run after one that ended with code.
func (c *container) again(code int32) bool {
	switch c.pod.source().Spec.RestartPolicy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return code != 0
	case corev1.RestartPolicyAlways:
	}
	return true
}

// set changes c's state and lets the pod tell the API server.
func (c *container) set(change func()) {
	c.pod.mu.Lock()
	change()
	c.pod.mu.Unlock()
	c.pod.touch()
}

func (c *container) waiting(reason, message string) {
	c.set(func() {
		if t := c.state.Terminated; t != nil {
			c.last = corev1.ContainerState{Terminated: t}
		}
		c.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	})
}

// wait lets the back-off pass; false if the pod was stopped meanwhile.
func (c *container) wait(d time.Duration) bool {
	p := c.pod
	c.waiting("CrashLoopBackOff", fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)", short(d), c.spec.Name, p.name, p.namespace, p.uid))
	p.warn("BackOff", "Back-off restarting failed container %s in pod %s_%s(%s)", c.spec.Name, p.name, p.namespace, p.uid)
	return p.sleep(d)
}

// short writes whole minutes and seconds as Kubernetes does: 10s, 1m20s, 5m0s.
func short(d time.Duration) string { return d.Round(time.Second).String() }

// start is what a run begins with.
type start struct {
	env   map[string]string
	files files
}

// prepare gathers what the container refers to, and waits for what is missing. ok is false if the pod was stopped first.
func (c *container) prepare() (s start, ok bool) {
	p := c.pod
	for retry := firstRetry; !p.stopping(); retry = min(2*retry, lastRetry) {
		pod := p.current()
		src := newSources(p.agent.client, pod)
		var err error
		s.files, err = src.mount(p.ctx, c.spec, p.scratch(), filepath.Join(p.agent.dir, "claims"), p.agent.clock.Now())
		if err == nil {
			s.env, err = src.environment(p.ctx, c.spec)
			if err == nil {
				return s, true
			}
			c.waiting("CreateContainerConfigError", err.Error())
			p.warn("Failed", "Error: %v", err)
		} else if p.ctx.Err() == nil {
			c.waiting("ContainerCreating", "")
			p.warn("FailedMount", "%v", err)
		}
		if !p.sleep(retry) {
			break
		}
	}
	return start{}, false
}

// once runs the container once and gives its exit code.
func (c *container) once(s start) int32 {
	p := c.pod
	a := p.agent
	log := newContainerLog(a.clock)
	began := metav1.NewTime(a.clock.Now())
	id := p.containerID(c)
	p.tell("Pulled", "Container image %q already present on machine", c.spec.Image)
	p.tell("Created", "Created container: %s", c.spec.Name)

	started := c.tellStarted()
	ctx, kill := context.WithCancel(event.WithCause(p.ctx, started))
	defer kill()
	stop := make(chan struct{})
	net := &ports{pod: p}
	ended := make(chan error, 1)
	go func() {
		ended <- protect(func() error {
			return a.runtime.Run(ctx, Container{
				Namespace: p.namespace, Pod: p.name, Name: c.spec.Name, Node: p.node.name, Image: c.spec.Image,
				Env: s.env, Files: s.files, Scratch: p.scratch(), Stop: stop, Listen: net.listen, Dial: a.dial, Log: log,
			})
		})
	}()
	c.set(func() {
		if t := c.state.Terminated; t != nil {
			c.last = corev1.ContainerState{Terminated: t}
		}
		c.id, c.previous, c.log = id, c.log, log
		c.state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: began}}
	})
	p.tell("Started", "Started container %s", c.spec.Name)

	unhealthy := make(chan struct{})
	probing, stopProbing := context.WithCancel(ctx)
	var probes sync.WaitGroup
	probes.Go(func() { c.probeAll(probing, sync.OnceFunc(func() { close(unhealthy) })) })

	var err error
	cause := func(*trail.Trail) uint64 { return 0 } // of the exit
	select {
	case err = <-ended:
		cause = func(*trail.Trail) uint64 { return started }
	case <-p.stop:
		p.tell("Killing", "Stopping container %s", c.spec.Name)
		close(stop)
		err = <-ended
		cause = func(t *trail.Trail) uint64 { return t.Of(p.uid).Unwanted }
	case <-unhealthy:
		p.tell("Killing", "Container %s failed liveness probe, will be restarted", c.spec.Name)
		close(stop)
		t := a.clock.AfterFunc(c.grace(), kill)
		err = <-ended
		t.Stop()
	}
	killed := ctx.Err() != nil
	stopProbing()
	probes.Wait()
	net.close()
	log.end()
	return c.ended(err, killed, began, id, cause)
}

// tellStarted tells that the container starts and gives the Seq: of the pod's start or, in later runs, of the exit before.
func (c *container) tellStarted() (seq uint64) {
	c.pod.trail(func(t *trail.Trail, about *corev1.Pod) {
		cause := c.exited
		if cause == 0 {
			cause = c.pod.started
		}
		seq = t.Tell(c.pod.agent.ctx, about, cause, "container started", map[string]string{"pod": about.Name, "container": c.spec.Name})
		c.pod.changed = seq
	})
	return seq
}

// containerID names a run of a container. It is made of what makes the run unique, not drawn: a restart of the process
// with the same seed must not give the same name to another run.
func (p *pod) containerID(c *container) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", p.uid, c.spec.Name, c.restarts))
	return "dpesim://" + hex.EncodeToString(sum[:])
}

func (c *container) grace() time.Duration {
	if s := c.pod.source().Spec.TerminationGracePeriodSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return corev1.DefaultTerminationGracePeriodSeconds * time.Second
}

// ended notes how a run ended. cause gives the event that led to it, 0 if unknown.
func (c *container) ended(err error, killed bool, began metav1.Time, id string, cause func(*trail.Trail) uint64) int32 {
	t := &corev1.ContainerStateTerminated{
		Reason: "Completed", StartedAt: began, FinishedAt: metav1.NewTime(c.pod.agent.clock.Now()), ContainerID: id,
	}
	if err != nil {
		t.ExitCode, t.Reason, t.Message = exitError, "Error", err.Error()
		if len(t.Message) > messageSize {
			t.Message = t.Message[:messageSize]
		}
	}
	if killed {
		t.ExitCode, t.Reason = exitKilled, "Error"
	}
	c.pod.trail(func(tr *trail.Trail, about *corev1.Pod) {
		c.exited = tr.Tell(c.pod.agent.ctx, about, cause(tr), "container exited", map[string]string{
			"pod": about.Name, "container": c.spec.Name, "exit_code": strconv.Itoa(int(t.ExitCode)), "reason": t.Reason,
		})
		c.pod.changed, c.pod.exited = c.exited, c.exited
	})
	c.set(func() {
		c.state, c.ready, c.started = corev1.ContainerState{Terminated: t}, false, false
	})
	return t.ExitCode
}

// protect runs f and makes an error of its panic: a container that crashes must not take the process with it.
func protect(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &sim.Error{Op: "cluster/node.Run", Kind: sim.Internal, Msg: fmt.Sprintf("panic: %v", r), Err: errors.New(string(debug.Stack()))}
		}
	}()
	return f()
}

// ports are the listeners of one run of a container.
type ports struct {
	pod *pod

	mu     sync.Mutex
	open   []*listener
	closed bool
}

func (n *ports) listen(port int) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: net.ErrClosed}
	}
	l, err := n.pod.agent.network.open(n.pod.ip, port)
	if err != nil {
		return nil, err
	}
	n.open = append(n.open, l)
	return l, nil
}

func (n *ports) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	for _, l := range n.open {
		_ = l.Close() // never fails
	}
}
