package controller

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
)

// A cluster of replicas that come and go as they like: whatever they do, a rolling update takes no available replica
// away that is needed, wants no more than it may, and ends.
func TestRollKeepsItsBoundsAndEnds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int32Range(0, 8).Draw(t, "n")
		b := boundsOf(&appsv1.RollingUpdateDeployment{
			MaxSurge:       new(intstr.FromInt32(rapid.Int32Range(0, 3).Draw(t, "surge"))),
			MaxUnavailable: new(intstr.FromInt32(rapid.Int32Range(0, 3).Draw(t, "unavailable"))),
		}, n)
		sets := []set{{name: "new"}}
		for i := range rapid.IntRange(1, 3).Draw(t, "old sets") {
			sets = append(sets, set{name: fmt.Sprint("old", i)})
		}
		sets[1].wanted, sets[1].available = n, n
		apply := func() bool {
			total, sure := sum(sets)
			plan := roll(n, b, sets)
			for i := range sets {
				if to, ok := plan[sets[i].name]; ok {
					sets[i].wanted = to
				}
			}
			after, still := sum(sets)
			if after > max(total, n+b.surge) {
				t.Fatalf("%d replicas wanted of at most %d: %+v", after, n+b.surge, sets)
			}
			if still < min(sure, n-b.unavailable) {
				t.Fatalf("%d of %d sure replicas left, %d must stay: %+v", still, sure, n-b.unavailable, sets)
			}
			return len(plan) > 0
		}
		for range rapid.IntRange(0, 20).Draw(t, "mishaps") { // replicas become available, and cease to be
			i := rapid.IntRange(0, len(sets)-1).Draw(t, "set")
			sets[i].available = rapid.Int32Range(0, sets[i].wanted).Draw(t, "available")
			apply()
		}
		for steps := 0; ; steps++ { // from here all goes well
			for i := range sets {
				sets[i].available = sets[i].wanted
			}
			if !apply() {
				break
			}
			if steps > 50 {
				t.Fatalf("it does not end: %+v", sets)
			}
		}
		for i, s := range sets {
			if want := map[bool]int32{true: n}[i == 0]; s.wanted != want {
				t.Fatalf("%s ends with %d replicas: %+v", s.name, s.wanted, sets)
			}
		}
	})
}

func sum(sets []set) (wanted, sure int32) {
	for _, s := range sets {
		wanted += s.wanted
		sure += s.sureOf()
	}
	return wanted, sure
}

// Whatever the sizes, sharing gives as many replicas as it may, and leaves no set with less than none.
func TestShareKeepsToTheWholeAndToProportions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		was, n := rapid.Int32Range(1, 20).Draw(t, "was"), rapid.Int32Range(0, 40).Draw(t, "n")
		surge := rapid.Int32Range(0, 5).Draw(t, "surge")
		next := rapid.Int32Range(1, was+surge-1+1).Draw(t, "next")
		sets := []set{{name: "new", wanted: next, ceiling: was + surge}, {name: "old", wanted: was + surge - next, ceiling: was + surge}}
		for i := range sets {
			sets[i].existing = sets[i].wanted
		}
		plan := share(n, surge, sets)
		var total int32
		for _, s := range sets {
			to, ok := plan[s.name]
			if !ok {
				to = s.wanted
			}
			if to < 0 {
				t.Fatalf("%d replicas: %v", to, plan)
			}
			total += to
		}
		want := n + surge
		if n == 0 || sets[1].wanted == 0 {
			want = n
		}
		if total != want {
			t.Fatalf("%d replicas, want %d: %v of %+v", total, want, plan, sets)
		}
	})
	// The example of Kubernetes' own documentation: 10 replicas in a rollout of 8 old and 5 new become 15.
	got := share(15, 3, []set{{name: "new", wanted: 5, existing: 5, ceiling: 13}, {name: "old", wanted: 8, existing: 8, available: 8, ceiling: 13}})
	if got["new"] != 7 || got["old"] != 11 {
		t.Errorf("shares = %v, want 7 and 11", got)
	}
}

func TestBoundsAreRoundedAsKubernetesRoundsThem(t *testing.T) {
	t.Parallel()
	percent := func(surge, unavailable string) *appsv1.RollingUpdateDeployment {
		return &appsv1.RollingUpdateDeployment{MaxSurge: new(intstr.Parse(surge)), MaxUnavailable: new(intstr.Parse(unavailable))}
	}
	for _, tt := range []struct {
		in   *appsv1.RollingUpdateDeployment
		n    int32
		want bounds
	}{
		{nil, 4, bounds{1, 1}},
		{nil, 3, bounds{1, 0}},
		{percent("25%", "25%"), 10, bounds{3, 2}},
		{percent("0", "0"), 3, bounds{0, 1}},
		{percent("1", "0"), 1, bounds{1, 0}},
		{percent("0", "5"), 3, bounds{0, 3}},
	} {
		if got := boundsOf(tt.in, tt.n); got != tt.want {
			t.Errorf("boundsOf(%+v, %d) = %+v, want %+v", tt.in, tt.n, got, tt.want)
		}
	}
}
