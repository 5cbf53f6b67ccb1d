package node

import (
	"context"
	"runtime"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// heartbeat shows that the node lives until its power is off.
func (a *Agent) heartbeat(n *place) {
	for n.ctx.Err() == nil {
		due, giveUp := a.clock.After(beatEvery)
		select {
		case <-due:
			a.beat(n)
		case <-n.moved:
			giveUp()
			a.report(n, false)
		case <-n.ctx.Done():
			giveUp()
		}
	}
}

// touch lets the node's status be told, if it changed.
func (n *place) touch() {
	select {
	case n.moved <- struct{}{}:
	default: // it is to be told already
	}
}

// beat renews the lease and tells the status.
func (a *Agent) beat(n *place) {
	if err := a.renew(n.ctx, n); err != nil && n.ctx.Err() == nil {
		a.log.Warn("lease of a node not renewed", "err", err, "node", n.name)
	}
	a.report(n, true)
}

func (a *Agent) renew(ctx context.Context, n *place) error {
	leases := a.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	now := metav1.NewMicroTime(a.clock.Now())
	node := n.current()
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		have, err := leases.Get(ctx, n.name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			_, err = leases.Create(ctx, &coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{Name: n.name, Namespace: corev1.NamespaceNodeLease, OwnerReferences: []metav1.OwnerReference{
					{APIVersion: "v1", Kind: "Node", Name: n.name, UID: node.UID},
				}},
				Spec: coordinationv1.LeaseSpec{HolderIdentity: &n.name, LeaseDurationSeconds: new(int32(leaseTime)), RenewTime: &now},
			}, metav1.CreateOptions{})
			return err
		}
		if err != nil {
			return err
		}
		have.Spec.HolderIdentity, have.Spec.LeaseDurationSeconds, have.Spec.RenewTime = &n.name, new(int32(leaseTime)), &now
		_, err = leases.Update(ctx, have, metav1.UpdateOptions{})
		return err
	})
}

// report writes the node's status if it says something new or, if that is wanted, if it has not been written for long.
func (a *Agent) report(n *place, regular bool) {
	nodes := a.client.CoreV1().Nodes()
	var changed []string
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		have, err := nodes.Get(n.ctx, n.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		now := metav1.NewTime(a.clock.Now())
		n.mu.Lock()
		pressure := n.pressure
		n.mu.Unlock()
		status := n.status(have, a.version, pressure, now)
		changed = turned(&have.Status, &status)
		old := *have.Status.DeepCopy()
		said := status.DeepCopy()
		age := reportEvery
		for i := range said.Conditions { // what differs only by the time is nothing new
			for _, h := range old.Conditions {
				if h.Type == said.Conditions[i].Type {
					age = min(age, now.Sub(h.LastHeartbeatTime.Time))
					said.Conditions[i].LastHeartbeatTime = h.LastHeartbeatTime
				}
			}
		}
		if apiequality.Semantic.DeepEqual(&old, said) && (!regular || age < reportEvery) {
			return nil
		}
		have.Status = status
		_, err = nodes.UpdateStatus(n.ctx, have, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		if n.ctx.Err() == nil && !apierrors.IsNotFound(err) {
			a.log.Warn("status of a node not written", "err", err, "node", n.name)
		}
		return
	}
	for _, what := range changed {
		a.tellNode(n, what, "Node %s status is now: %s", n.name, what)
	}
}

// status gives the node's status, with what others say of it in have.
func (n *place) status(have *corev1.Node, version string, pressure bool, now metav1.Time) corev1.NodeStatus {
	s := *have.Status.DeepCopy()
	s.Capacity = capacity(have)
	s.Allocatable = s.Capacity.DeepCopy()
	s.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: n.ip.String()}, {Type: corev1.NodeHostName, Address: n.name}}
	s.NodeInfo = corev1.NodeSystemInfo{
		KubeletVersion: version, OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH, ContainerRuntimeVersion: "dpesim://in-process",
		OSImage: "dpesim (in-process)", KernelVersion: "none",
	}
	s.Images = n.images.list()
	disk := corev1.NodeCondition{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure", Message: "kubelet has no disk pressure"}
	if pressure {
		disk.Status, disk.Reason, disk.Message = corev1.ConditionTrue, "KubeletHasDiskPressure", "kubelet has disk pressure"
	}
	for _, c := range []corev1.NodeCondition{
		{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory", Message: "kubelet has sufficient memory available"},
		disk,
		{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientPID", Message: "kubelet has sufficient PID available"},
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"},
	} {
		c.LastHeartbeatTime, c.LastTransitionTime = now, now
		known := false
		for i, h := range s.Conditions {
			if h.Type != c.Type {
				continue
			}
			if known = true; h.Status == c.Status && !h.LastTransitionTime.IsZero() {
				c.LastTransitionTime = h.LastTransitionTime
			}
			s.Conditions[i] = c
		}
		if !known {
			s.Conditions = append(s.Conditions, c)
		}
	}
	return s
}

// turned gives the reasons of the events about conditions that differ between two statuses, as a kubelet names them.
func turned(old, now *corev1.NodeStatus) []string {
	was := map[corev1.NodeConditionType]corev1.ConditionStatus{}
	for _, c := range old.Conditions {
		was[c.Type] = c.Status
	}
	var out []string
	for _, c := range now.Conditions {
		if was[c.Type] == c.Status {
			continue
		}
		switch {
		case c.Type == corev1.NodeReady:
			out = append(out, "NodeReady")
		case c.Type == corev1.NodeMemoryPressure:
			out = append(out, "NodeHasSufficientMemory")
		case c.Type == corev1.NodePIDPressure:
			out = append(out, "NodeHasSufficientPID")
		case c.Type == corev1.NodeDiskPressure && c.Status == corev1.ConditionTrue:
			out = append(out, "NodeHasDiskPressure")
		case c.Type == corev1.NodeDiskPressure:
			out = append(out, "NodeHasNoDiskPressure")
		}
	}
	return out
}
