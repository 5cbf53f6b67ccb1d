package controller

import (
	"cmp"
	"slices"

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

// setOf reads a ReplicaSet.
func setOf(r *appsv1.ReplicaSet) set {
	return set{name: r.Name, wanted: ptr.Deref(r.Spec.Replicas, 1), available: r.Status.AvailableReplicas, existing: r.Status.Replicas}
}
