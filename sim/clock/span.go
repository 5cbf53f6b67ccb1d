package clock

import (
	"regexp"
	"strconv"
	"time"

	"github.com/dpesim/dpesim/sim"
)

// days and weeks, which time.ParseDuration does not know, before the rest.
var spanPattern = regexp.MustCompile(`^(?:(\d{1,5})w)?(?:(\d{1,5})d)?(.*)$`)

const day = 24 * time.Hour

// ParseSpan reads a span of time as people write it: "90d", "2w", "1d12h", "30m". A day has 24 hours. It returns Invalid
// for anything else, and for a negative span.
func ParseSpan(s string) (time.Duration, error) {
	m := spanPattern.FindStringSubmatch(s)
	var d time.Duration
	ok := m != nil && s != ""
	if ok {
		weeks, _ := strconv.Atoi(m[1]) // the pattern admits digits only; none is 0
		days, _ := strconv.Atoi(m[2])
		d = time.Duration(weeks)*7*day + time.Duration(days)*day
		if m[3] != "" {
			rest, err := time.ParseDuration(m[3])
			ok = err == nil && rest >= 0
			d += rest
		}
	}
	if !ok || d < 0 {
		return 0, sim.Errorf(sim.Invalid, "%.30q is no span of time", s).WithHelp("write it as 90d, 2w, 1d12h, 30m or 10s")
	}
	return d, nil
}
