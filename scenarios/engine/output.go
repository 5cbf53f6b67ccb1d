package engine

import (
	"fmt"
	"sync"
)

// keep is how much of a step's output is kept, in bytes: its end, since that is where a failure shows.
const keep = 1 << 20

// output gathers what a step prints. Background jobs write to it too, so it is safe for concurrent use.
type output struct {
	conceal func(string) string

	mu   sync.Mutex
	text []byte
	lost int // bytes before text that were not kept
	said []string
}

// Write takes all of p.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	if len(o.text) > 2*keep {
		o.dropLocked()
	}
	return len(p), nil
}

func (o *output) dropLocked() {
	if len(o.text) <= keep {
		return
	}
	o.text = []byte(o.conceal(string(o.text))) // before a secret is cut in two
	if extra := len(o.text) - keep; extra > 0 {
		o.lost += extra
		o.text = append([]byte(nil), o.text[extra:]...)
	}
}

func (o *output) say(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.said = append(o.said, line)
}

// take gives what was gathered since the last take.
func (o *output) take() (text string, said []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropLocked()
	text, said = o.conceal(string(o.text)), o.said
	for i := range said {
		said[i] = o.conceal(said[i])
	}
	if o.lost > 0 {
		text = fmt.Sprintf("(%d bytes before this are left out)\n", o.lost) + text
	}
	o.text, o.lost, o.said = nil, 0, nil
	return text, said
}
