package controller

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// podRequest is what a pod asks of a node: milli-CPU, bytes of memory and of disk.
type podRequest struct{ cpu, memory, disk int64 }

func requestOf(p *corev1.Pod) podRequest {
	r := resourcehelper.PodRequests(p, resourcehelper.PodResourcesOptions{})
	return podRequest{r.Cpu().MilliValue(), r.Memory().Value(), r.StorageEphemeral().Value()}
}

// room is a node and what its pods and volumes take of it.
type room struct {
	node *corev1.Node
	pods []*corev1.Pod
	used podRequest // disk: of pods and of volumes
}

// rooms gives the nodes as the cache shows them, ordered by name, with what has been given away since.
func (c *scheduler) rooms() ([]*room, error) {
	core := c.informers.Core().V1()
	nodes, err := core.Nodes().Lister().List(labels.Everything())
	if err != nil {
		return nil, err
	}
	pods, err := core.Pods().Lister().List(labels.Everything())
	if err != nil {
		return nil, err
	}
	volumes, err := core.PersistentVolumes().Lister().List(labels.Everything())
	if err != nil {
		return nil, err
	}
	slices.SortFunc(nodes, func(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	var out []*room
	byName := map[string]*room{}
	for _, n := range nodes {
		r := &room{node: n}
		out = append(out, r)
		byName[n.Name] = r
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	take := func(p *corev1.Pod, node string) {
		if r := byName[node]; r != nil && !ended(p) {
			q := c.sizeLocked(p)
			r.pods = append(r.pods, p)
			r.used.cpu, r.used.memory, r.used.disk = r.used.cpu+q.cpu, r.used.memory+q.memory, r.used.disk+q.disk
		}
	}
	for _, p := range pods {
		if a := c.assumed[p.UID]; a != nil && p.Spec.NodeName == "" {
			take(p, a.node)
			continue
		}
		take(p, p.Spec.NodeName)
	}
	made := map[string]bool{}
	for _, v := range volumes {
		made[v.Name] = true
		if r := byName[NodeOfVolume(v)]; r != nil {
			r.used.disk += v.Spec.Capacity.Storage().Value()
		}
	}
	for _, a := range c.assumed {
		for uid, bytes := range a.claims {
			if r := byName[a.node]; r != nil && !made[volumeNameOf(uid)] {
				r.used.disk += bytes
			}
		}
	}
	return out, nil
}

func (c *scheduler) sizeLocked(p *corev1.Pod) podRequest {
	q, ok := c.sizes[p.UID]
	if !ok {
		q = requestOf(p)
		c.sizes[p.UID] = q
	}
	return q
}

// unfit says why a pod fits on no node, in kube-scheduler's words.
type unfit struct {
	total     int
	prefilter string         // what makes every node unfit alike
	counts    map[string]int // nodes by reason
	hopeless  int            // nodes on which it would not help to push other pods off
	never     bool           // the pod pushes nobody off
}

func (u unfit) String() string {
	if u.total == 0 && u.prefilter == "" {
		return "no nodes available to schedule pods"
	}
	head := fmt.Sprintf("0/%d nodes are available", u.total)
	why := u.prefilter
	if why == "" {
		why = histogram(u.counts)
	}
	switch {
	case u.never:
		return fmt.Sprintf("%s: %s. preemption: not eligible due to preemptionPolicy=Never.", head, why)
	case u.prefilter != "": // no node was looked at, and so none is found that preemption could help
		return fmt.Sprintf("%s: %s. not found", head, why)
	}
	victims := map[string]int{}
	if u.hopeless > 0 {
		victims["Preemption is not helpful for scheduling"] = u.hopeless
	}
	if n := u.total - u.hopeless; n > 0 {
		victims["No preemption victims found for incoming pod"] = n // all pods have the same priority here
	}
	return fmt.Sprintf("%s: %s. preemption: %s: %s.", head, why, head, histogram(victims))
}

func histogram(counts map[string]int) string {
	var out []string
	for _, w := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, fmt.Sprintf("%d %s", counts[w], w))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// choose gives the node that suits p best, or why it fits on none.
func (c *scheduler) choose(p *corev1.Pod, need volumeNeed, rooms []*room) (*room, unfit) {
	c.mu.Lock()
	q := c.sizeLocked(p)
	c.mu.Unlock()
	none := unfit{total: len(rooms), counts: map[string]int{}}
	none.never = p.Spec.PreemptionPolicy != nil && *p.Spec.PreemptionPolicy == corev1.PreemptNever
	company := c.company(p, rooms)
	var fit []*room
	for _, r := range rooms {
		why, hopeless := r.refuses(p, q, need, company)
		if len(why) == 0 {
			fit = append(fit, r)
			continue
		}
		for _, w := range why {
			none.counts[w]++
		}
		if hopeless {
			none.hopeless++
		}
	}
	if len(fit) == 0 {
		return nil, none
	}
	scores := c.scores(p, q, fit, rooms)
	return slices.MinFunc(fit, func(a, b *room) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(len(a.pods), len(b.pods)), cmp.Compare(a.node.Name, b.node.Name))
	}), none
}

// refuses says why p cannot run on r, in Kubernetes' words, as far as its first filter that says no; nothing if it can.
// It is hopeless if no other pod's going could help.
func (r *room) refuses(p *corev1.Pod, q podRequest, need volumeNeed, company *company) (why []string, hopeless bool) {
	if r.node.Spec.Unschedulable && !tolerates(p, &corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}) {
		return []string{"node(s) were unschedulable"}, true
	}
	if unwanted(p, r.node) {
		return []string{"node(s) had untolerated taint(s)"}, true
	}
	if ok, err := nodeaffinity.GetRequiredNodeAffinity(p).Match(r.node); err != nil || !ok {
		return []string{"node(s) didn't match Pod's node affinity/selector"}, true
	}
	if why, hopeless := r.lacks(q); len(why) > 0 {
		return why, hopeless
	}
	if why := r.refusesVolumes(q, need); why != "" {
		return []string{why}, true
	}
	if why, hopeless := company.refuses(r); why != "" {
		return []string{why}, hopeless
	}
	return nil, false
}

// lacks says what of r's room is too small for q. It is hopeless if q is more than the whole node.
func (r *room) lacks(q podRequest) (why []string, hopeless bool) {
	size := r.node.Status.Allocatable
	if int64(len(r.pods))+1 > size.Pods().Value() {
		why = append(why, "Too many pods")
	}
	for _, x := range []struct {
		name             string
		ask, used, total int64
	}{
		{"cpu", q.cpu, r.used.cpu, size.Cpu().MilliValue()},
		{"memory", q.memory, r.used.memory, size.Memory().Value()},
		{"ephemeral-storage", q.disk, r.used.disk, size.StorageEphemeral().Value()},
	} {
		if x.ask > 0 && x.used+x.ask > x.total {
			why = append(why, "Insufficient "+x.name)
			hopeless = hopeless || x.ask > x.total
		}
	}
	return why, hopeless
}

// unwanted tells whether n has a taint that keeps p off.
func unwanted(p *corev1.Pod, n *corev1.Node) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool {
		return t.Effect != corev1.TaintEffectPreferNoSchedule && !tolerates(p, &t)
	})
}

// tolerates tells whether p tolerates t.
func tolerates(p *corev1.Pod, t *corev1.Taint) bool {
	return slices.ContainsFunc(p.Spec.Tolerations, func(x corev1.Toleration) bool { return x.ToleratesTaint(logr.Discard(), t, false) })
}
