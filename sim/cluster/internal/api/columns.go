package api

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/intstr"
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
		wide("Kernel-Version", func(n *corev1.Node) any { return or(n.Status.NodeInfo.KernelVersion, unknown) }),
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

func serviceColumns() columns {
	return columns{
		show("Type", func(s *corev1.Service) any { return string(s.Spec.Type) }),
		show("Cluster-IP", func(s *corev1.Service) any { return or(s.Spec.ClusterIP, none) }),
		show("External-IP", func(s *corev1.Service) any {
			return or(strings.Join(s.Spec.ExternalIPs, ","), or(s.Spec.ExternalName, none))
		}),
		show("Port(s)", func(s *corev1.Service) any {
			var ports []string
			for _, p := range s.Spec.Ports {
				ports = append(ports, fmt.Sprintf("%d/%s", p.Port, p.Protocol))
			}
			return or(strings.Join(ports, ","), none)
		}),
		ageColumn(),
		wide("Selector", func(s *corev1.Service) any {
			return metav1.FormatLabelSelector(metav1.SetAsLabelSelector(s.Spec.Selector))
		}),
	}
}

func claimColumns() columns {
	return columns{
		show("Status", func(c *corev1.PersistentVolumeClaim) any { return string(c.Status.Phase) }),
		show("Volume", func(c *corev1.PersistentVolumeClaim) any { return c.Spec.VolumeName }),
		show("Capacity", func(c *corev1.PersistentVolumeClaim) any { return storageOf(c.Status.Capacity) }),
		show("Access Modes", func(c *corev1.PersistentVolumeClaim) any { return accessModes(c.Spec.AccessModes) }),
		show("StorageClass", func(c *corev1.PersistentVolumeClaim) any { return deref(c.Spec.StorageClassName, "") }),
		ageColumn(),
		wide("VolumeMode", func(c *corev1.PersistentVolumeClaim) any { return string(deref(c.Spec.VolumeMode, unknown)) }),
	}
}

func volumeColumns() columns {
	return columns{
		show("Capacity", func(v *corev1.PersistentVolume) any { return storageOf(v.Spec.Capacity) }),
		show("Access Modes", func(v *corev1.PersistentVolume) any { return accessModes(v.Spec.AccessModes) }),
		show("Reclaim Policy", func(v *corev1.PersistentVolume) any { return string(v.Spec.PersistentVolumeReclaimPolicy) }),
		show("Status", func(v *corev1.PersistentVolume) any { return string(v.Status.Phase) }),
		show("Claim", func(v *corev1.PersistentVolume) any {
			if v.Spec.ClaimRef == nil {
				return ""
			}
			return v.Spec.ClaimRef.Namespace + "/" + v.Spec.ClaimRef.Name
		}),
		show("StorageClass", func(v *corev1.PersistentVolume) any { return v.Spec.StorageClassName }),
		show("Reason", func(v *corev1.PersistentVolume) any { return v.Status.Reason }), ageColumn(),
	}
}

func storageOf(l corev1.ResourceList) string {
	q, ok := l[corev1.ResourceStorage]
	if !ok {
		return ""
	}
	return q.String()
}

func accessModes(modes []corev1.PersistentVolumeAccessMode) string {
	short := map[corev1.PersistentVolumeAccessMode]string{
		corev1.ReadWriteOnce: "RWO", corev1.ReadOnlyMany: "ROX", corev1.ReadWriteMany: "RWX", corev1.ReadWriteOncePod: "RWOP",
	}
	var out []string
	for _, m := range modes {
		out = append(out, short[m])
	}
	return strings.Join(out, ",")
}

func eventColumns() columns {
	return columns{
		{name: "Last Seen", cell: func(o runtime.Object, now time.Time) any {
			return on(func(e *corev1.Event) any { return since(lastSeen(e), now) })(o)
		}},
		show("Type", func(e *corev1.Event) any { return e.Type }),
		show("Reason", func(e *corev1.Event) any { return e.Reason }),
		show("Object", func(e *corev1.Event) any { return strings.ToLower(e.InvolvedObject.Kind) + "/" + e.InvolvedObject.Name }),
		wide("Subobject", func(e *corev1.Event) any { return e.InvolvedObject.FieldPath }),
		wide("Source", func(e *corev1.Event) any { return or(e.Source.Component, e.ReportingController) }),
		show("Message", func(e *corev1.Event) any { return strings.TrimSpace(e.Message) }),
		wide("Count", func(e *corev1.Event) any { return int64(max(e.Count, 1)) }),
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
	case !e.FirstTimestamp.IsZero():
		return e.FirstTimestamp
	}
	return metav1.NewTime(e.EventTime.Time)
}

func deploymentColumns() columns {
	return append(columns{
		show("Ready", func(d *appsv1.Deployment) any {
			return fmt.Sprintf("%d/%d", d.Status.ReadyReplicas, deref(d.Spec.Replicas, 0))
		}),
		show("Up-to-date", func(d *appsv1.Deployment) any { return int64(d.Status.UpdatedReplicas) }),
		show("Available", func(d *appsv1.Deployment) any { return int64(d.Status.AvailableReplicas) }), ageColumn(),
	}, workloadColumns(func(d *appsv1.Deployment) (*corev1.PodSpec, *metav1.LabelSelector) {
		return &d.Spec.Template.Spec, d.Spec.Selector
	})...)
}

