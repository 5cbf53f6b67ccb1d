package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"mvdan.cc/sh/v3/syntax"

	"github.com/dpesim/dpesim/scenarios/verb"
	"github.com/dpesim/dpesim/sim/event"
)

// eventually and consistently run another command again and again, and that command may be a function or a builtin,
// which a handler cannot call. So [shell.rewrite] turns
//
//	eventually 30s CMD ARG    into    until (CMD ARG) >OUT 2>ERR; do TRIAL again 7 || break; done; TRIAL end 7
//
// before the interpreter runs it: TRIAL is a word of the engine that waits for the next event, and OUT and ERR are its buffers.
// In the parentheses a failing command of a function ends it: the interpreter's subshells keep "set -e" even in a
// condition (bash does not).

const (
	trialWord = "scenario-trial"            // the engine's word
	trialOut  = "/dev/scenario-trial/out/"  // + id: where the command prints
	trialErr  = "/dev/scenario-trial/err/"  // + id
	usage     = "DURATION COMMAND [ARG...]" // of both words

	// look is the product time after which a trial looks again though no event came: what changes by time alone is
	// told by nobody.
	look = time.Second
	// settle is the wall time from an event to the look that it causes: events come in groups.
	settle = 10 * time.Millisecond
)

// ownWords are the words of the engine that are no builtins of the interpreter.
var ownWords = []string{"eventually", "consistently", "say", "sleep", "record", trialWord}

// trial is one eventually or consistently under way.
type trial struct {
	word     string // eventually or consistently
	command  string
	limit    time.Duration
	deadline time.Time           // product time
	events   *event.Subscription // from before the command looked
	out, err buffer              // what the last try printed
	tries    int
	status   int  // of the last try
	over     bool // the deadline has passed
}

// rewrite turns uses of eventually and consistently into loops and leaves every other call as it is.
func (sh *shell) rewrite(_ context.Context, args []string) ([]string, error) {
	if args[0] != "eventually" && args[0] != "consistently" {
		return args, nil
	}
	word := args[0]
	if len(args) < 3 {
		return []string{trialWord, "usage", word, word + " " + usage}, nil
	}
	limit, err := time.ParseDuration(args[1])
	if err != nil || limit <= 0 {
		return []string{trialWord, "usage", word, fmt.Sprintf("%q is no duration like 30s; usage: %s %s", args[1], word, usage)}, nil //nolint:nilerr // said by the word itself
	}
	var quoted []string
	for _, arg := range args[2:] {
		q, err := syntax.Quote(arg, syntax.LangBash)
		if err != nil {
			return []string{trialWord, "usage", word, err.Error()}, nil //nolint:nilerr // said by the word itself, as the shell does
		}
		quoted = append(quoted, q)
	}
	t := &trial{word: word, command: strings.Join(quoted, " "), limit: limit, deadline: sh.o.Clock.Now().Add(limit)}
	t.events = sh.o.Bus.Subscribe(sh.o.Bus.Last())
	id := sh.addTrial(t)
	loop := "until"
	if word == "consistently" {
		loop = "while"
	}
	return []string{"eval", fmt.Sprintf("%s ( %s ) >%s%s 2>%s%[4]s; do %[6]s again %[4]s || break; done; %[6]s end %[4]s",
		loop, t.command, trialOut, id, trialErr, trialWord)}, nil
}

func (sh *shell) addTrial(t *trial) string {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.nextID++
	id := strconv.Itoa(sh.nextID)
	sh.trials[id] = t
	return id
}

func (sh *shell) trial(id string) *trial {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.trials[id]
}

// trialStep is the word of the loop. "again" follows each try that did not end the loop: it waits, or ends the loop
// with exit code 1 when the time is over. "end" tells how the trial went. status is the exit code of the command before.
func (sh *shell) trialStep(ctx context.Context, c verb.Call, status int) error {
	if len(c.Args) == 3 && c.Args[0] == "usage" {
		return refuse(c, c.Args[1], "%s", c.Args[2])
	}
	var t *trial
	if len(c.Args) == 2 {
		t = sh.trial(c.Args[1])
	}
	if t == nil {
		return refuse(c, trialWord, "this word belongs to eventually and consistently")
	}
	if c.Args[0] == "end" {
		sh.mu.Lock()
		delete(sh.trials, c.Args[1])
		sh.mu.Unlock()
		return t.end(c)
	}
	t.tries++
	t.status = status
	if t.over = !sh.o.Clock.Now().Before(t.deadline); t.over {
		return &verb.ExitError{Code: 1}
	}
	return sh.nextLook(ctx, t)
}

// nextLook waits for the next event, but no longer than a [look] or the deadline, and subscribes anew: an event that
// comes while the command looks wakes the wait after it.
func (sh *shell) nextLook(ctx context.Context, t *trial) error {
	short, cancel := sh.o.Clock.WithTimeout(ctx, min(look, t.deadline.Sub(sh.o.Clock.Now())))
	defer cancel()
	_, err := t.events.Next(short)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if missed := new(event.MissedError); err == nil || errors.As(err, &missed) {
		if err := sh.o.Wall.Sleep(ctx, settle); err != nil {
			return err
		}
	}
	t.events = sh.o.Bus.Subscribe(sh.o.Bus.Last())
	return nil
}

// end prints what the last try printed and judges the trial: eventually is right to end before its time is over,
// consistently is not.
func (t *trial) end(c verb.Call) error {
	out, errs := t.out.take(), t.err.take()
	right := !t.over
	if t.word == "consistently" {
		right = t.over
	}
	if !right {
		c.Stdout = c.Stderr // what it printed is why
	}
	fmt.Fprint(c.Stdout, out)
	fmt.Fprint(c.Stderr, errs)
	switch {
	case right:
		return nil
	case t.word == "eventually":
		fmt.Fprintf(c.Stderr, "eventually: not so within %s, looked %d times, the last ended with exit status %d: %s\n",
			t.limit, t.tries, t.status, t.command)
	default:
		fmt.Fprintf(c.Stderr, "consistently: no longer so within %s, after it had held %d times: %s\n", t.limit, t.tries, t.command)
	}
	return &verb.ExitError{Code: 1}
}

// buffer is a file in memory that is written by one try and then read as a whole.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write adds p.
func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// Read is for the interpreter's idea of a file; nobody reads a buffer in this way.
func (b *buffer) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Read(p)
}

// Close does nothing: the buffer outlives the try that wrote it.
func (b *buffer) Close() error { return nil }

// take empties the buffer and gives what it held.
func (b *buffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.text.String()
	b.text.Reset()
	return text
}
