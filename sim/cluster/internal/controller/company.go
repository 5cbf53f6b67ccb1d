package controller

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/utils/ptr"
)

// company is what the pods that are there mean for where one more may go: required pod affinity and anti-affinity, its own
// and theirs, and topology spread constraints.
type company struct {
	pod     *corev1.Pod
	near    []term // of pod
	far     []term
	alone   bool     // nobody anywhere meets near, and pod meets it itself: it may be the first
	theirs  []domain // that a pod which is there keeps pod out of
	friends []map[string]bool
	enemies []map[string]bool
	spreads []*spread
}

// term is an affinity term that can be asked.
type term struct {
	key        string // of the topology
	selector   labels.Selector
	namespaces func(string) bool
}

func (t *term) matches(p *corev1.Pod) bool {
	return t.namespaces(p.Namespace) && t.selector.Matches(labels.Set(p.Labels))
}

// domain is a topology domain: the nodes whose label key has that value.
type domain struct{ key, value string }

// terms makes affinity terms of p askable. One that cannot be understood matches nothing: the API server refuses it.
func (c *scheduler) terms(p *corev1.Pod, list []corev1.PodAffinityTerm) []term {
	var out []term
	for i := range list {
		x := &list[i]
		s, err := metav1.LabelSelectorAsSelector(x.LabelSelector)
		if err != nil {
			s = labels.Nothing()
		}
		s = withKeys(s, p, x.MatchLabelKeys)
		named := slices.Clone(x.Namespaces)
		if len(named) == 0 && x.NamespaceSelector == nil {
			named = []string{p.Namespace}
		}
		chosen := labels.Nothing()
		if x.NamespaceSelector != nil {
			if s, err := metav1.LabelSelectorAsSelector(x.NamespaceSelector); err == nil {
				chosen = s
			}
		}
		out = append(out, term{key: x.TopologyKey, selector: s, namespaces: func(name string) bool {
			if slices.Contains(named, name) {
				return true
			}
			ns, err := c.informers.Core().V1().Namespaces().Lister().Get(name)
			return err == nil && chosen.Matches(labels.Set(ns.Labels))
		}})
	}
	return out
}

// withKeys narrows s to what has p's values of keys.
func withKeys(s labels.Selector, p *corev1.Pod, keys []string) labels.Selector {
	for _, k := range keys {
		if v, ok := p.Labels[k]; ok {
			more, _ := labels.Set{k: v}.AsSelector().Requirements()
			s = s.Add(more...)
		}
	}
	return s
}

func required(p *corev1.Pod) (near, far []corev1.PodAffinityTerm) {
	if a := p.Spec.Affinity; a != nil {
		if a.PodAffinity != nil {
			near = a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
		}
		if a.PodAntiAffinity != nil {
			far = a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
		}
	}
	return near, far
}

// company gathers what decides over p among the pods that are there.
func (c *scheduler) company(p *corev1.Pod, rooms []*room) *company {
	near, far := required(p)
	m := &company{pod: p, near: c.terms(p, near), far: c.terms(p, far)}
	m.friends, m.enemies = domainsOf(len(m.near)), domainsOf(len(m.far))
	anyFriend := false
	for _, r := range rooms {
		for _, q := range r.pods {
			if len(m.near) > 0 && !slices.ContainsFunc(m.near, func(t term) bool { return !t.matches(q) }) {
				for i, t := range m.near {
					if v, ok := r.node.Labels[t.key]; ok {
						m.friends[i][v], anyFriend = true, true
					}
				}
			}
			for i, t := range m.far {
				if v, ok := r.node.Labels[t.key]; ok && t.matches(q) {
					m.enemies[i][v] = true
				}
			}
			_, theirs := required(q)
			for _, t := range c.terms(q, theirs) {
				if v, ok := r.node.Labels[t.key]; ok && t.matches(p) {
					m.theirs = append(m.theirs, domain{t.key, v})
				}
			}
		}
	}
	m.alone = !anyFriend && !slices.ContainsFunc(m.near, func(t term) bool { return !t.matches(p) })
	for i := range p.Spec.TopologySpreadConstraints {
		if x := &p.Spec.TopologySpreadConstraints[i]; x.WhenUnsatisfiable != corev1.ScheduleAnyway {
			m.spreads = append(m.spreads, newSpread(p, x, rooms))
		}
	}
	return m
}

