package runs

import (
	"bytes"
	"strings"
	"sync"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/conceal"
)

// How much of a run's output is kept, and how long a line may be, in bytes.
const (
	terminalKeeps = 256 << 10 // its end: that is where a failure shows
	terminalLine  = 8 << 10   // a longer one is told as several
)

// terminal gathers what a run prints, line by line, without secrets. It is safe for concurrent use.
type terminal struct {
	conceal *conceal.Set

	mu      sync.Mutex
	lines   []string
	size    int           // of lines
	dropped int64         // lines before lines
	partial []byte        // of a line that goes on
	closed  bool          // nothing is printed any more
	moved   chan struct{} // closed and replaced when something changes
}

// newTerminal gives a terminal that conceals secrets.
func newTerminal(secrets ...sim.Secret) *terminal {
	return &terminal{conceal: conceal.New(secrets...), moved: make(chan struct{})}
}

// Write takes all of p.
func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	for {
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		t.partial = append(t.partial, line...)
		if !whole {
			break
		}
		t.addLocked(t.conceal.Text(string(t.partial)))
		t.partial, p = t.partial[:0], rest
	}
	for longest := t.conceal.Longest(); len(t.partial) > terminalLine+longest; {
		text := t.conceal.Text(string(t.partial))
		cut := min(terminalLine, max(len(text)-longest, 0)) // what may be the beginning of a secret waits
		if cut > 0 {
			t.addLocked(text[:cut])
		}
		t.partial = []byte(text[cut:])
	}
	t.tellLocked()
	return n, nil
}

// say prints a line of the portal's own.
func (t *terminal) say(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flushLocked()
	t.addLocked(line)
	t.tellLocked()
}

// close ends the output.
func (t *terminal) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flushLocked()
	t.closed = true
	t.tellLocked()
}

func (t *terminal) tellLocked() {
	close(t.moved)
	t.moved = make(chan struct{})
}

// flushLocked ends a line that has no end.
func (t *terminal) flushLocked() {
	if len(t.partial) > 0 {
		t.addLocked(t.conceal.Text(string(t.partial)))
		t.partial = t.partial[:0]
	}
}

// addLocked adds a line, without what would move a person's cursor, and drops the oldest if there are too many.
func (t *terminal) addLocked(line string) {
	line = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(line, "\uFFFD"))
	t.lines = append(t.lines, line)
	t.size += len(line) + 1
	for t.size > terminalKeeps && len(t.lines) > 1 {
		t.size -= len(t.lines[0]) + 1
		t.lines = t.lines[1:]
		t.dropped++
	}
}

// after gives the lines after a number, how many of those are no longer kept, whether that is the end, and what is closed
// when there is more.
func (t *terminal) after(n int64) (lines []api.OutputLine, missed int64, closed bool, moved <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n = min(max(n, 0), t.dropped+int64(len(t.lines)))
	if missed = t.dropped - n; missed < 0 {
		missed = 0
	}
	for i := n + missed - t.dropped; i < int64(len(t.lines)); i++ {
		lines = append(lines, api.OutputLine{Line: t.dropped + i + 1, Text: t.lines[i]})
	}
	return lines, missed, t.closed, t.moved
}
