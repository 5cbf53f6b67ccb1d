package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
)

// Kind classifies an error by what the caller can do about it. Every edge (HTTP, gRPC, S3) maps each Kind once.
type Kind int

// The kinds, in the order of [Kinds].
const (
	Internal        Kind = iota // our fault: the text stays in the log
	Invalid                     // the request is wrong: change it
	NotFound                    // what was named does not exist
	Conflict                    // it exists already, or it changed meanwhile: read again
	Unauthenticated             // who are you?
	Forbidden                   // we know who you are, and you may not
	Exhausted                   // a limit of the contract or the licence is reached
	Unavailable                 // not now: try again
)

// Kinds lists every Kind, for the tables that must cover them all.
func Kinds() []Kind {
	return []Kind{Internal, Invalid, NotFound, Conflict, Unauthenticated, Forbidden, Exhausted, Unavailable}
}

// String gives the kind's name as it stands in JSON and logs.
func (k Kind) String() string {
	switch k {
	case Internal:
		return "internal"
	case Invalid:
		return "invalid"
	case NotFound:
		return "not_found"
	case Conflict:
		return "conflict"
	case Unauthenticated:
		return "unauthenticated"
	case Forbidden:
		return "forbidden"
	case Exhausted:
		return "exhausted"
	case Unavailable:
		return "unavailable"
	}
	return fmt.Sprintf("kind(%d)", int(k))
}

// KindFromString is the inverse of [Kind.String]; an unknown name is Internal.
func KindFromString(s string) Kind {
	for _, k := range Kinds() {
		if k.String() == s {
			return k
		}
	}
	return Internal
}

// Error is an error that was classified where its cause was known.
type Error struct {
	Op   string // where, "portal/sqlite.CreateEnvironment"
	Kind Kind
	Msg  string // what happened and why: may be shown to a user
	Help string // what to do next: may be shown to a user
	Err  error  // the cause: for the log, never for a user
}

// Error joins what is known, for logs.
func (e *Error) Error() string {
	s := e.Msg
	if s == "" {
		s = e.Kind.String()
	}
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of a kind with a message for the user.
func Errorf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Msg: fmt.Sprintf(format, args...)}
}

// WithHelp adds what the user should do next and returns e.
func (e *Error) WithHelp(format string, args ...any) *Error {
	e.Help = fmt.Sprintf(format, args...)
	return e
}

// KindOf gives the kind of the outermost [Error] in err's chain. Cancelled and timed-out contexts are Unavailable,
// everything else that was never classified is Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Unavailable
	}
	return Internal
}

// Report gives what a program prints of err before it exits: what happened, then what to do next, each on a line of its own.
func Report(err error) string {
	text, help := err.Error(), ""
	if e, ok := errors.AsType[*Error](err); ok && e.Msg != "" {
		text, help = e.Msg, e.Help
		if e.Err != nil && e.Kind == Internal {
			text = err.Error()
		}
	}
	if help == "" {
		return "Error: " + text + "\n"
	}
	return "Error: " + text + "\n  What to do: " + help + "\n"
}

// Explain gives the words of err that a user may see: the message and the help of its [Error], or a neutral
// sentence for an Internal one.
func Explain(err error) (msg, help string) {
	k := KindOf(err)
	if k == Internal {
		return "an internal error occurred", "the cause is in dpesim's log"
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return cmp.Or(e.Msg, k.String()), e.Help
	}
	return k.String(), ""
}