func replicaSetColumns() columns {
	return append(columns{
		show("Desired", func(r *appsv1.ReplicaSet) any { return int64(deref(r.Spec.Replicas, 0)) }),
		show("Current", func(r *appsv1.ReplicaSet) any { return int64(r.Status.Replicas) }),
		show("Ready", func(r *appsv1.ReplicaSet) any { return int64(r.Status.ReadyReplicas) }), ageColumn(),
	}, workloadColumns(func(r *appsv1.ReplicaSet) (*corev1.PodSpec, *metav1.LabelSelector) {
		return &r.Spec.Template.Spec, r.Spec.Selector
	})...)
}

// workloadColumns tell what runs in the pods of a workload.
func workloadColumns[O any](of func(o *O) (*corev1.PodSpec, *metav1.LabelSelector)) columns {
	list := func(o *O, f func(c corev1.Container) string) string {
		s, _ := of(o)
		var out []string
		for _, c := range s.Containers {
			out = append(out, f(c))
		}
		return strings.Join(out, ",")
	}
	return columns{
		wide("Containers", func(o *O) any { return list(o, func(c corev1.Container) string { return c.Name }) }),
		wide("Images", func(o *O) any { return list(o, func(c corev1.Container) string { return c.Image }) }),
		wide("Selector", func(o *O) any {
			_, s := of(o)
			return metav1.FormatLabelSelector(s)
		}),
	}
}

func jobColumns() columns {
	return append(columns{
		show("Status", func(j *batchv1.Job) any { return jobStatus(j) }),
		show("Completions", func(j *batchv1.Job) any {
			return fmt.Sprintf("%d/%d", j.Status.Succeeded, deref(j.Spec.Completions, 1))
		}),
		{name: "Duration", cell: func(o runtime.Object, now time.Time) any {
			return on(func(j *batchv1.Job) any {
				switch {
				case j.Status.StartTime == nil:
					return ""
				case j.Status.CompletionTime != nil:
					now = j.Status.CompletionTime.Time
				}
				return duration.HumanDuration(now.Sub(j.Status.StartTime.Time))
			})(o)
		}},
		ageColumn(),
	}, workloadColumns(func(j *batchv1.Job) (*corev1.PodSpec, *metav1.LabelSelector) {
		return &j.Spec.Template.Spec, j.Spec.Selector
	})...)
}

func jobStatus(j *batchv1.Job) string {
	for _, c := range j.Status.Conditions {
		if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed || c.Type == batchv1.JobSuspended) {
			return string(c.Type)
		}
	}
	if j.DeletionTimestamp != nil {
		return "Terminating"
	}
	return "Running"
}

func leaseColumns() columns {
	return columns{show("Holder", func(l *coordinationv1.Lease) any { return deref(l.Spec.HolderIdentity, "") }), ageColumn()}
}

func networkPolicyColumns() columns {
	return columns{show("Pod-Selector", func(p *networkingv1.NetworkPolicy) any { return metav1.FormatLabelSelector(&p.Spec.PodSelector) }), ageColumn()}
}

func budgetColumns() columns {
	count := func(v *intstr.IntOrString) string {
		if v == nil {
			return "N/A"
		}
		return v.String()
	}
	return columns{
		show("Min Available", func(b *policyv1.PodDisruptionBudget) any { return count(b.Spec.MinAvailable) }),
		show("Max Unavailable", func(b *policyv1.PodDisruptionBudget) any { return count(b.Spec.MaxUnavailable) }),
		show("Allowed Disruptions", func(b *policyv1.PodDisruptionBudget) any { return int64(b.Status.DisruptionsAllowed) }), ageColumn(),
	}
}

func scalerColumns() columns {
	return columns{
		show("Reference", func(h *autoscalingv2.HorizontalPodAutoscaler) any {
			return h.Spec.ScaleTargetRef.Kind + "/" + h.Spec.ScaleTargetRef.Name
		}),
		show("MinPods", func(h *autoscalingv2.HorizontalPodAutoscaler) any {
			return strconv.Itoa(int(deref(h.Spec.MinReplicas, 1)))
		}),
		show("MaxPods", func(h *autoscalingv2.HorizontalPodAutoscaler) any { return int64(h.Spec.MaxReplicas) }),
		show("Replicas", func(h *autoscalingv2.HorizontalPodAutoscaler) any { return int64(h.Status.CurrentReplicas) }), ageColumn(),
	}
}

func classColumns() columns {
	return columns{
		show("Provisioner", func(c *storagev1.StorageClass) any { return c.Provisioner }),
		show("ReclaimPolicy", func(c *storagev1.StorageClass) any {
			return string(deref(c.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete))
		}),
		show("VolumeBindingMode", func(c *storagev1.StorageClass) any {
			return string(deref(c.VolumeBindingMode, storagev1.VolumeBindingImmediate))
		}),
		show("AllowVolumeExpansion", func(c *storagev1.StorageClass) any { return deref(c.AllowVolumeExpansion, false) }), ageColumn(),
	}
}

// deref gives *p, or v where p is nil.
func deref[T any](p *T, v T) T {
	if p == nil {
		return v
	}
	return *p
}
