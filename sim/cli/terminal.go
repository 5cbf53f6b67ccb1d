package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"golang.org/x/term"

	"github.com/dpesim/dpesim/scenarios/engine"
)

// terminalOf gives what r is if a person types there, else nil.
func terminalOf(r io.Reader) *os.File {
	if f, ok := r.(*os.File); ok && term.IsTerminal(int(f.Fd())) { //nolint:gosec // a file descriptor is small
		return f
	}
	return nil
}

// converse runs what a person types at a terminal, until they end it.
func (a *app) converse(ctx context.Context, session *engine.Session, from *os.File) error {
	interrupts := (<-chan os.Signal)(nil)
	if a.Interrupts != nil {
		taken, stop := a.Interrupts()
		defer stop()
		interrupts = taken
	}
	edit := newEditor(from, a.Stderr)
	last := engine.Result{}
	for {
		text, err := edit.command(ctx)
		if errors.Is(err, io.EOF) {
			return shellEnd(last, nil)
		}
		if err != nil {
			return err
		}
		last, err = a.typed(ctx, session, text, interrupts)
		if err != nil || last.Exited {
			return shellEnd(last, err)
		}
	}
}

// typed runs a command that was typed, until it ends or is interrupted, and tells how it failed if it did. Its error is ctx's.
func (a *app) typed(ctx context.Context, session *engine.Session, text string, interrupts <-chan os.Signal) (engine.Result, error) {
	running, end := context.WithCancel(ctx)
	ended := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-interrupts:
			end()
		case <-ended:
		}
	}()
	result, err := session.Run(running, text)
	close(ended)
	<-watched
	interrupted := running.Err() != nil
	end()
	switch {
	case ctx.Err() != nil:
		return result, ctx.Err()
	case interrupted:
		fmt.Fprintln(a.Stderr)
		return engine.Result{Code: exitInterrupted}, nil //nolint:nilerr // the person knows
	case err != nil:
		fmt.Fprintln(a.Stderr, err)
		return engine.Result{Code: shellSyntax}, nil
	case result.Code != exitOK && !result.Exited:
		fmt.Fprintf(a.Stderr, "exit status %d\n", result.Code)
	}
	return result, nil
}

// editor reads commands from a terminal, with editing and a history.
type editor struct {
	from  *os.File
	keys  *keys
	lines *term.Terminal
}

func newEditor(from *os.File, echo io.Writer) *editor {
	k := &keys{from: from}
	return &editor{from: from, keys: k, lines: term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{k, echo}, shellPrompt)}
}

// command reads a command: lines, until it is finished. Ctrl-C begins another. At the end of the input it returns [io.EOF].
func (e *editor) command(ctx context.Context) (string, error) {
	text := ""
	e.lines.SetPrompt(shellPrompt)
	for {
		line, err := e.line(ctx)
		if err != nil {
			return "", err
		}
		if e.keys.interrupted.Swap(false) {
			text = ""
			e.lines.SetPrompt(shellPrompt)
			continue
		}
		text += line + "\n"
		if engine.Incomplete(text) {
			e.lines.SetPrompt(shellGoingOn)
			continue
		}
		if strings.TrimSpace(text) != "" {
			return text, nil
		}
		text = ""
	}
}

// line reads a line while the terminal gives keys as they are typed; commands find it as it was.
func (e *editor) line(ctx context.Context) (string, error) {
	fd := int(e.from.Fd()) //nolint:gosec // a file descriptor is small
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", fmt.Errorf("preparing the terminal: %w", err)
	}
	defer term.Restore(fd, before) //nolint:errcheck // there is nothing else to be done about it
	if width, height, err := term.GetSize(fd); err == nil && width > 0 {
		_ = e.lines.SetSize(width, height)
	}
	type read struct {
		line string
		err  error
	}
	done := make(chan read, 1)
	go func() {
		line, err := e.lines.ReadLine()
		done <- read{line, err}
	}()
	select {
	case r := <-done:
		return r.line, r.err
	case <-ctx.Done(): // what reads is left behind: the program ends
		return "", ctx.Err()
	}
}

// keys gives what is typed. [term.Terminal] takes Ctrl-C for the end of the input; here it empties the line, and is remembered.
type keys struct {
	from        io.Reader
	typed       []byte // read, and not yet given
	interrupted atomic.Bool
}

const (
	ctrlC = "\x03"
	empty = "\x05\x15\r" // Ctrl-E, Ctrl-U, Enter: to the end of the line, delete what is before, give it
)

// Read gives what was typed up to the next Ctrl-C.
func (k *keys) Read(p []byte) (int, error) {
	if len(k.typed) == 0 {
		n, err := k.from.Read(p)
		if n == 0 || !bytes.Contains(p[:n], []byte(ctrlC)) {
			return n, err
		}
		k.typed = bytes.Clone(p[:n])
	}
	give := k.typed
	switch i := bytes.Index(k.typed, []byte(ctrlC)); {
	case i == 0:
		k.interrupted.Store(true)
		k.typed = append([]byte(empty), k.typed[len(ctrlC):]...)
		give = k.typed[:len(empty)]
	case i > 0:
		give = k.typed[:i]
	}
	n := copy(p, give)
	k.typed = k.typed[n:]
	return n, nil
}
