package controller

import (
	"cmp"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// set is what a rollout needs to know of a ReplicaSet.
type set struct {
	name      string
	wanted    int32 // spec.replicas
	available int32 // status.availableReplicas
	existing  int32 // status.replicas: more than wanted while its controller has yet to delete some
	ceiling   int32 // the most pods that the Deployment allowed when the set was last scaled; 0: unknown
}

// sureOf gives how many replicas of s stay available whatever its controller still has to do: victims are chosen among
// the unready first.
func (s set) sureOf() int32 { return min(s.available, s.wanted) }

// bounds are the two numbers of a rolling update, resolved.
type bounds struct{ surge, unavailable int32 }

// boundsOf resolves maxSurge (rounded up) and maxUnavailable (rounded down) against n; if both come out as zero,
// maxUnavailable is one, or nothing could ever move. Source: Kubernetes API reference, RollingUpdateDeployment.
func boundsOf(r *appsv1.RollingUpdateDeployment, n int32) bounds {
	quarter := intstr.FromString("25%")
	surge, unavailable := &quarter, &quarter
	if r != nil {
		surge, unavailable = cmp.Or(r.MaxSurge, surge), cmp.Or(r.MaxUnavailable, unavailable)
	}
	up, err := intstr.GetScaledValueFromIntOrPercent(surge, int(n), true)
	if err != nil {
		up = 0
	}
	down, err := intstr.GetScaledValueFromIntOrPercent(unavailable, int(n), false)
	if err != nil {
		down = 0
	}
	b := bounds{int32(up), min(int32(down), n)}
	if b.surge == 0 && b.unavailable == 0 {
		b.unavailable = 1
	}
	return b
}

// roll decides the next step of a rolling update to n replicas of the new set: how many replicas each set shall have
// now. Sets that keep what they have are left out. The new set is first, the old ones are oldest first.
//
// Two things hold after each step, whatever the pods do: there are never more than n+surge replicas, those included that
// have yet to be deleted (unless there were before), and a replica is given up only if n-unavailable are available without it or it was not available itself.
func roll(n int32, b bounds, sets []set) map[string]int32 {
	out := map[string]int32{}
	var total, crowd, sure int32
	for _, s := range sets {
		total += s.wanted
		crowd += max(s.wanted, s.existing)
		sure += s.sureOf()
	}
	next := sets[0]
	switch {
	case next.wanted > n:
		out[next.name] = n
		return out
	case next.wanted < n && crowd < n+b.surge:
		out[next.name] = min(n, next.wanted+n+b.surge-crowd)
	}

	// Old replicas that are not available serve nobody: they go first, oldest set first.
	least := n - b.unavailable
	missing := next.wanted - next.sureOf() // of the new set, still to come
	spare := total - least - missing       // as if every old replica were available
	old := slices.Clone(sets[1:])
	for i := range old {
		s := &old[i]
		if give := min(s.wanted-s.sureOf(), spare); give > 0 {
			s.wanted -= give
			spare -= give
			out[s.name] = s.wanted
		}
	}
	// Then those that are, as far as enough stay.
	spare = min(spare, sure-least)
	for i := range old {
		s := &old[i]
		if give := min(s.wanted, spare); give > 0 {
			s.wanted -= give
			spare -= give
			out[s.name] = s.wanted
		}
	}
	return out
}

// share decides how many replicas each set shall have when a Deployment becomes one of n replicas in the middle of a
// rollout: each set grows or shrinks in proportion, so that what a bad new version takes stays small. The new set is first,
// the old ones are oldest first; sets that keep what they have may be left out. Source: Kubernetes, "Deployments",
// proportional scaling; what rounding leaves goes to the largest set.
func share(n, surge int32, sets []set) map[string]int32 {
	var used []set
	var total, crowd int32
	for _, s := range sets {
		if s.name != "" && s.wanted > 0 {
			used = append(used, s)
		}
		total += s.wanted
		crowd += max(s.wanted, s.existing)
	}
	out := map[string]int32{}
	switch next := sets[0]; {
	case len(used) == 1:
		out[used[0].name] = n
		return out
	case len(used) == 0 && next.name != "":
		out[next.name] = n
		return out
	case len(used) == 0:
		if len(sets) > 1 { // the latest of the old
			out[sets[len(sets)-1].name] = n
		}
		return out
	case next.wanted == n && next.available == n: // the rollout is all but over
		for _, s := range sets[1:] {
			out[s.name] = 0
		}
		return out
	}
	allowed := n + surge
	if n == 0 {
		allowed = 0
	}
	change := allowed - total
	if change > 0 {
		change = max(0, allowed-crowd)
	}
	slices.SortStableFunc(used, func(a, b set) int { return cmp.Compare(b.wanted, a.wanted) }) // the new set first among equals
	if change < 0 {
		slices.SortStableFunc(used, func(a, b set) int {
			return cmp.Or(cmp.Compare(b.wanted, a.wanted), cmp.Compare(number(a.name == sets[0].name), number(b.name == sets[0].name)))
		})
	}
	var done int32
	for _, s := range used {
		part := part(s, n, allowed, total)
		if change > 0 {
			part = min(max(0, part), change-done)
		} else {
			part = max(min(0, part), change-done)
		}
		out[s.name] = s.wanted + part
		done += part
	}
	first := used[0].name
	out[first] = max(0, out[first]+change-done)
	return out
}

// part gives by how much s would change if its share stayed the same, rounded.
func part(s set, n, allowed, total int32) int32 {
	if n == 0 {
		return -s.wanted
	}
	before := s.ceiling
	if before == 0 {
		before = total
	}
	return (2*s.wanted*allowed+before)/(2*before) - s.wanted
}

// setOf reads a ReplicaSet.
func setOf(r *appsv1.ReplicaSet) set {
	s := set{name: r.Name, wanted: ptr.Deref(r.Spec.Replicas, 1), available: r.Status.AvailableReplicas, existing: r.Status.Replicas}
	if n, err := strconv.ParseInt(r.Annotations[ceilingKey], 10, 32); err == nil && n > 0 {
		s.ceiling = int32(n)
	}
	return s
}
