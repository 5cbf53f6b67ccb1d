package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
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

// once runs the container once and gives its exit code.
func (c *container) once(s start) int32 {
	p := c.pod
	a := p.agent
	log := newContainerLog(a.clock)
	began := metav1.NewTime(a.clock.Now())
	id := p.containerID(c)
	stop, net := make(chan struct{}), &ports{pod: p}
	var memory limiter
	x := Container{
		Namespace: p.namespace, Pod: p.name, Name: c.spec.Name, Node: p.node.name, Image: c.spec.Image,
		Labels: s.image.Config.Labels, Args: s.args, Dir: s.dir, Env: s.env, Files: s.files, Scratch: p.scratch(),
		Stop: stop, Listen: net.listen, Dial: p.dial, Log: log, Memory: memory.report,
	}
	c.tell("Created", "Container created")
	if err := a.runtime.Check(x); err != nil {
		log.end()
		return c.unstartable(err, id, log)
	}

	started := c.tellStarted()
	ctx, kill := context.WithCancel(event.WithCause(p.ctx, started))
	defer kill()
	memory.arm(c.spec.Resources.Limits.Memory().Value(), kill)
	ended := make(chan error, 1)
	go func() { ended <- protect(func() error { return a.runtime.Run(ctx, x) }) }()
	c.set(func() {
		if t := c.state.Terminated; t != nil {
			c.last = corev1.ContainerState{Terminated: t}
		}
		c.imageID, c.imageName = s.image.ID, s.image.Name
		c.id, c.previous, c.log = id, c.log, log
		c.state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: began}}
	})
	c.tell("Started", "Container started")

	unhealthy := make(chan struct{})
	probing, stopProbing := context.WithCancel(ctx)
	var probes sync.WaitGroup
	probes.Go(func() { c.probeAll(probing, sync.OnceFunc(func() { close(unhealthy) })) })
	probes.Go(func() { c.starve(probing, memory.exceed) })

	var err error
	cause := func(*trail.Trail) uint64 { return 0 } // of the exit
	select {
	case err = <-ended:
		cause = func(*trail.Trail) uint64 { return started }
	case <-p.soft.Done():
		if p.ctx.Err() == nil { // the power is on
			c.tell("Killing", "Stopping container %s", c.spec.Name)
			close(stop)
		}
		err = <-ended
		cause = func(t *trail.Trail) uint64 { return t.Ended(p.uid) }
	case <-unhealthy:
		c.tell("Killing", "Container %s failed liveness probe, will be restarted", c.spec.Name)
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
	t := termination(err, killed, memory.exceeded())
	t.StartedAt, t.ContainerID = began, id
	return c.ended(t, cause)
}

// unstartable notes that the container's command line could not be started, in the words of containerd and runc.
func (c *container) unstartable(err error, id string, log *containerLog) int32 {
	words := fmt.Sprintf("failed to create containerd task: failed to create shim task: OCI runtime create failed: "+
		"runc create failed: unable to start container process: error during container init: %v: unknown", err)
	c.warn("Failed", "Error: %s", words)
	c.set(func() { c.id, c.previous, c.log = id, c.log, log })
	code := c.ended(&corev1.ContainerStateTerminated{
		ExitCode: exitUnstartable, Reason: "StartError", Message: words, StartedAt: metav1.Unix(0, 0), ContainerID: id,
	}, func(*trail.Trail) uint64 { return 0 })
	if c.again(code) {
		c.waiting("RunContainerError", words)
		c.pod.sleep(settle)
	}
	return code
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

// termination gives how a run ended.
func termination(err error, killed, starved bool) *corev1.ContainerStateTerminated {
	t := &corev1.ContainerStateTerminated{Reason: "Completed"}
	switch {
	case starved:
		t.ExitCode, t.Reason = exitKilled, "OOMKilled"
	case killed:
		t.ExitCode, t.Reason = exitKilled, "Error"
	case err != nil:
		t.ExitCode, t.Reason, t.Message = exitError, "Error", err.Error()
		if coded, ok := errors.AsType[interface {
			error
			ExitCode() int
		}](err); ok {
			t.ExitCode = int32(coded.ExitCode())
		}
		if len(t.Message) > messageSize {
			t.Message = t.Message[:messageSize]
		}
	}
	return t
}

// ended notes how a run ended. cause gives the event that led to it, 0 if unknown.
func (c *container) ended(t *corev1.ContainerStateTerminated, cause func(*trail.Trail) uint64) int32 {
	t.FinishedAt = metav1.NewTime(c.pod.agent.clock.Now())
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