func domainsOf(n int) []map[string]bool {
	out := make([]map[string]bool, n)
	for i := range out {
		out[i] = map[string]bool{}
	}
	return out
}

// refuses says why the company keeps the pod off r; "" if it does not.
func (m *company) refuses(r *room) (why string, hopeless bool) {
	for _, s := range m.spreads {
		if why, hopeless := s.refuses(r); why != "" {
			return why, hopeless
		}
	}
	for i, t := range m.near {
		v, ok := r.node.Labels[t.key]
		if !ok || !m.friends[i][v] && !m.alone {
			return "node(s) didn't match pod affinity rules", true
		}
	}
	for i, t := range m.far {
		if v, ok := r.node.Labels[t.key]; ok && m.enemies[i][v] {
			return "node(s) didn't match pod anti-affinity rules", false
		}
	}
	for _, d := range m.theirs {
		if v, ok := r.node.Labels[d.key]; ok && v == d.value {
			return "node(s) didn't satisfy existing pods anti-affinity rules", false
		}
	}
	return "", false
}

// spread is one topology spread constraint with what it counts.
type spread struct {
	key     string
	maxSkew int
	least   int            // pods in the emptiest domain
	counts  map[string]int // of matching pods, by domain
	self    int            // 1 if the pod counts itself
}

// newSpread counts the pods that x is about. Domains are those of the nodes that the pod may run on, by the policies of x.
func newSpread(p *corev1.Pod, x *corev1.TopologySpreadConstraint, rooms []*room) *spread {
	selector, err := metav1.LabelSelectorAsSelector(x.LabelSelector)
	if err != nil {
		selector = labels.Nothing()
	}
	selector = withKeys(selector, p, x.MatchLabelKeys)
	s := &spread{key: x.TopologyKey, maxSkew: int(x.MaxSkew), counts: map[string]int{}}
	for _, r := range rooms {
		v, ok := r.node.Labels[x.TopologyKey]
		if !ok || !eligible(p, x, r.node) {
			continue
		}
		s.counts[v] += 0
		for _, q := range r.pods {
			if q.Namespace == p.Namespace && q.DeletionTimestamp == nil && selector.Matches(labels.Set(q.Labels)) {
				s.counts[v]++
			}
		}
	}
	if n := len(s.counts); n > 0 && n >= int(ptr.Deref(x.MinDomains, 1)) {
		s.least = slices.Min(slices.Collect(maps.Values(s.counts)))
	}
	s.self = number(selector.Matches(labels.Set(p.Labels)))
	return s
}

// eligible tells whether a node's domain counts for x. By default those do not that the pod's node affinity rules out, and
// taints do not matter.
func eligible(p *corev1.Pod, x *corev1.TopologySpreadConstraint, n *corev1.Node) bool {
	if ptr.Deref(x.NodeAffinityPolicy, corev1.NodeInclusionPolicyHonor) == corev1.NodeInclusionPolicyHonor {
		if ok, err := nodeaffinity.GetRequiredNodeAffinity(p).Match(n); err != nil || !ok {
			return false
		}
	}
	return ptr.Deref(x.NodeTaintsPolicy, corev1.NodeInclusionPolicyIgnore) == corev1.NodeInclusionPolicyIgnore || !unwanted(p, n)
}

func (s *spread) refuses(r *room) (why string, hopeless bool) {
	v, ok := r.node.Labels[s.key]
	switch {
	case !ok:
		return "node(s) didn't match pod topology spread constraints (missing required label)", true
	case s.counts[v]+s.self-s.least > s.maxSkew:
		return "node(s) didn't match pod topology spread constraints", false
	}
	return "", false
}
