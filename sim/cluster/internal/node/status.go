package node

import (
	"cmp"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// statusLocked gives what the node knows of the pod. Times of conditions are left to [merge].
func (p *pod) statusLocked() *corev1.PodStatus {
	s := &corev1.PodStatus{
		Phase: p.phaseLocked(), StartTime: &p.began,
		HostIP: p.node.ip.String(), HostIPs: []corev1.HostIP{{IP: p.node.ip.String()}},
	}
	if p.evicted != "" {
		s.Phase, s.Reason, s.Message = corev1.PodFailed, "Evicted", p.evicted
	}
	if p.refused != "" {
		s.Reason, s.Message = "Unsupported", p.refused
	}
	if p.ip.IsValid() {
		s.PodIP, s.PodIPs = p.ip.String(), []corev1.PodIP{{IP: p.ip.String()}}
	}
	s.QOSClass = p.spec.Status.QOSClass
	var unready []string
	for _, c := range p.containers {
		s.ContainerStatuses = append(s.ContainerStatuses, c.statusLocked())
		if !c.ready {
			unready = append(unready, c.spec.Name)
		}
	}
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue}
	switch {
	case s.Phase == corev1.PodSucceeded:
		ready.Status, ready.Reason = corev1.ConditionFalse, "PodCompleted"
	case s.Phase == corev1.PodFailed:
		ready.Status, ready.Reason = corev1.ConditionFalse, "PodFailed"
	case len(unready) > 0:
		ready.Status, ready.Reason = corev1.ConditionFalse, "ContainersNotReady"
		ready.Message = fmt.Sprintf("containers with unready status: [%s]", strings.Join(unready, " "))
	}
	containers := ready
	containers.Type = corev1.ContainersReady
	s.Conditions = []corev1.PodCondition{
		{Type: corev1.PodReadyToStartContainers, Status: condition(p.ip.IsValid() && !p.endedLocked())},
		{Type: corev1.PodInitialized, Status: corev1.ConditionTrue},
		ready, containers,
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
	}
	s.Conditions = append(s.Conditions, p.disruptionLocked()...)
	return s
}

func condition(ok bool) corev1.ConditionStatus {
	if ok {
		return corev1.ConditionTrue
	}
	return corev1.ConditionFalse
}

func (c *container) statusLocked() corev1.ContainerStatus {
	return corev1.ContainerStatus{
		Name: c.spec.Name, Image: cmp.Or(c.imageName, c.spec.Image), ImageID: c.imageID, ContainerID: c.id,
		State: c.state, LastTerminationState: c.last, Ready: c.ready, Started: new(c.started), RestartCount: c.restarts,
	}
}

// endedLocked tells whether every container is finished for good.
func (p *pod) endedLocked() bool {
	for _, c := range p.containers {
		if !c.finished {
			return false
		}
	}
	return true
}

func (p *pod) phaseLocked() corev1.PodPhase {
	ended, failed := p.endedLocked(), false
	for _, c := range p.containers {
		if c.log == nil && c.state.Terminated == nil && c.last.Terminated == nil {
			return corev1.PodPending // never ran
		}
		t := c.state.Terminated
		failed = failed || t == nil || t.ExitCode != 0
	}
	switch {
	case !ended:
		return corev1.PodRunning
	case failed:
		return corev1.PodFailed
	}
	return corev1.PodSucceeded
}

// merge puts what the node says into the status that the API server has: conditions of others stay, and a condition's
// time is that of its last change.
func merge(have, say *corev1.PodStatus, generation int64, now metav1.Time) {
	conditions := have.Conditions
	for _, c := range say.Conditions {
		c.LastTransitionTime, c.ObservedGeneration = now, generation
		known := false
		for i, h := range conditions {
			if h.Type != c.Type {
				continue
			}
			known = true
			if h.Status == c.Status && !h.LastTransitionTime.IsZero() {
				c.LastTransitionTime = h.LastTransitionTime
			}
			conditions[i] = c
		}
		if !known {
			conditions = append(conditions, c)
		}
	}
	qos := have.QOSClass
	*have = *say.DeepCopy()
	have.Conditions, have.QOSClass, have.ObservedGeneration = conditions, qos, generation
}

func same(a, b *corev1.PodStatus) bool { return apiequality.Semantic.DeepEqual(a, b) }

func isReady(s *corev1.PodStatus) bool {
	if s == nil {
		return false
	}
	for _, c := range s.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
