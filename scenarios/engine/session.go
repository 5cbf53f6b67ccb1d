package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Streams are those of the commands of a [Session]. Out and Err must be safe for concurrent use.
type Streams struct {
	In       io.Reader // nil: empty
	Out, Err io.Writer
}

// Session is a scenario's shell without a scenario, for what a person types or a script says: variables, functions and the
// current directory last from one text to the next. It is not safe for concurrent use.
type Session struct {
	sh   *shell
	jobs context.Context // of what runs in the background, until the session is closed
	stop context.CancelFunc
}

// Open begins a session in o.Dir. What is said is printed on streams.Out; o.Report, o.Keep and o.Prove are not used. HOME is as o.Env says.
// The session ends with ctx, or when it is closed.
func Open(ctx context.Context, o Options, streams Streams) (*Session, error) {
	sh, err := newShell(o.filled(), streams, func(line string) { fmt.Fprintln(streams.Out, line) })
	if err != nil {
		return nil, fmt.Errorf("starting the shell: %w", err)
	}
	s := &Session{sh: sh}
	s.jobs, s.stop = context.WithCancel(ctx)
	return s, nil
}

// Close stops what still runs in the background, and waits for it.
func (s *Session) Close() {
	s.stop()
	s.sh.wait(context.WithoutCancel(s.jobs))
	s.sh.close()
}

// Result is how a text ended.
type Result struct {
	Code   int  // exit status of the last statement that ran
	Exited bool // that statement was "exit"
}

// Run runs text up to the first statement that does not succeed, or to "exit". It returns ctx's error when that was done
// meanwhile; what the text left in the background goes on. A [SyntaxError] is text that no shell can read; nothing of it has run.
func (s *Session) Run(ctx context.Context, text string) (Result, error) {
	file, err := parseShell(text)
	if err != nil {
		return Result{}, &SyntaxError{err}
	}
	running, cut := context.WithCancel(s.jobs)
	defer context.AfterFunc(ctx, cut)()
	for _, stmt := range file.Stmts {
		_, err := s.sh.run(running, []*syntax.Stmt{stmt})
		failed, ok := errors.AsType[*CommandError](err)
		switch {
		case ok:
			return Result{Code: failed.Code, Exited: exits(stmt)}, nil
		case ctx.Err() != nil:
			return Result{}, ctx.Err()
		case err != nil:
			return Result{}, err
		case s.sh.runner.Exited():
			return Result{Exited: exits(stmt)}, nil
		}
	}
	return Result{}, nil
}

// exits tells whether stmt is a use of exit. The shell itself does not tell it from a failure.
func exits(stmt *syntax.Stmt) bool {
	call, ok := stmt.Cmd.(*syntax.CallExpr)
	return ok && len(call.Args) > 0 && call.Args[0].Lit() == "exit"
}

// SyntaxError is text that no shell can read.
type SyntaxError struct{ Err error }

// Error says where, as LINE:COLUMN, and what is wrong.
func (e *SyntaxError) Error() string { return "no shell can read this: " + e.Err.Error() }

// Unwrap gives what the parser says.
func (e *SyntaxError) Unwrap() error { return e.Err }

// Incomplete tells whether text, whole lines, is the beginning of something that goes on in the next line.
func Incomplete(text string) bool {
	line := strings.TrimSuffix(text, "\n")
	if backslashes := len(line) - len(strings.TrimRight(line, `\`)); backslashes%2 == 1 {
		return true
	}
	_, err := parseShell(text)
	return syntax.IsIncomplete(err)
}
