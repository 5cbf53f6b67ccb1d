package controller

import (
	"math"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// What a container that requests nothing counts as where nodes are compared. Source: kube-scheduler, non-zero requests.
const (
	unsaidCPU    = 100       // milli-CPU
	unsaidMemory = 200 << 20 // bytes
)

// scores rates the nodes that p fits on, 0 to 100 for each criterion, by the weights of kube-scheduler's default profile.
// Where images lie is no criterion: they are nowhere.
func (c *scheduler) scores(p *corev1.Pod, q podRequest, fit, all []*room) map[*room]float64 {
	if q.cpu == 0 {
		q.cpu = unsaidCPU
	}
	if q.memory == 0 {
		q.memory = unsaidMemory
	}
	spread, affinity := c.spreadCosts(p, fit, all), c.affinities(p, fit, all)
	taints, wishes := map[*room]float64{}, map[*room]float64{}
	for _, r := range fit {
		taints[r] = float64(unwelcome(p, r.node))
		wishes[r] = float64(preferred(p, r.node))
	}
	toScale(taints, true)
	toScale(wishes, false)
	out := map[*room]float64{}
	for _, r := range fit {
		cpu := fraction(r.used.cpu+q.cpu, r.node.Status.Allocatable.Cpu().MilliValue())
		memory := fraction(r.used.memory+q.memory, r.node.Status.Allocatable.Memory().Value())
		free := 100 * (2 - cpu - memory) / 2
		balance := 100 * (1 - math.Abs(cpu-memory)/2)
		out[r] = math.Floor(free) + math.Floor(balance) + 3*taints[r] + 2*wishes[r] + 2*spread[r] + 2*affinity[r]
	}
	return out
}

func fraction(used, total int64) float64 { return min(1, float64(used)/float64(max(1, total))) }

// toScale brings values to 0 to 100, the largest to 100, or with reverse the smallest ones up.
func toScale(values map[*room]float64, reverse bool) {
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	for r, v := range values {
		x := 0.0
		if most > 0 {
			x = math.Floor(100 * v / most)
		}
		if reverse {
			x = 100 - x
		}
		values[r] = x
	}
}

// unwelcome counts the taints of n by which it would rather not have p.
func unwelcome(p *corev1.Pod, n *corev1.Node) (count int) {
	for i := range n.Spec.Taints {
		if t := &n.Spec.Taints[i]; t.Effect == corev1.TaintEffectPreferNoSchedule && !tolerates(p, t) {
			count++
		}
	}
	return count
}

// preferred sums the weights of p's wishes that n meets.
func preferred(p *corev1.Pod, n *corev1.Node) int64 {
	if p.Spec.Affinity == nil || p.Spec.Affinity.NodeAffinity == nil {
		return 0
	}
	terms, err := nodeaffinity.NewPreferredSchedulingTerms(p.Spec.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	if err != nil {
		return 0 // the API server refuses it
	}
	return terms.Score(n)
}

// spreadCosts rates nodes by how evenly p would be spread: by its soft constraints, or if it has none at all by those of
// kube-scheduler, over nodes and zones, for the pods of its owner.
func (c *scheduler) spreadCosts(p *corev1.Pod, fit, all []*room) map[*room]float64 {
	var soft []corev1.TopologySpreadConstraint
	for _, x := range p.Spec.TopologySpreadConstraints {
		if x.WhenUnsatisfiable == corev1.ScheduleAnyway {
			soft = append(soft, x)
		}
	}
	if len(p.Spec.TopologySpreadConstraints) == 0 {
		if selector := c.siblings(p); selector != nil {
			soft = []corev1.TopologySpreadConstraint{
				{TopologyKey: corev1.LabelHostname, MaxSkew: 3, LabelSelector: selector},
				{TopologyKey: corev1.LabelTopologyZone, MaxSkew: 5, LabelSelector: selector},
			}
		}
	}
	costs := map[*room]float64{}
	for i := range soft {
		s := newSpread(p, &soft[i], all)
		weight := math.Log(float64(len(s.counts) + 2))
		for _, r := range fit {
			if v, ok := r.node.Labels[s.key]; ok {
				costs[r] += float64(s.counts[v])*weight + float64(s.maxSkew-1)
			}
		}
	}
	least, most := math.Inf(1), 0.0
	for _, r := range fit {
		least, most = min(least, costs[r]), max(most, costs[r])
	}
	for _, r := range fit {
		if most == 0 {
			costs[r] = 100
			continue
		}
		costs[r] = math.Floor(100 * (most + least - costs[r]) / most)
	}
	return costs
}

// siblings gives the selector of the set that p belongs to; nil: none.
func (c *scheduler) siblings(p *corev1.Pod) *metav1.LabelSelector {
	r := metav1.GetControllerOf(p)
	if r == nil || r.Kind != "ReplicaSet" {
		return nil
	}
	s, err := c.informers.Apps().V1().ReplicaSets().Lister().ReplicaSets(p.Namespace).Get(r.Name)
	if err != nil {
		return nil
	}
	return s.Spec.Selector
}

// affinities rates nodes by the preferences of p and of the pods that are there; what those require of p's kind counts one.
func (c *scheduler) affinities(p *corev1.Pod, fit, all []*room) map[*room]float64 {
	sums := map[domain]float64{}
	add := func(of *corev1.Pod, list []corev1.WeightedPodAffinityTerm, sign float64, other *corev1.Pod, r *room) {
		for i := range list {
			t := c.terms(of, []corev1.PodAffinityTerm{list[i].PodAffinityTerm})[0]
			if v, ok := r.node.Labels[t.key]; ok && t.matches(other) {
				sums[domain{t.key, v}] += sign * float64(list[i].Weight)
			}
		}
	}
	both := func(of, other *corev1.Pod, r *room) {
		a := of.Spec.Affinity
		if a == nil {
			return
		}
		if a.PodAffinity != nil {
			add(of, a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution, 1, other, r)
		}
		if a.PodAntiAffinity != nil {
			add(of, a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution, -1, other, r)
		}
	}
	for _, r := range all {
		for _, q := range r.pods {
			both(p, q, r)
			both(q, p, r)
			near, _ := required(q)
			for _, t := range c.terms(q, near) {
				if v, ok := r.node.Labels[t.key]; ok && t.matches(p) {
					sums[domain{t.key, v}]++
				}
			}
		}
	}
	out := map[*room]float64{}
	if len(sums) == 0 {
		return out
	}
	least, most := math.Inf(1), math.Inf(-1)
	for _, r := range fit {
		for d, n := range sums {
			if r.node.Labels[d.key] == d.value {
				out[r] += n
			}
		}
		least, most = min(least, out[r]), max(most, out[r])
	}
	for _, r := range fit {
		if most > least {
			out[r] = math.Floor(100 * (out[r] - least) / (most - least))
		} else {
			out[r] = 0
		}
	}
	return out
}
