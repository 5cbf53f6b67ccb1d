package node

import (
	"fmt"
	"path"

	corev1 "k8s.io/api/core/v1"
)

// unsupported says in a sentence what of a pod this node cannot do; "" if nothing. Such a pod stays Pending with an
// event: what is asked for and not there must never be passed over in silence.
func unsupported(p *corev1.Pod) string {
	switch {
	case len(p.Spec.InitContainers) > 0:
		return "init containers are not supported by this node: remove them, or use the kind or kubeconfig target"
	case len(p.Spec.EphemeralContainers) > 0:
		return "ephemeral containers are not supported by this node: use the kind or kubeconfig target"
	case len(p.Spec.ReadinessGates) > 0:
		return "readiness gates are not supported by this node: remove them, or use the kind or kubeconfig target"
	}
	for i := range p.Spec.Containers {
		c := &p.Spec.Containers[i]
		if c.Lifecycle != nil && (c.Lifecycle.PreStop != nil || c.Lifecycle.PostStart != nil) {
			return fmt.Sprintf("lifecycle hooks of container %q are not supported by this node: remove them, or use the kind or kubeconfig target", c.Name)
		}
		for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			if probe != nil && probe.HTTPGet == nil && probe.TCPSocket == nil {
				return fmt.Sprintf("exec and grpc probes of container %q are not supported by this node: use httpGet or tcpSocket", c.Name)
			}
		}
	}
	return sharedScratch(p)
}

// sharedScratch refuses writable volumes that are mounted in more than one place: all containers of a pod share one
// scratch directory, in which each mount path is one directory.
func sharedScratch(p *corev1.Pod) string {
	writable := map[string]bool{}
	for _, v := range p.Spec.Volumes {
		writable[v.Name] = v.EmptyDir != nil || v.Ephemeral != nil || v.PersistentVolumeClaim != nil
	}
	volumeAt, pathOf := map[string]string{}, map[string]string{}
	for _, c := range p.Spec.Containers {
		for _, m := range c.VolumeMounts {
			if !writable[m.Name] {
				continue
			}
			at := path.Clean(m.MountPath)
			if v, ok := volumeAt[at]; ok && v != m.Name {
				return fmt.Sprintf("volumes %q and %q are both mounted at %s: containers of one pod share their writable directories on this node", v, m.Name, at)
			}
			if other, ok := pathOf[m.Name]; ok && other != at {
				return fmt.Sprintf("volume %q is mounted at both %s and %s: on this node a writable volume has one mount path", m.Name, other, at)
			}
			volumeAt[at], pathOf[m.Name] = m.Name, at
		}
	}
	return ""
}
