package diagnosis

import (
	"bytes"
	"sync"
)

// logKeeps bounds what a [Log] keeps, in bytes.
const logKeeps = 1 << 20

// Log keeps the last lines of what is written to it, as of a simulator's own log. It is safe for concurrent use.
type Log struct {
	mu   sync.Mutex
	text []byte
}

// Write takes all of p.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if len(l.text) > 2*logKeeps {
		rest := l.text[len(l.text)-logKeeps:]
		l.text = bytes.Clone(rest[bytes.IndexByte(rest, '\n')+1:])
	}
	return len(p), nil
}

// Bytes gives a copy of what is kept.
func (l *Log) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.text)
}
