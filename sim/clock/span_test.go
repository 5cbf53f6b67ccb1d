package clock_test

import (
	"testing"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
)

func TestSpansAreReadAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for s, want := range map[string]time.Duration{
		"90d": 90 * day, "2w": 14 * day, "1w2d3h": 9*day + 3*time.Hour, "1d12h": 36 * time.Hour, "30m": 30 * time.Minute, "10s": 10 * time.Second, "0": 0, "0d": 0,
	} {
		if got, err := clock.ParseSpan(s); err != nil || got != want {
			t.Errorf("ParseSpan(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "d", "-1d", "1d-2h", "-5m", "90", "1y", "1d 2h", "999999d", "1.5d", "2d1w"} {
		if got, err := clock.ParseSpan(s); sim.KindOf(err) != sim.Invalid || err == nil {
			t.Errorf("ParseSpan(%q) = %v, %v", s, got, err)
		}
	}
}

func FuzzParseSpan(f *testing.F) {
	for _, s := range []string{"90d", "1w2d3h4m5s", "99999w99999d2540400h", "1d-1ns"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := clock.ParseSpan(s); err == nil && d < 0 {
			t.Errorf("ParseSpan(%q) = %v", s, d)
		}
	})
}
