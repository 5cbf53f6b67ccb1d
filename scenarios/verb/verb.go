// Package verb holds the words of a scenario's shell that are no commands of dpesim: helm, kubectl and jq, so that a
// scenario runs on a machine with nothing on its PATH. It also defines what a word is: [Verb] and [Call]. Package
// engine runs words; this package does not know it.
package verb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Verb is a word of a scenario's shell. It acts as a program would: it reads Stdin, writes Stdout and Stderr, takes
// relative paths as relative to Dir, and knows no environment but Env. It returns nil for exit code 0, an [ExitError]
// for another one after it has said on Stderr what is wrong, and ctx's error when ctx ended it.
// A Verb is safe for concurrent use.
type Verb func(ctx context.Context, c Call) error

// Call is one use of a word.
type Call struct {
	Args   []string  // after the word itself
	Stdin  io.Reader // nil: empty
	Stdout io.Writer // nil: thrown away
	Stderr io.Writer // nil: thrown away
	Dir    string    // the working directory, absolute
	Env    []string  // the whole environment as "NAME=value"; the last of a name wins

	Program func() (ended func()) // is told when a program of this machine is started, and when it has ended; nil: nobody
}

// Getenv gives the value of an environment variable of the call, "" if it is not set.
func (c Call) Getenv(name string) string {
	for _, entry := range slices.Backward(c.Env) {
		if n, v, ok := strings.Cut(entry, "="); ok && n == name {
			return v
		}
	}
	return ""
}

// filled gives c with harmless streams in place of the nil ones.
func (c Call) filled() Call {
	if c.Stdin == nil {
		c.Stdin = strings.NewReader("")
	}
	if c.Stdout == nil {
		c.Stdout = io.Discard
	}
	if c.Stderr == nil {
		c.Stderr = io.Discard
	}
	return c
}

// ExitError is the end of a word with a code that is not 0. What was wrong stands on the call's Stderr.
type ExitError struct{ Code int }

// Error says the code.
func (e *ExitError) Error() string { return fmt.Sprintf("exit status %d", e.Code) }

// ExitCode gives the code that a shell sees for what a Verb returned: 0 for nil, the code of an [ExitError], 1 for
// every other error.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*ExitError](err); ok {
		return e.Code
	}
	return 1
}
