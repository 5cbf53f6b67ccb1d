package objstore

import (
	"sync"
	"time"

	"github.com/dpesim/dpesim/sim/clock"
)

// Limits of "request refused" events: a client with a wrong key retries fast and for ever, and must not push everything
// else out of the event ring.
const (
	refusalWindow = 10 * time.Second // product time in which the same refusal is told once
	maxRefusals   = 256              // different refusals remembered
)

// refusals decides which refusals are told.
type refusals struct {
	clock *clock.Clock

	mu   sync.Mutex
	seen map[string]*refusal
}

type refusal struct {
	since      time.Time
	suppressed int
}

// tell says whether the refusal of that identity should be told now, and how many like it were not since the last.
func (r *refusals) tell(id string) (suppressed int, ok bool) {
	now := r.clock.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.seen[id]; old != nil {
		if d := now.Sub(old.since); d >= 0 && d < refusalWindow {
			old.suppressed++
			return 0, false
		}
		suppressed = old.suppressed
	} else if len(r.seen) >= maxRefusals {
		clear(r.seen) // names are the client's to choose: forget rather than grow
	}
	r.seen[id] = &refusal{since: now}
	return suppressed, true
}
