package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/dpesim/dpesim/scenarios/verb"
)

// recordStart is how long, in wall time, record waits for the watcher's first output.
const recordStart = 30 * time.Second

// record is the word
//
//	record FILE WATCHER [ARG...] -- COMMAND [ARG...]
//
// It writes what the watcher prints to FILE while the command runs: the command starts when the watcher has printed
// something, and the watcher is interrupted when the command has ended. What it was about to print then is left out: FILE ends
// with a whole line, or a whole JSON document. The exit code is the command's. Both are verbs or programs.
func (sh *shell) record(ctx context.Context, c verb.Call) error {
	i := slices.Index(c.Args, "--")
	if i < 2 || i == len(c.Args)-1 {
		return refuse(c, "record", "usage: record FILE WATCHER [ARG...] -- COMMAND [ARG...]")
	}
	name, watch, command := c.Args[0], c.Args[1:i], c.Args[i+1:]
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.Dir, path)
	}
	file, err := os.Create(path)
	if err != nil {
		return refuse(c, "record", "cannot write %s: %v", name, err)
	}

	watching, stop := context.WithCancel(ctx)
	defer stop()
	w := c
	first := &signal{file: file, came: make(chan struct{})}
	w.Args, w.Stdin, w.Stdout = watch[1:], sh.stdin, first
	ended := make(chan error, 1)
	go func() { ended <- sh.call(watching, watch[0], w) }()

	early, timeout := sh.o.Wall.WithTimeout(ctx, recordStart)
	defer timeout()
	select {
	case <-first.came:
		m := c
		m.Args = command[1:]
		err = sh.call(ctx, command[0], m)
		select {
		case werr := <-ended: // before it was told to
			fmt.Fprintf(c.Stderr, "record: %s ended before %s did (%v): %s is not whole\n", watch[0], command[0], werr, name)
			err = errors.Join(err, &verb.ExitError{Code: 1})
		default:
			stop()
			<-ended //nolint:errcheck // it was told to end
			err = errors.Join(err, cut(path))
		}
	case werr := <-ended:
		fmt.Fprintf(c.Stderr, "record: %s ended (%v) before it printed anything; %s was not started\n", watch[0], werr, command[0])
		err = &verb.ExitError{Code: 1}
	case <-early.Done():
		stop()
		<-ended //nolint:errcheck // it was told to end
		fmt.Fprintf(c.Stderr, "record: %s printed nothing for %s; %s was not started\n", watch[0], recordStart, command[0])
		err = &verb.ExitError{Code: 1}
	}
	if cerr := file.Close(); cerr != nil && err == nil {
		return refuse(c, "record", "cannot write %s: %v", name, cerr)
	}
	return err
}

// cut takes from the end of a file what is not whole.
func cut(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read what was recorded: %w", err)
	}
	if n := whole(text); n < len(text) {
		if err := os.Truncate(path, int64(n)); err != nil {
			return fmt.Errorf("cut what was recorded: %w", err)
		}
	}
	return nil
}

// whole gives how much of a text are whole JSON documents or, where it is none, whole lines.
func whole(text []byte) int {
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		end := int(d.InputOffset())
		switch err := d.Decode(new(json.RawMessage)); {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return end
		case errors.Is(err, io.EOF):
			return len(text)
		case err != nil:
			return bytes.LastIndexByte(text, '\n') + 1
		}
	}
}

// signal is a file that tells when something was first written to it.
type signal struct {
	file *os.File
	once sync.Once
	came chan struct{}
}

// Write writes p to the file.
func (s *signal) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	s.once.Do(func() { close(s.came) })
	return n, err
}
