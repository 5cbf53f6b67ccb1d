package draw_test

import (
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dpesim/dpesim/sim/draw"
)

func take(s *draw.Source, place string, n int) []uint64 {
	out := make([]uint64, n)
	for i := range out {
		out[i] = s.Uint64(place)
	}
	return out
}

func TestAPlaceDrawsTheSameWhateverOtherPlacesDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		alone := take(draw.New(seed), "dpm/lease", 20)
		s := draw.New(seed)
		var mixed []uint64
		for range 20 {
			for _, other := range rapid.SliceOfN(rapid.SampledFrom([]string{"portal/id", "dpe/backoff", ""}), 0, 3).Draw(t, "others") {
				s.Float64(other)
				s.ID(other, 3)
			}
			mixed = append(mixed, s.Uint64("dpm/lease"))
		}
		if !slices.Equal(alone, mixed) {
			t.Fatalf("%v, alone %v", mixed, alone)
		}
	})
}

func TestSeedsAndPlacesDiffer(t *testing.T) {
	t.Parallel()
	a := take(draw.New(1), "a", 4)
	if slices.Equal(a, take(draw.New(2), "a", 4)) {
		t.Error("two seeds draw the same")
	}
	if slices.Equal(a, take(draw.New(1), "b", 4)) {
		t.Error("two places draw the same")
	}
	if draw.New(7).Seed() != 7 {
		t.Error("the seed is not kept")
	}
}

// A run is replayed from its seed by later versions too: these draws must not change.
func TestDrawsOfASeedAreFixed(t *testing.T) {
	t.Parallel()
	if got := draw.New(42).ID("portal/environment", 8); got != "vkfqnq4k" {
		t.Errorf("%q, was vkfqnq4k", got)
	}
}

func TestDrawsKeepTheirBounds(t *testing.T) {
	t.Parallel()
	s := draw.New(3)
	sum := 0.0
	for range 10_000 {
		f := s.Float64("f")
		if f < 0 || f >= 1 {
			t.Fatal(f)
		}
		sum += f
		if d := s.Jitter("j", time.Second); d < time.Second/2 || d >= time.Second {
			t.Fatal(d)
		}
	}
	if mean := sum / 10_000; mean < 0.47 || mean > 0.53 {
		t.Errorf("mean %v", mean)
	}
	if s.Jitter("j", 0) != 0 {
		t.Error("jitter of nothing")
	}
}

func TestIDsAreSafeAndDiffer(t *testing.T) {
	t.Parallel()
	s := draw.New(4)
	ok := regexp.MustCompile(`^[a-z0-9]{8}$`)
	seen := map[string]bool{}
	for range 10_000 {
		id := s.ID("x", 8)
		if !ok.MatchString(id) || seen[id] {
			t.Fatalf("%q, seen %v", id, seen[id])
		}
		seen[id] = true
	}
	if s.ID("x", 0) != "" {
		t.Error("an id of no length")
	}
}

func TestManyDrawAtOnce(t *testing.T) {
	t.Parallel()
	s := draw.New(5)
	var mu sync.Mutex
	var all []uint64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			got := take(s, "x", 100)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, got...)
		})
	}
	wg.Wait()
	want := take(draw.New(5), "x", 800)
	slices.Sort(all)
	slices.Sort(want)
	if !slices.Equal(all, want) {
		t.Error("draws were lost or doubled")
	}
}
