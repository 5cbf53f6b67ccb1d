package api

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func podColumns() columns {
	return columns{
		show("Ready", func(p *corev1.Pod) any { return PodReady(p) }),
		show("Status", func(p *corev1.Pod) any { return PodStatus(p) }),
		{name: "Restarts", cell: func(o runtime.Object, now time.Time) any {
			return on(func(p *corev1.Pod) any { return podRestarts(p, now) })(o)
		}},
		ageColumn(),
		wide("IP", func(p *corev1.Pod) any { return or(p.Status.PodIP, none) }),
		wide("Node", func(p *corev1.Pod) any { return or(p.Spec.NodeName, none) }),
		wide("Nominated Node", func(p *corev1.Pod) any { return or(p.Status.NominatedNodeName, none) }),
		wide("Readiness Gates", func(*corev1.Pod) any { return none }),
	}
}

// PodReady counts the containers that are ready: "1/2".
func PodReady(p *corev1.Pod) string {
	ready := 0
	for _, c := range p.Status.ContainerStatuses {
		if c.Ready {
			ready++
		}
	}
	return fmt.Sprintf("%d/%d", ready, len(p.Spec.Containers))
}

// PodStatus says in one word how a pod is: the phase, or what its containers suffer from.
func PodStatus(p *corev1.Pod) string {
	status := or(p.Status.Reason, string(p.Status.Phase))
	for _, c := range p.Status.InitContainerStatuses {
		switch s := c.State; {
		case s.Terminated != nil && s.Terminated.ExitCode == 0:
			continue
		case s.Terminated != nil:
			return leaving(p, "Init:"+or(s.Terminated.Reason, "ExitCode:"+strconv.Itoa(int(s.Terminated.ExitCode))))
		case s.Waiting != nil && s.Waiting.Reason != "" && s.Waiting.Reason != "PodInitializing":
			return leaving(p, "Init:"+s.Waiting.Reason)
		}
	}
	running, ready := false, false
	for _, c := range slices.Backward(p.Status.ContainerStatuses) {
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "":
			status = c.State.Waiting.Reason
		case c.State.Terminated != nil:
			status = or(c.State.Terminated.Reason, "ExitCode:"+strconv.Itoa(int(c.State.Terminated.ExitCode)))
		case c.State.Running != nil:
			running, ready = true, ready || c.Ready
		}
	}
	if status == "Completed" && running { // another container still runs
		status = "NotReady"
		if ready {
			status = "Running"
		}
	}
	return leaving(p, status)
}

// leaving says Terminating of a pod that is being deleted.
func leaving(p *corev1.Pod, status string) string {
	switch {
	case p.DeletionTimestamp == nil, p.Status.Phase == corev1.PodFailed, p.Status.Phase == corev1.PodSucceeded:
		return status
	case p.Status.Reason == "NodeLost":
		return "Unknown"
	}
	return "Terminating"
}

// podRestarts counts restarts, and tells when the last one was.
func podRestarts(p *corev1.Pod, now time.Time) string {
	n, last := int32(0), time.Time{}
	for _, c := range p.Status.ContainerStatuses {
		n += c.RestartCount
		if t := c.LastTerminationState.Terminated; t != nil && t.FinishedAt.After(last) {
			last = t.FinishedAt.Time
		}
	}
	if n == 0 || last.IsZero() {
		return strconv.Itoa(int(n))
	}
	return fmt.Sprintf("%d (%s ago)", n, since(metav1.NewTime(last), now))
}
