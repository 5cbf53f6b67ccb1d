package kind

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/kind/pkg/log"

	"github.com/dpesim/dpesim/sim/clock"
)

// logger tells kind's phases, and knows which one goes on.
type logger struct {
	clock *clock.Clock

	mu    sync.Mutex
	tell  func(what string)
	phase string // that goes on
	since time.Time
	told  time.Time // when something was told of it last
	seen  string    // what it was seen to wait for last
}

var (
	_ log.Logger     = (*logger)(nil)
	_ log.InfoLogger = (*logger)(nil)
)

// Warn is not told: what kind warns of ends in an error, or does not matter.
func (l *logger) Warn(string) {}

// Warnf is as Warn.
func (l *logger) Warnf(string, ...any) {}

// Error is not told: kind returns it, too.
func (l *logger) Error(string) {}

// Errorf is as Error.
func (l *logger) Errorf(string, ...any) {}

// V gives what tells level 0, the phases.
func (l *logger) V(level log.Level) log.InfoLogger {
	if level > 0 {
		return log.NoopInfoLogger{}
	}
	return l
}

// Info tells a phase as it begins: then kind's line ends with dots. kind decorates it for a terminal.
func (l *logger) Info(message string) {
	text := strings.TrimSpace(strings.Map(func(r rune) rune {
		if r > 0x7e {
			return -1
		}
		return r
	}, message))
	if phase, begins := strings.CutSuffix(text, "..."); begins {
		l.begin(strings.TrimSpace(phase))
	}
}

// Infof is as Info.
func (l *logger) Infof(format string, args ...any) { l.Info(fmt.Sprintf(format, args...)) }

// Enabled says that phases are told.
func (l *logger) Enabled() bool { return true }

// say tells something.
func (l *logger) say(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tell(what)
}

// begin tells a phase.
func (l *logger) begin(phase string) {
	l.say(phase)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.phase, l.seen = phase, ""
	l.since, l.told = l.clock.Now(), l.clock.Now()
}

// end says that no phase goes on any more.
func (l *logger) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.phase = ""
}

// current gives the phase that goes on, and what it was seen to wait for.
func (l *logger) current() (phase, seen string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.phase, l.seen
}

// silent gives the phase that goes on, and for how long nothing has been told of it.
func (l *logger) silent() (phase string, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.phase, l.clock.Now().Sub(l.told)
}

// wait tells what the phase waits for, if it still goes on.
func (l *logger) wait(phase, seen string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase == phase {
		now := l.clock.Now()
		l.seen, l.told = seen, now
		l.tell(fmt.Sprintf("still %s, for %s: %s", lower(phase), now.Sub(l.since).Round(time.Second), seen))
	}
}

// lower makes of a phase a part of a sentence.
func lower(phase string) string { return strings.ToLower(phase[:1]) + phase[1:] }
