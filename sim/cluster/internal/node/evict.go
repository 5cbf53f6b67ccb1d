package node

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dpesim/dpesim/sim/cluster/internal/trail"
)

const (
	// evictionGrace is how long a pod that is evicted may take to end. Source: kubelet, immediateEvictionGracePeriodSeconds.
	evictionGrace = time.Second
	// reserve is the share of a node's disk that must be free, or pods are evicted. Source: KubeletConfiguration,
	// evictionHard, nodefs.available<10%.
	reserve = 0.10
)

// housekeep looks after the node's disk until its power is off.
func (a *Agent) housekeep(n *place) {
	for a.clock.Sleep(n.ctx, housekeeping) == nil {
		a.lookAfterDisk(n)
	}
}

func (a *Agent) lookAfterDisk(n *place) {
	var pods []*pod
	a.mu.Lock()
	for _, p := range a.pods {
		if p.node == n {
			pods = append(pods, p)
		}
	}
	a.mu.Unlock()
	used := n.images.size()
	var largest *pod
	most := int64(0)
	for _, p := range pods {
		if p.stopping() {
			continue
		}
		u := p.measure()
		if why := u.beyond(p.source()); why != "" {
			p.evict(why, nil)
			continue
		}
		used += u.total
		if u.total > most {
			largest, most = p, u.total
		}
	}
	disk := capacity(n.current())[corev1.ResourceEphemeralStorage]
	threshold := int64(float64(disk.Value()) * reserve)
	pressure := disk.Value()-used < threshold
	n.mu.Lock()
	turned := n.pressure != pressure
	n.pressure = pressure
	n.mu.Unlock()
	if turned {
		n.touch()
	}
	if pressure && largest != nil {
		largest.evict(lowMessage(largest.source(), threshold, disk.Value()-used, most), &corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonTerminationByKubelet,
		})
	}
}

// lowMessage says why a pod is evicted from a node whose disk is nearly full. Source: kubelet, eviction/helpers.go.
func lowMessage(p *corev1.Pod, threshold, available, used int64) string {
	size := func(n int64) string { return resource.NewQuantity(max(n, 0), resource.BinarySI).String() }
	s := fmt.Sprintf("The node was low on resource: ephemeral-storage. Threshold quantity: %s, available: %s. ", size(threshold), size(available))
	c := &p.Spec.Containers[0] // what they use is not told apart: they share their directories
	request := c.Resources.Requests.StorageEphemeral()
	if used > request.Value() {
		s += fmt.Sprintf("Container %s was using %s, request is %s, has larger consumption of ephemeral-storage. ", c.Name, size(used), request.String())
	}
	return s
}

// usage is what a pod has written, in bytes.
type usage struct {
	volume    map[string]int64 // by name
	ephemeral int64            // emptyDir volumes and logs: what limits of ephemeral storage are about
	total     int64            // with generic ephemeral volumes
}

// measure looks at the pod's real scratch directory.
func (p *pod) measure() usage {
	u := usage{volume: map[string]int64{}}
	spec := p.source()
	kinds := map[string]*corev1.Volume{}
	for i := range spec.Spec.Volumes {
		kinds[spec.Spec.Volumes[i].Name] = &spec.Spec.Volumes[i]
	}
	for _, c := range spec.Spec.Containers {
		for _, m := range c.VolumeMounts {
			v := kinds[m.Name]
			if _, done := u.volume[m.Name]; done || v == nil || v.EmptyDir == nil && v.Ephemeral == nil {
				continue
			}
			n := sizeOf(p.directory(m.MountPath))
			u.volume[m.Name] = n
			u.total += n
			if v.EmptyDir != nil && v.EmptyDir.Medium != corev1.StorageMediumMemory {
				u.ephemeral += n
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.containers {
		for _, l := range []*containerLog{c.log, c.previous} {
			if l != nil {
				u.ephemeral += l.bytes()
			}
		}
	}
	return u
}

// directory gives the real directory of a writable volume.
func (p *pod) directory(mountPath string) string {
	return filepath.Join(p.scratch(), filepath.FromSlash(strings.TrimPrefix(path.Clean("/"+mountPath), "/")))
}

// sizeOf adds up the files below a directory. What goes while it is looked at counts nothing.
func sizeOf(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // see above
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return nil
	})
	return sum
}

// beyond says which limit of the pod is exceeded, as a kubelet does; "" if none. That a generic ephemeral volume is
// measured like an emptyDir is ours: on a real node its file system is full.
func (u usage) beyond(p *corev1.Pod) string {
	for _, v := range p.Spec.Volumes {
		switch {
		case v.EmptyDir != nil && v.EmptyDir.SizeLimit != nil:
			if limit := v.EmptyDir.SizeLimit; limit.Sign() > 0 && u.volume[v.Name] > limit.Value() {
				return fmt.Sprintf("Usage of EmptyDir volume %q exceeds the limit %q. ", v.Name, limit.String())
			}
		case v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil:
			size := v.Ephemeral.VolumeClaimTemplate.Spec.Resources.Requests[corev1.ResourceStorage]
			if size.Sign() > 0 && u.volume[v.Name] > size.Value() {
				return fmt.Sprintf("Usage of ephemeral volume %q exceeds the limit %q. ", v.Name, size.String())
			}
		}
	}
	var limit resource.Quantity
	limited := false
	for i := range p.Spec.Containers {
		if q, ok := p.Spec.Containers[i].Resources.Limits[corev1.ResourceEphemeralStorage]; ok {
			limit.Add(q)
			limited = true
		}
	}
	if limited && u.ephemeral > limit.Value() {
		return fmt.Sprintf("Pod ephemeral local storage usage exceeds the total limit of containers %s. ", limit.String())
	}
	return ""
}

// evict ends the pod for good: it stays as Failed until somebody deletes it.
func (p *pod) evict(message string, condition *corev1.PodCondition) {
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return
	}
	p.evicted, p.disrupted = message, condition
	p.stopped, p.grace = true, evictionGrace
	p.killer = p.agent.clock.AfterFunc(evictionGrace, p.kill).Stop
	p.ask()
	p.mu.Unlock()
	p.warn("Evicted", "%s", message)
	p.trail(func(t *trail.Trail, about *corev1.Pod) {
		t.Note(p.uid).Unwanted = t.Tell(p.agent.ctx, about, 0, "pod evicted", map[string]string{
			"pod": p.name, "node": p.node.name, "reason": strings.TrimSpace(message),
		})
	})
}

// clear removes what the pod has on disk.
func (p *pod) clear() {
	if err := os.RemoveAll(p.scratch()); err != nil {
		p.agent.log.Warn("scratch directory not removed", "err", err, "namespace", p.namespace, "pod", p.name)
	}
}

// disruptionLocked gives the condition that a node adds to a pod that it ends, nil if none. It needs mu.
func (p *pod) disruptionLocked() []corev1.PodCondition {
	if p.disrupted == nil {
		return nil
	}
	c := *p.disrupted
	c.Message = p.evicted
	return []corev1.PodCondition{c}
}
