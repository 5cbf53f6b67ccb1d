package node

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/dpesim/dpesim/sim/cluster/internal/trail"
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

	// settle is how long a container that could not be started stays so before it is tried again. A kubelet looks at its
	// pods again after about a second.
	settle = time.Second

	// messageSize is how much of an error becomes the termination message. Source: Kubernetes, "Determine the Reason
	// for Pod Failure", 4096 bytes for a container.
	messageSize = 4096
)

// Exit codes that this node gives.
const (
	exitError       = 1   // Run returned an error
	exitUnstartable = 128 // the command line cannot be started, as containerd reports it
	exitKilled      = 137 // 128 + SIGKILL
	exitUnknown     = 255 // the node went down while it ran, as container runtimes report it
)

// container runs one container of a pod, again and again as the pod's policy says.
type container struct {
	pod     *pod
	spec    *corev1.Container
	mounted files // for the next run; nil: its volumes are to be mounted anew

	// What follows is guarded by pod.mu.
	state, last    corev1.ContainerState
	restarts       int32
	ready, started bool
	id             string
	imageID        string // of the image that it runs, or ran last
	imageName      string
	log, previous  *containerLog // nil: no such run
	finished       bool          // it will not run again

	told   string // what trouble said last
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
	c.waiting("CrashLoopBackOff", fmt.Sprintf("back-off %s restarting failed container=%s pod=%s", short(d), c.spec.Name, p.full()))
	return c.linger(d, func() {
		c.warn(eventBackOff, "Back-off restarting failed container %s in pod %s", c.spec.Name, p.full())
	})
}

// short writes whole minutes and seconds as Kubernetes does: 10s, 1m20s, 5m0s.
func short(d time.Duration) string { return d.Round(time.Second).String() }

// trouble tells the bus what the container has on its way to a start, once for each detail.
func (c *container) trouble(what, detail string) {
	if c.told == what+detail {
		return
	}
	c.told = what + detail
	c.pod.trail(func(t *trail.Trail, about *corev1.Pod) {
		seq := t.Tell(c.pod.agent.ctx, about, c.pod.started, what, map[string]string{
			"pod": about.Name, "container": c.spec.Name, "image": c.spec.Image, "detail": detail,
		})
		c.pod.changed = seq
	})
}

// tell writes an event about the container.
func (c *container) tell(reason, format string, args ...any) {
	c.pod.record(corev1.EventTypeNormal, c.fieldPath(), reason, format, args...)
}

// warn writes an event about the container that an operator may have to act on.
func (c *container) warn(reason, format string, args ...any) {
	c.pod.record(corev1.EventTypeWarning, c.fieldPath(), reason, format, args...)
}

// fieldPath names the container in an event, as a kubelet does.
func (c *container) fieldPath() string { return "spec.containers{" + c.spec.Name + "}" }
