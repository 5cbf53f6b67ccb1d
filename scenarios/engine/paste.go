package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Paste runs shell text as if a person had pasted it into a terminal in o.Dir, and writes what it prints to out as it
// comes: what a portal prints for people can be run as it is. It ends at the first statement that fails and gives that
// one's exit code, with a nil error. An error is text that no shell can read, a shell that cannot start, or ctx's. The
// words that belong to scenarios are there too, what is said goes to out; o.Report is not used. out must be safe for
// concurrent use.
func Paste(ctx context.Context, text string, o Options, out io.Writer) (code int, err error) {
	file, err := parseShell(text)
	if err != nil {
		return 0, fmt.Errorf("reading the commands: %w", err)
	}
	sh, err := newShell(o.filled(), out, func(line string) { fmt.Fprintln(out, line) })
	if err != nil {
		return 0, fmt.Errorf("starting the shell: %w", err)
	}
	defer sh.close()
	jobs, stop := context.WithCancel(ctx)
	defer sh.wait(context.WithoutCancel(ctx))
	defer stop()
	_, err = sh.run(jobs, file.Stmts)
	if e, ok := errors.AsType[*CommandError](err); ok {
		return e.Code, nil
	}
	return 0, err
}
