package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/dpesim/dpesim/sim/clock"
)

const (
	// logSize is how many bytes of a container's log are kept; the oldest lines go first. Kubernetes rotates at 10 MiB
	// on disk: ours is in memory, and there may be many pods.
	logSize = 1 << 20
	// lineSize is where a line without an end is cut.
	lineSize = 16 << 10
)

// containerLog keeps the latest lines that one run of a container wrote. It is safe for concurrent use.
type containerLog struct {
	clock *clock.Clock

	mu    sync.Mutex
	lines []logLine
	first int // number of lines[0], counted from the start of the run
	size  int
	part  []byte // an unfinished line
	ended bool
	moved chan struct{} // closed and replaced whenever something changes
}

type logLine struct {
	at   time.Time
	text []byte // with its line end
}

func newContainerLog(c *clock.Clock) *containerLog {
	return &containerLog{clock: c, moved: make(chan struct{})}
}

// Write appends p. A run that has ended takes nothing more.
func (l *containerLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return 0, errors.New("the container has ended")
	}
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			l.part = append(l.part, p...)
			if len(l.part) >= lineSize {
				l.endLineLocked()
			}
			break
		}
		l.part = append(l.part, p[:i]...)
		l.endLineLocked()
		p = p[i+1:]
	}
	return n, nil
}

func (l *containerLog) endLineLocked() {
	text := append(l.part, '\n') //nolint:gocritic // part is given up
	l.part = nil
	l.lines = append(l.lines, logLine{l.clock.Now(), text})
	for l.size += len(text); l.size > logSize && len(l.lines) > 1; {
		l.size -= len(l.lines[0].text)
		l.lines = l.lines[1:]
		l.first++
	}
	l.moveLocked()
}

// bytes gives how much is kept.
func (l *containerLog) bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(l.size)
}

func (l *containerLog) moveLocked() {
	close(l.moved)
	l.moved = make(chan struct{})
}

// end closes the log: followers read what is left and stop.
func (l *containerLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	if len(l.part) > 0 {
		l.endLineLocked()
	}
	l.ended = true
	l.moveLocked()
}

// open reads the log as opts ask.
func (l *containerLog) open(ctx context.Context, opts *corev1.PodLogOptions) io.ReadCloser {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	r := &logReader{ctx: ctx, cancel: cancel, log: l, next: l.first, left: -1, stamps: opts.Timestamps, follow: opts.Follow}
	switch {
	case opts.SinceTime != nil:
		r.since = opts.SinceTime.Time
	case opts.SinceSeconds != nil:
		r.since = l.clock.Now().Add(-time.Duration(*opts.SinceSeconds) * time.Second)
	}
	if opts.TailLines != nil {
		r.next = max(r.next, l.first+len(l.lines)-int(min(*opts.TailLines, int64(len(l.lines)))))
	}
	if opts.LimitBytes != nil {
		r.left = int(*opts.LimitBytes)
	}
	return r
}

// logReader reads one log at its own pace; lines that were dropped meanwhile are skipped.
type logReader struct {
	ctx    context.Context
	cancel context.CancelFunc
	log    *containerLog
	next   int // number of the next line
	since  time.Time
	left   int // bytes that may still be read; negative: no limit
	stamps bool
	follow bool
	rest   []byte // of the line in hand
}

// Read gives the next bytes, io.EOF at the end of the log.
func (r *logReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if err := r.line(); err != nil {
			return 0, err
		}
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	if r.left > 0 && len(p) > r.left {
		p = p[:r.left]
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	if r.left > 0 {
		r.left -= n
	}
	return n, nil
}

// line takes the next line in hand, waiting for it if the reader follows.
func (r *logReader) line() error {
	for {
		r.log.mu.Lock()
		r.next = max(r.next, r.log.first)
		if i := r.next - r.log.first; i < len(r.log.lines) {
			x := r.log.lines[i]
			r.next++
			r.log.mu.Unlock()
			if x.at.Before(r.since) {
				continue
			}
			r.rest = x.text
			if r.stamps {
				r.rest = append([]byte(x.at.UTC().Format("2006-01-02T15:04:05.000000000Z")+" "), x.text...)
			}
			return nil
		}
		moved, ended := r.log.moved, r.log.ended
		r.log.mu.Unlock()
		if ended || !r.follow {
			return io.EOF
		}
		select {
		case <-moved:
		case <-r.ctx.Done():
			return io.EOF
		}
	}
}

// Close ends a Read that waits.
func (r *logReader) Close() error {
	r.cancel()
	return nil
}
