package engine

import (
	"context"
	"io"
)

// Paste runs shell text as if a person had pasted it into a terminal in o.Dir, and writes what it prints to out as it
// comes: what a portal prints for people can be run as it is. It ends at the first statement that fails and gives that
// one's exit code, with a nil error. An error is text that no shell can read, a shell that cannot start, or ctx's. The
// words that belong to scenarios are there too, what is said goes to out; o.Report is not used. out must be safe for
// concurrent use.
func Paste(ctx context.Context, text string, o Options, out io.Writer) (code int, err error) {
	if o, err = atHome(o); err != nil {
		return 0, err
	}
	s, err := Open(ctx, o, Streams{Out: out, Err: out})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	result, err := s.Run(ctx, text)
	return result.Code, err
}
