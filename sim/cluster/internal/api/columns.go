package api

import (
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// The columns of each kind, as `kubectl get` prints them for a real API server.

func namespaceColumns() columns {
	return columns{show("Status", func(n *corev1.Namespace) any { return string(n.Status.Phase) }), ageColumn()}
}

func nodeColumns() columns {
	return columns{
		show("Status", func(n *corev1.Node) any { return nodeStatus(n) }),
		show("Roles", func(n *corev1.Node) any { return nodeRoles(n) }),
		ageColumn(),
		show("Version", func(n *corev1.Node) any { return n.Status.NodeInfo.KubeletVersion }),
		wide("Internal-IP", func(n *corev1.Node) any { return nodeAddress(n, corev1.NodeInternalIP) }),
		wide("External-IP", func(n *corev1.Node) any { return nodeAddress(n, corev1.NodeExternalIP) }),
		wide("OS-Image", func(n *corev1.Node) any { return or(n.Status.NodeInfo.OSImage, unknown) }),
		wide("Kernel-Version", func(n *corev1.Node) any {
			v := or(n.Status.NodeInfo.KernelVersion, unknown)
			if a := n.Status.NodeInfo.Architecture; a != "" {
				v += " (" + a + ")"
			}
			return v
		}),
		wide("Container-Runtime", func(n *corev1.Node) any { return or(n.Status.NodeInfo.ContainerRuntimeVersion, unknown) }),
	}
}

func nodeStatus(n *corev1.Node) string {
	s := "Unknown"
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			s = "NotReady"
			if c.Status == corev1.ConditionTrue {
				s = "Ready"
			}
		}
	}
	if n.Spec.Unschedulable {
		s += ",SchedulingDisabled"
	}
	return s
}

func nodeRoles(n *corev1.Node) string {
	const prefix = "node-role.kubernetes.io/"
	var roles []string
	for k := range n.Labels {
		if role, ok := strings.CutPrefix(k, prefix); ok && role != "" {
			roles = append(roles, role)
		}
	}
	slices.Sort(roles)
	return or(strings.Join(roles, ","), none)
}

func nodeAddress(n *corev1.Node, t corev1.NodeAddressType) string {
	for _, a := range n.Status.Addresses {
		if a.Type == t {
			return a.Address
		}
	}
	return none
}

func secretColumns() columns {
	return columns{
		show("Type", func(s *corev1.Secret) any { return string(s.Type) }),
		show("Data", func(s *corev1.Secret) any { return int64(len(s.Data)) }), ageColumn(),
	}
}

func configMapColumns() columns {
	return columns{show("Data", func(c *corev1.ConfigMap) any { return int64(len(c.Data) + len(c.BinaryData)) }), ageColumn()}
}

func serviceAccountColumns() columns { return columns{ageColumn()} }

func eventColumns() columns {
	return columns{
		{name: "Last Seen", cell: func(o runtime.Object, now time.Time) any {
			return on(func(e *corev1.Event) any { return since(lastSeen(e), now) })(o)
		}},
		show("Type", func(e *corev1.Event) any { return e.Type }),
		show("Reason", func(e *corev1.Event) any { return e.Reason }),
		show("Object", func(e *corev1.Event) any {
			kind := strings.ToLower(e.InvolvedObject.Kind)
			if e.InvolvedObject.Name == "" {
				return kind
			}
			return kind + "/" + e.InvolvedObject.Name
		}),
		wide("Subobject", func(e *corev1.Event) any { return e.InvolvedObject.FieldPath }),
		wide("Source", func(e *corev1.Event) any { return eventSource(e) }),
		show("Message", func(e *corev1.Event) any { return strings.TrimSpace(e.Message) }),
		{name: "First Seen", wide: true, cell: func(o runtime.Object, now time.Time) any {
			return on(func(e *corev1.Event) any { return since(firstSeen(e), now) })(o)
		}},
		wide("Count", func(e *corev1.Event) any {
			if e.Series != nil {
				return int64(e.Series.Count)
			}
			return int64(max(e.Count, 1))
		}),
		wide("Name", func(e *corev1.Event) any { return e.Name }),
	}
}

// lastSeen is when an event happened last, in whichever of its fields says so.
func lastSeen(e *corev1.Event) metav1.Time {
	switch {
	case e.Series != nil:
		return metav1.NewTime(e.Series.LastObservedTime.Time)
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp
	}
	return firstSeen(e)
}

// firstSeen is when an event happened first.
func firstSeen(e *corev1.Event) metav1.Time {
	if e.FirstTimestamp.IsZero() {
		return metav1.NewTime(e.EventTime.Time)
	}
	return e.FirstTimestamp
}

// eventSource says who reported an event, and from where.
func eventSource(e *corev1.Event) string {
	component, host := or(e.Source.Component, e.ReportingController), or(e.Source.Host, e.ReportingInstance)
	if host == "" {
		return component
	}
	return component + ", " + host
}

func leaseColumns() columns {
	return columns{show("Holder", func(l *coordinationv1.Lease) any { return deref(l.Spec.HolderIdentity, "") }), ageColumn()}
}

// deref gives *p, or v where p is nil.
func deref[T any](p *T, v T) T {
	if p == nil {
		return v
	}
	return *p
}
