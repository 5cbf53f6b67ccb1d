package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/dpesim/dpesim/scenarios/verb"
	"github.com/dpesim/dpesim/sim/event"
)

// eventually and consistently run another command again and again, and that command may be a function or a builtin,
// which a handler cannot call. So [shell.rewrite] turns
//
//	eventually 30s CMD ARG    into    until (CMD ARG) >OUT 2>ERR; do TRIAL again 7 || break; done; TRIAL end 7 && :
//
// before the interpreter runs it: TRIAL is a word of the engine that waits for the next event, and OUT and ERR are its buffers.
// within runs the command once and bounds it: "within 30s CMD" turns into "( BOUND=...; CMD ) && :", and words look at that
// variable, which no program is handed.
//
// In the parentheses a failing command of a function ends it: the interpreter's subshells keep "set -e" even in a
// condition (bash does not). What fails before && does not end the shell by "set -e": whether the whole may fail, negated
// for example, is for the statement to say in which the word stands.

const (
	trialWord = "scenario-trial"            // the engine's word
	trialOut  = "/dev/scenario-trial/out/"  // + id: where the command prints
	trialErr  = "/dev/scenario-trial/err/"  // + id
	usage     = "DURATION COMMAND [ARG...]" // of the three words
	bound     = "scenario_within"           // the variable of within: the product time of its end, in ns since 1970
	cutOff    = 124                         // the exit status of what within cuts off, as that of timeout

	// look is the product time after which a trial looks again though no event came: what changes by time alone is
	// told by nobody. Later it is a share of the time that the trial has taken.
	look, lookShare = time.Second, 16
	// settle is the wall time from an event to the look that it causes: events come in groups.
	settle = 10 * time.Millisecond
)

// ownWords are the words of the engine that are no builtins of the interpreter.
var ownWords = []string{"eventually", "consistently", "within", "say", "sleep", "record", trialWord, killWord, jobWord}

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
	cut      bool // something around it ended before that
	began    time.Time
	seen     []sight // what the tries printed, without repetitions; the last is the latest
	dropped  int     // of seen, in its middle
}

// sight is what a try printed, in one line.
type sight struct {
	after time.Duration // product time since the trial began
	text  string
}

// maxSights bounds what a trial keeps of what it saw.
const maxSights = 12

// note keeps what the last try printed, if that is new.
func (t *trial) note(now time.Time, conceal func(string) string) {
	text := inOneLine(conceal(t.err.String() + t.out.String()))
	if n := len(t.seen); n > 0 && t.seen[n-1].text == text {
		return
	}
	if len(t.seen) == maxSights {
		t.seen = slices.Delete(t.seen, maxSights/2, maxSights/2+1)
		t.dropped++
	}
	t.seen = append(t.seen, sight{now.Sub(t.began), text})
}

// history tells how what was watched changed, "" if it did not.
func (t *trial) history() string {
	if len(t.seen) < 2 {
		return ""
	}
	var b strings.Builder
	b.WriteString("what it printed, and when that changed:\n")
	for i, s := range t.seen {
		if i == maxSights/2 && t.dropped > 0 {
			fmt.Fprintf(&b, "  (%d more changes)\n", t.dropped)
		}
		fmt.Fprintf(&b, "  %8s  %s\n", "+"+s.after.Round(10*time.Millisecond).String(), s.text)
	}
	return b.String()
}

// inOneLine gives text in one line of at most 160 characters.
func inOneLine(text string) string {
	words := strings.Join(strings.Fields(text), " ")
	if words == "" {
		return "(nothing)"
	}
	if r := []rune(words); len(r) > 160 {
		return string(r[:159]) + "…"
	}
	return words
}

// rewrite turns uses of eventually, consistently, within and kill into what the interpreter can run and leaves every other
// call as it is.
func (sh *shell) rewrite(ctx context.Context, args []string) ([]string, error) {
	word := args[0]
	if word == "kill" {
		return append([]string{killWord}, args[1:]...), nil
	}
	if word != "eventually" && word != "consistently" && word != "within" {
		return args, nil
	}
	wrong := func(format string, a ...any) ([]string, error) {
		return []string{trialWord, "usage", word, fmt.Sprintf(format, a...)}, nil
	}
	if len(args) < 3 {
		return wrong("%s %s", word, usage)
	}
	limit, err := time.ParseDuration(args[1])
	if err != nil || limit <= 0 {
		return wrong("%q is no duration like 30s; usage: %s %s", args[1], word, usage)
	}
	var quoted []string
	for _, arg := range args[2:] {
		q, err := syntax.Quote(arg, syntax.LangBash)
		if err != nil {
			return wrong("%v", err)
		}
		quoted = append(quoted, q)
	}
	command, now := strings.Join(quoted, " "), sh.o.Clock.Now()
	if word == "within" {
		end := now.Add(limit)
		if outer, ok := endOf(interp.HandlerCtx(ctx).Env); ok && outer.Before(end) {
			end = outer
		}
		return []string{"eval", fmt.Sprintf("( %s=%d; %s ) && :", bound, end.UnixNano(), command)}, nil
	}
	t := &trial{word: word, command: command, limit: limit, began: now, deadline: now.Add(limit)}
	if sh.brief.Load() {
		t.deadline = now
	}
	t.events = sh.o.Bus.Subscribe(sh.o.Bus.Last())
	id := sh.addTrial(t)
	loop := "until"
	if word == "consistently" {
		loop = "while"
	}
	return []string{"eval", fmt.Sprintf("%s ( %s ) >%s%s 2>%s%[4]s; do %[6]s again %[4]s || break; done; %[6]s end %[4]s && :",
		loop, t.command, trialOut, id, trialErr, trialWord)}, nil
}

// endOf gives the product time at which the within around a call ends, if there is one.
func endOf(env expand.Environ) (time.Time, bool) {
	ns, err := strconv.ParseInt(env.Get(bound).String(), 10, 64)
	return time.Unix(0, ns), err == nil
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
	t.note(sh.o.Clock.Now(), sh.o.Conceal)
	if t.over = !sh.o.Clock.Now().Before(t.deadline); t.over {
		return &verb.ExitError{Code: 1}
	}
	err := sh.nextLook(ctx, t)
	t.cut = err != nil
	return err
}

// nextLook waits for the next event, but no longer than a [look] or the deadline, and subscribes anew: an event that
// comes while the command looks wakes the wait after it.
func (sh *shell) nextLook(ctx context.Context, t *trial) error {
	now := sh.o.Clock.Now()
	short, cancel := sh.o.Clock.WithTimeout(ctx, min(max(look, now.Sub(t.began)/lookShare), t.deadline.Sub(now)))
	defer cancel()
	_, err := t.events.Next(short)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if missed := new(event.MissedError); err == nil || errors.As(err, &missed) {
		release := sh.o.Pace.Hold()
		err := sh.o.Wall.Sleep(ctx, settle)
		release()
		if err != nil {
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
	right := !t.over && !t.cut
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
		fmt.Fprintf(c.Stderr, "eventually: not so within %s, looked %d times, the last ended with exit status %d: %s\n%s",
			t.limit, t.tries, t.status, t.command, t.history())
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

// String gives what the buffer holds.
func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// take empties the buffer and gives what it held.
func (b *buffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.text.String()
	b.text.Reset()
	return text
}
