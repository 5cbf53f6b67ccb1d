package cli

import (
	"strings"
	"sync"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/event/mask"
)

// sameness holds later runs of a scenario against its first. It is safe for concurrent use.
type sameness struct {
	mu    sync.Mutex
	first map[*engine.Scenario][]string // masked logs
}

// differenceError is a run whose event log differs from that of another with the same seed.
type differenceError struct {
	file string
	diff []string // "- " of the one, "+ " of the other
}

// Error shows the lines that only one of them has.
func (e *differenceError) Error() string {
	return e.file + ": two runs with the same seed differ, one has the lines with -, the other those with +:\n  " + strings.Join(e.diff, "\n  ")
}

// compare returns a *differenceError if the log is not like that of the first run.
func (s *sameness) compare(sc *engine.Scenario, log []sim.Event) error {
	lines := mask.Lines(log)
	s.mu.Lock()
	defer s.mu.Unlock()
	first, ok := s.first[sc]
	if !ok {
		if s.first == nil {
			s.first = map[*engine.Scenario][]string{}
		}
		s.first[sc] = lines
		return nil
	}
	if diff := mask.Diff(first, lines); len(diff) > 0 {
		return &differenceError{sc.File, diff}
	}
	return nil
}
