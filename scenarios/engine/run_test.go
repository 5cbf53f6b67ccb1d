package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/scenarios/verb"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/event"
)

// parsed gives a scenario of the body, whose first line is line 4 of the file; ~~~ stands for a fence.
func parsed(t *testing.T, body ...string) *engine.Scenario {
	t.Helper()
	s, err := engine.Parse("test.md", md(append([]string{"---", "title: T", "---"}, body...)...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// script is a scenario of one step with one fence; its first command is on line 6.
func script(t *testing.T, kind string, lines ...string) *engine.Scenario {
	t.Helper()
	return parsed(t, append(append([]string{"## Step", "~~~sh " + kind}, lines...), "~~~")...)
}

// record is a Reporter that keeps what it is told.
type record struct {
	started  []engine.StepStarted
	finished []engine.StepFinished
	end      engine.ScenarioFinished
}

func (r *record) ScenarioStarted(engine.ScenarioStarted)     {}
func (r *record) StepStarted(e engine.StepStarted)           { r.started = append(r.started, e) }
func (r *record) StepFinished(e engine.StepFinished)         { r.finished = append(r.finished, e) }
func (r *record) ScenarioFinished(e engine.ScenarioFinished) { r.end = e }
func (r *record) output(i int) string                        { return r.finished[i].Output }

// play runs s with the verbs echoargs, cat, code and env in a fresh directory, without programs.
func play(t *testing.T, s *engine.Scenario, o engine.Options) (*record, error) {
	t.Helper()
	r := &record{}
	o.Report, o.NoExec = r, true
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	verbs := map[string]verb.Verb{
		"args": func(_ context.Context, c verb.Call) error {
			_, err := fmt.Fprintf(c.Stdout, "%q\n", c.Args)
			return err
		},
		"cat": func(_ context.Context, c verb.Call) error {
			in := c.Stdin
			if len(c.Args) > 0 {
				text, err := os.ReadFile(filepath.Join(c.Dir, c.Args[0]))
				if err != nil {
					return err
				}
				in = bytes.NewReader(text)
			}
			_, err := io.Copy(c.Stdout, in)
			return err
		},
		"code": func(_ context.Context, c verb.Call) error {
			var code int
			if _, err := fmt.Sscan(c.Args[0], &code); err != nil {
				return err
			}
			fmt.Fprintln(c.Stderr, "as told")
			return &verb.ExitError{Code: code}
		},
		"getenv": func(_ context.Context, c verb.Call) error {
			_, err := fmt.Fprintln(c.Stdout, c.Getenv(c.Args[0]))
			return err
		},
		"fail": func(context.Context, verb.Call) error {
			return sim.Errorf(sim.Conflict, "it is taken")
		},
	}
	maps.Copy(verbs, o.Verbs)
	o.Verbs = verbs
	err := engine.Run(t.Context(), s, o)
	if (r.end.Err == nil) != (err == nil) {
		t.Errorf("the reporter was told %v, Run returned %v", r.end.Err, err)
	}
	return r, err
}

// stepError wants err to be a StepError at a line and gives it.
func stepError(t *testing.T, err error, line int) *engine.StepError {
	t.Helper()
	e, ok := errors.AsType[*engine.StepError](err)
	if !ok {
		t.Fatalf("got %v, want a StepError", err)
	}
	if e.Line != line {
		t.Errorf("got %v, want line %d", e, line)
	}
	return e
}

func TestProveWantsEachCheckRedBeforeTheStepIsSolved(t *testing.T) {
	t.Parallel()
	good := []string{
		"## Good", "~~~sh run", "n=1", "~~~", "~~~sh solve", "n=2", "~~~", "~~~sh solve", "m=1", "~~~",
		"~~~sh check", "n=$((n)); eventually 9h test $n = 2", "say two", "test $m = 1", "~~~", "~~~sh check", "consistently 1ms test $n = 2", "~~~",
		"## Without solve", "~~~sh run", "n=3", "~~~", "~~~sh check", "test $n = 3", "~~~",
	}
	for _, x := range []struct {
		body []string
		line int
	}{
		{good, 0},
		{append(good, "## Bad", "~~~sh check", "test $n = 3", "~~~", "~~~sh solve", "n=4", "~~~"), 30},
		{append(good, "## Bad", "~~~sh check", "exit 0", "~~~", "~~~sh solve", "n=4", "~~~"), 30},
	} {
		s := parsed(t, x.body...)
		if _, err := play(t, s, engine.Options{}); err != nil {
			t.Errorf("unproven: %v", err)
		}
		r, err := play(t, s, engine.Options{Prove: true})
		if x.line > 0 {
			if e := stepError(t, err, x.line); !strings.Contains(e.Error(), "this check is green before the step is solved: it proves nothing") {
				t.Error(e)
			}
		} else if err != nil {
			t.Error(err)
		}
		if said := r.finished[0].Said; len(said) != 1 || r.output(0) != "" {
			t.Errorf("said %q, printed %q", said, r.output(0))
		}
	}
}

func TestAGuardIsLookedAtFirstAndKeepsItsStepFromBeginning(t *testing.T) {
	t.Parallel()
	s := parsed(t,
		"## One", "~~~sh solve", "args solved", "~~~", "~~~sh check", "args checked", "~~~", "~~~sh guard", "args guarded", "~~~",
		"~~~text hint", "never printed", "~~~",
		"## Two", "~~~sh run", "args run", "~~~", "~~~sh guard", "code 3", "~~~")
	r, err := play(t, s, engine.Options{})
	e := stepError(t, err, 22)
	if guard, ok := errors.AsType[*engine.GuardError](e.Err); !ok || guard.Error() != "the step was not begun, its guard does not hold: exit status 3: code 3" {
		t.Errorf("got %v", e)
	}
	if want := "[\"guarded\"]\n[\"solved\"]\n[\"checked\"]\n"; r.output(0) != want || strings.Contains(r.output(1), "run") {
		t.Errorf("got %q, then %q", r.output(0), r.output(1))
	}
}

func TestVariablesFunctionsAndDirectoryLastFromFenceToFence(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	r, err := play(t, parsed(t,
		"## One", "~~~sh run", "x='a b'; export Y=exported", "greet() { args hello \"$1\"; }", "cd sub", "~~~",
		"## Two", "~~~sh check", `test "$x" = "a b"`, "greet you", `test "${PWD##*/}" = sub`, "getenv Y", "getenv x", "getenv GIVEN", "args > out.txt", "~~~",
	), engine.Options{Dir: dir, Env: map[string]string{"GIVEN": "given"}})
	if err != nil {
		t.Fatal(err, r.output(len(r.finished)-1))
	}
	if got, want := r.output(1), "[\"hello\" \"you\"]\nexported\n\ngiven\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "sub", "out.txt")); err != nil {
		t.Error(err)
	}
}

func TestPipesRedirectionsAndSubstitutionReachVerbs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, err := play(t, script(t, "run",
		"echo one | cat > a.txt",
		"cat < a.txt >> b.txt",
		"got=$(cat b.txt; code 3 2>/dev/null || echo \"code $?\")",
		`test "$got" = "one`, `code 3"`,
		"cat <<END | cat", "here $got", "END",
	), engine.Options{Dir: dir})
	if err != nil {
		t.Fatal(err, r.output(0))
	}
	if got, want := r.output(0), "here one\ncode 3\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "b.txt")); err != nil || string(text) != "one\n" {
		t.Errorf("b.txt: %q, %v", text, err)
	}
}

func TestAFailingCommandFailsTheFenceAtItsLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		lines  []string
		line   int // the first of lines is 6
		code   int
		output string
	}{
		{"verb", []string{"echo before", "code 7", "echo after"}, 7, 7, "before\nas told\n"},
		{"not an exit error", []string{"fail"}, 6, 1, "fail: it is taken\n"},
		{"builtin", []string{"", "test a = b"}, 7, 1, ""},
		{"in a function", []string{"f() { code 5; echo not reached; }", "f"}, 7, 5, "as told\n"},
		{"in a pipe", []string{"code 4 | cat"}, 6, 4, "as told\n"},
		{"in a substitution", []string{"x=$(code 6)"}, 6, 6, "as told\n"},
		{"negated", []string{"! echo a"}, 6, 1, "a\n"},
		{"exit", []string{"exit 9"}, 6, 9, ""},
		{"unknown word", []string{"nosuch"}, 6, 127, "nosuch: no such word; no programs run here, there are args, cat, code, fail, getenv\n"},
		{"sleep", []string{"sleep 1"}, 6, 2, "sleep: a scenario does not wait by the clock: use eventually DURATION COMMAND, which looks again at each event\n"},
		{"unset variable", []string{"echo $nosuch"}, 6, 1, "nosuch: unbound variable\n"},
		{"usage of eventually", []string{"eventually soon true"}, 6, 2, "eventually: \"soon\" is no duration like 30s; usage: eventually DURATION COMMAND [ARG...]\n"},
		{"usage of record", []string{"record a b"}, 6, 2, "record: usage: record FILE WATCHER [ARG...] -- COMMAND [ARG...]\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range []string{"run", "check", "solve"} {
				r, err := play(t, script(t, kind, tt.lines...), engine.Options{})
				e := stepError(t, err, tt.line)
				c, ok := errors.AsType[*engine.CommandError](err)
				if !ok || c.Code != tt.code || e.Step != "Step" || e.File != "test.md" {
					t.Errorf("%s: got %v, want exit status %d", kind, err, tt.code)
				}
				if got := r.output(0); got != tt.output {
					t.Errorf("%s: got output %q, want %q", kind, got, tt.output)
				}
			}
		})
	}
}

func TestWhatMayFailDoesNotFailTheFence(t *testing.T) {
	t.Parallel()
	r, err := play(t, script(t, "check",
		"! code 1", "code 2 || true", "if code 3; then exit 1; fi", "exit 0", "code 4"), engine.Options{})
	if err != nil {
		t.Error(err, r.output(0))
	}
}

func TestTheFirstFailingStepEndsTheRun(t *testing.T) {
	t.Parallel()
	r, err := play(t, parsed(t,
		"## One", "~~~sh run", "say it is", "say \"so  far\"", "echo quiet", "~~~",
		"## Two", "~~~sh run", "code 1", "~~~",
		"## Three", "~~~sh run", "echo", "~~~"), engine.Options{})
	if e := stepError(t, err, 12); e.Step != "Two" {
		t.Errorf("got step %q", e.Step)
	}
	if len(r.finished) != 2 || r.finished[0].Err != nil || r.finished[1].Err == nil || r.end.Steps != 1 {
		t.Errorf("got %+v", r)
	}
	if got := strings.Join(r.finished[0].Said, "|"); got != "it is|so  far" {
		t.Errorf("said %q", got)
	}
}

func TestFinallyRunsTheBegunStepsLastFirst(t *testing.T) {
	t.Parallel()
	s := parsed(t,
		"## One", "~~~sh finally", "say one", "~~~",
		"## Two", "~~~sh finally", "code 3", "~~~", "~~~sh run", "code 1", "~~~",
		"## Three", "~~~sh finally", "say three", "~~~")
	r, err := play(t, s, engine.Options{})
	if e := stepError(t, err, 13); e.Step != "Two" {
		t.Errorf("the run's own failure is hidden by %v", err)
	}
	var got []string
	for _, f := range r.finished {
		got = append(got, fmt.Sprintf("%s finally=%t ok=%t", f.Name, f.Finally, f.Err == nil))
	}
	want := []string{"One finally=false ok=true", "Two finally=false ok=false", "Two finally=true ok=false", "One finally=true ok=true"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	r, err = play(t, parsed(t, "## One", "~~~sh finally", "code 3", "~~~"), engine.Options{})
	stepError(t, err, 6)
	if r.end.Steps != 1 {
		t.Errorf("got %d good steps", r.end.Steps)
	}
}

func TestFilesLieInTheWorkingDirectoryBeforeTheStepRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, err := play(t, parsed(t,
		"## One", "~~~sh run", "cat deep/er/a.yaml", "! cat b.csv", "~~~", "~~~yaml file=deep/er/a.yaml", "a: 1", "~~~",
		"## Two", "~~~csv file=b.csv", "x,y", "~~~", "~~~yaml file=deep/er/a.yaml", "a: 2", "~~~", "~~~sh run", "cat b.csv", "cat deep/er/a.yaml", "~~~",
	), engine.Options{Dir: dir})
	if err != nil {
		t.Fatal(err, r.output(0))
	}
	if got := r.output(1); got != "x,y\na: 2\n" {
		t.Errorf("got %q", got)
	}
}

func TestAFileFenceDoesNotFollowALinkOut(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), t.TempDir()
	if err := os.Symlink(out, filepath.Join(dir, "link")); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	_, err := play(t, parsed(t, "## One", "~~~yaml file=link/a", "a", "~~~"), engine.Options{Dir: dir})
	stepError(t, err, 5)
	if files, _ := os.ReadDir(out); len(files) > 0 {
		t.Errorf("it wrote %v", files)
	}
}

func TestEventuallyLooksAgainAtEachEvent(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) // time never passes: only events wake it
	bus := event.New(c, 0)
	var looks atomic.Int32
	ready := func(ctx context.Context, c verb.Call) error {
		n := looks.Add(1)
		fmt.Fprintf(c.Stdout, "look %d\n", n)
		fmt.Fprintf(c.Stderr, "warning %d\n", n)
		if n < 4 {
			bus.Publish(ctx, sim.Event{What: "changed"}) // while it looks: must not be missed
			return &verb.ExitError{Code: 1}
		}
		return nil
	}
	r, err := play(t, script(t, "check",
		"is() { false_until=1; ready; test $# = 2; }",
		`got=$(eventually 30s is a 'b  c' 2>/dev/null)`,
		`test "$got" = "look 4"`,
		"eventually 1s test a = a",
	), engine.Options{Clock: c, Bus: bus, Verbs: map[string]verb.Verb{"ready": ready}})
	if err != nil {
		t.Fatal(err, r.output(0))
	}
	if looks.Load() != 4 {
		t.Errorf("looked %d times", looks.Load())
	}
}

// moving gives a clock that moves, each time when everything else in the bubble waits, until it is stopped: no time passes
// while a command runs.
func moving(t *testing.T) (c *clock.Clock, stop func()) {
	t.Helper()
	c = clock.NewFrozen(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			synctest.Wait()
			if err := c.Advance(ctx, 100*time.Millisecond); err != nil {
				return
			}
		}
	})
	return c, func() {
		cancel()
		wg.Wait()
	}
}

func TestWithAVirtualClockWaitsTakeNoTime(t *testing.T) { // not parallel: nothing else must run in the process
	c := clock.New()
	began := c.Now()
	late := func(context.Context, verb.Call) error {
		if c.Now().Sub(began) < 90*time.Minute {
			return &verb.ExitError{Code: 1}
		}
		return nil
	}
	s, err := engine.Parse("test.md", md("---", "title: T", "clock: virtual", "---", "## Step", "~~~sh check", "eventually 2h late", "consistently 1h late", "~~~"))
	if err != nil {
		t.Fatal(err)
	}
	limited, cancel := clock.New().WithTimeout(t.Context(), time.Minute) // by the machine
	defer cancel()
	r := &record{}
	if err := engine.Run(limited, s, engine.Options{Dir: t.TempDir(), Clock: c, Verbs: map[string]verb.Verb{"late": late}, Report: r}); err != nil {
		t.Fatal(err)
	}
	if passed := c.Now().Sub(began); passed < 150*time.Minute || passed > 4*time.Hour {
		t.Errorf("%v passed", passed)
	}
}

// What is diagnosed is what the failure left: no time is passed over while somebody looks.
func TestAVirtualClockWaitsForTheDiagnosis(t *testing.T) { // not parallel: nothing else must run in the process
	c := clock.New()
	due := make(chan struct{})
	c.AfterFunc(time.Hour, func() { close(due) })
	s, err := engine.Parse("test.md", md("---", "title: T", "clock: virtual", "---", "## Step", "~~~sh check", "false", "~~~"))
	if err != nil {
		t.Fatal(err)
	}
	err = engine.Run(t.Context(), s, engine.Options{
		Dir: t.TempDir(), Clock: c,
		Diagnose: func(ctx context.Context, _ engine.StepFinished) engine.Diagnosis {
			short, cancel := clock.New().WithTimeout(ctx, 200*time.Millisecond) // by the machine
			defer cancel()
			select {
			case <-due:
				t.Error("an hour has passed meanwhile")
			case <-short.Done():
			}
			return engine.Diagnosis{}
		},
	})
	stepError(t, err, 7)
}

func TestEventuallyFailsWithTheLastOutputWhenItsProductTimeIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, stop := moving(t)
		began := c.Now()
		n := 0
		never := func(_ context.Context, c verb.Call) error {
			n++
			fmt.Fprintf(c.Stdout, "state\n%d\n", n/20)
			return &verb.ExitError{Code: 8}
		}
		r, err := play(t, script(t, "check", "never_() { never; true; }", "eventually 2m never_ x"),
			engine.Options{Clock: c, Verbs: map[string]verb.Verb{"never": never}})
		stop()
		stepError(t, err, 7)
		if passed := c.Now().Sub(began); passed < 2*time.Minute {
			t.Errorf("it gave up after %s", passed)
		}
		want := "state\n2\neventually: not so within 2m0s, looked 50 times, the last ended with exit status 8: never_ x\n" +
			"what it printed, and when that changed:\n       +0s  state 0\n    +19.3s  state 1\n   +1m6.6s  state 2\n"
		if got := r.output(0); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestWhatAWaitSawIsToldInPart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, stop := moving(t)
		defer stop()
		n := 0
		count := func(_ context.Context, c verb.Call) error {
			n++
			fmt.Fprintln(c.Stdout, n)
			return &verb.ExitError{Code: 1}
		}
		r, err := play(t, script(t, "check", "! eventually 20s count", "! consistently 1s false", "n() { eventually 1s false; }; n || true", "eventually 20s count"), engine.Options{Clock: c, Verbs: map[string]verb.Verb{"count": count}})
		stepError(t, err, 9)
		if got := r.output(0); !strings.Contains(got, "      +5s  6\n  (9 more changes)\n      +15s  16\n") {
			t.Errorf("got %q", got)
		}
	})
}

func TestWithinCutsOffWhatTakesLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, stop := moving(t)
		defer stop()
		hang := func(ctx context.Context, _ verb.Call) error {
			<-ctx.Done()
			return ctx.Err()
		}
		began := c.Now()
		r, err := play(t, script(t, "run",
			"long() { args in time; hang; args never; }",
			"within 1m args 'b  c'",
			"within 1m test a = a",
			`env=$(within 1m getenv scenario_within); test "$env" = ""`,
			"within 1h within 10s long || test $? = 124",
			"! within 10s eventually 1h long",
			"within 20s within 1h hang",
		), engine.Options{Clock: c, Verbs: map[string]verb.Verb{"hang": hang}})
		e := stepError(t, err, 12)
		if command, ok := errors.AsType[*engine.CommandError](e); !ok || command.Code != 124 {
			t.Errorf("got %v", err)
		}
		if passed := c.Now().Sub(began); passed < 40*time.Second || passed > 42*time.Second {
			t.Errorf("it took %s", passed)
		}
		if got := r.output(0); !strings.HasPrefix(got, "[\"b  c\"]\n[\"in\" \"time\"]\nwithin: hang was cut off, the time is over\n") || strings.Contains(got, "never") {
			t.Errorf("got %q", got)
		}
	})
}

func TestConsistentlyHoldsOrFailsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, stop := moving(t)
		defer stop()
		n := 0
		thrice := func(_ context.Context, c verb.Call) error {
			n++
			fmt.Fprintf(c.Stdout, "state %d\n", n)
			if n > 3 {
				return &verb.ExitError{Code: 1}
			}
			return nil
		}
		r, err := play(t, script(t, "check", "consistently 1m echo fine", "consistently 1h thrice"),
			engine.Options{Clock: c, Verbs: map[string]verb.Verb{"thrice": thrice}})
		stepError(t, err, 7)
		want := "fine\nstate 4\nconsistently: no longer so within 1h0m0s, after it had held 3 times: thrice\n"
		if got := r.output(0); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestRecordWritesWhatAWatcherSeesWhileACommandRuns(t *testing.T) {
	t.Parallel()
	change, seen := make(chan string), make(chan struct{})
	verbs := map[string]verb.Verb{
		"watch": func(ctx context.Context, c verb.Call) error {
			fmt.Fprintln(c.Stdout, "first", c.Args)
			for {
				select {
				case s := <-change:
					fmt.Fprintln(c.Stdout, s)
					seen <- struct{}{}
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		},
		"roll": func(_ context.Context, c verb.Call) error {
			for _, s := range c.Args {
				change <- s
				<-seen
			}
			return nil
		},
		"quit": func(_ context.Context, c verb.Call) error {
			fmt.Fprintln(c.Stdout, "bye")
			return nil
		},
		"dead": func(context.Context, verb.Call) error { return nil },
	}
	r, err := play(t, script(t, "check", "record seen.txt watch a -- roll x y", "cat seen.txt", "! record other.txt watch -- code 3", "record none.txt dead -- args"),
		engine.Options{Verbs: verbs})
	stepError(t, err, 9)
	want := "first [a]\nx\ny\nas told\nrecord: dead ended (<nil>) before it printed anything; args was not started\n"
	if got := r.output(0); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRecordLeavesOutWhatIsNotWhole(t *testing.T) {
	t.Parallel()
	verbs := map[string]verb.Verb{
		"watch": func(ctx context.Context, c verb.Call) error {
			fmt.Fprint(c.Stdout, strings.ReplaceAll(c.Args[0], "_", "\n"))
			<-ctx.Done()
			return ctx.Err()
		},
		"roll": func(context.Context, verb.Call) error { return nil },
	}
	var lines, want []string
	for recorded, left := range map[string]string{
		`{_"a":1_}_{_"b":2_}_`: "{\n\"a\":1\n}\n{\n\"b\":2\n}\n",
		`{_"a":1_}_{_"b":2_}`:  "{\n\"a\":1\n}\n{\n\"b\":2\n}",
		`{_"a":1_}_{_"b":`:     "{\n\"a\":1\n}",
		`{_"a`:                 "",
		"one_two_thr":          "one\ntwo\n",
		"one_{two}_":           "one\n{two}\n",
	} {
		lines = append(lines, "record seen.txt watch '"+recorded+"' -- roll", "cat seen.txt", "echo '|'")
		want = append(want, left+"|\n")
	}
	r, err := play(t, script(t, "check", lines...), engine.Options{Verbs: verbs})
	if got, want := r.output(0), strings.Join(want, ""); err != nil || got != want {
		t.Errorf("%v: got %q, want %q", err, got, want)
	}
}

func TestKillEndsAJobInTheBackground(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	causes := map[string]error{}
	up := make(chan struct{}, 1)
	hang := func(ctx context.Context, c verb.Call) error {
		up <- struct{}{}
		<-ctx.Done()
		mu.Lock()
		defer mu.Unlock()
		causes[c.Args[0]] = context.Cause(ctx)
		return ctx.Err()
	}
	begun := func(context.Context, verb.Call) error { <-up; return nil }
	r, err := play(t, script(t, "run",
		"hang killed &", "one=$!", "begun",
		"{ hang interrupted; args never; } &", "begun",
		"kill -9 $one", "wait $one || test $? = 137",
		"kill $!", "wait $! || test $? = 130",
		"hang left &", "begun",
		"! kill -9 g7", "! kill", "! kill -STOP $!", "! kill -9 4711",
	), engine.Options{Verbs: map[string]verb.Verb{"hang": hang, "begun": begun}})
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !errors.Is(causes["killed"], verb.ErrKilled) || causes["interrupted"] == nil || errors.Is(causes["interrupted"], verb.ErrKilled) || !errors.Is(causes["left"], context.Canceled) {
		t.Errorf("they ended by %v", causes)
	}
	want := "kill: there is no job g7\nkill: usage: kill [-INT|-TERM|-KILL] JOB, where JOB is what $! gave\n" +
		"kill: -STOP is no signal that is known here: use -INT, -TERM or -KILL\nkill: no such word; no programs run here"
	if got := r.output(0); !strings.HasPrefix(got, want) {
		t.Errorf("got %s", got)
	}
}

func TestCancelRunsFinallyAndGivesTheContextsError(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begun, ended := make(chan struct{}), make(chan struct{})
	verbs := map[string]verb.Verb{
		"daemon": func(ctx context.Context, _ verb.Call) error {
			close(begun)
			defer close(ended)
			<-ctx.Done()
			return ctx.Err()
		},
		"hang": func(ctx context.Context, _ verb.Call) error {
			<-begun
			cancel()
			<-ctx.Done()
			return ctx.Err()
		},
		"alive": func(ctx context.Context, _ verb.Call) error {
			<-ended // background jobs end before the clean-up
			return ctx.Err()
		},
	}
	r := &record{}
	err := engine.Run(ctx, parsed(t,
		"## One", "~~~sh finally", "alive", "say \"cleaned $x\"", "~~~", "~~~sh run", "x=1", "daemon &", "f() { hang || true; x=2; }", "f", "x=3", "~~~",
		"## Two", "~~~sh run", "echo", "~~~",
	), engine.Options{Dir: t.TempDir(), Verbs: verbs, Report: r})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if len(r.finished) != 2 || !r.finished[1].Finally || r.finished[1].Err != nil || strings.Join(r.finished[1].Said, "") != "cleaned 1" {
		t.Errorf("got %+v", r.finished)
	}
}

func TestProgramsOnPathRunUnlessRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := script(t, "run", `cd /; `+`"$EXE" -test.list=TestProgramsOnPath`)
	if err := engine.Run(t.Context(), s, engine.Options{Dir: dir, Env: map[string]string{"EXE": filepath.ToSlash(exe)}}); err != nil {
		t.Error(err)
	}
	err = engine.Run(t.Context(), s, engine.Options{Dir: dir, Env: map[string]string{"EXE": exe}, NoExec: true})
	stepError(t, err, 6)
}

func TestAVerbCannotTakeAShellsWord(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"eventually", "say", "echo"} {
		err := engine.Run(t.Context(), script(t, "run", "true"), engine.Options{
			Dir: t.TempDir(), Verbs: map[string]verb.Verb{word: func(context.Context, verb.Call) error { return nil }},
		})
		if err == nil {
			t.Errorf("%s was taken", word)
		}
	}
}

// A diagnosis is of the first step that failed, with its events, and before anything is cleaned up.
func TestDiagnosisComesBeforeTheCleanUp(t *testing.T) {
	t.Parallel()
	bus := event.New(clock.New(), 0)
	s := parsed(t, "## Good", "~~~sh run", "tell one", "~~~", "~~~sh finally", "tell cleaned", "false", "~~~", "## Bad", "~~~sh run", "tell two", "false", "~~~")
	var asked []engine.StepFinished
	r, err := play(t, s, engine.Options{
		Bus: bus,
		Verbs: map[string]verb.Verb{"tell": func(ctx context.Context, c verb.Call) error {
			bus.Publish(ctx, sim.Event{What: c.Args[0]})
			return nil
		}},
		Diagnose: func(ctx context.Context, e engine.StepFinished) engine.Diagnosis {
			asked = append(asked, e)
			if all := bus.Since(0); all[len(all)-1].What != "two" {
				t.Errorf("it comes after %v", all)
			}
			return engine.Diagnosis{Clues: []engine.Clue{{Title: "clue"}}}
		},
	})
	stepError(t, err, 15)
	if len(asked) != 1 || asked[0].Name != "Bad" || asked[0].Err == nil || len(asked[0].Events) != 1 || asked[0].Events[0].What != "two" {
		t.Errorf("asked of %+v", asked)
	}
	var clues []int
	for _, e := range r.finished {
		clues = append(clues, len(e.Clues))
	}
	if diff := cmp.Diff([]int{0, 1, 0}, clues); diff != "" {
		t.Error(diff)
	}
}

// A run whose time is over is diagnosed; one that a person ended is not.
func TestDiagnosisOfWhatWasEnded(t *testing.T) {
	t.Parallel()
	for cause, want := range map[error]int{context.DeadlineExceeded: 1, context.Canceled: 0} {
		ctx, end := context.WithCancelCause(t.Context())
		asked := 0
		err := engine.Run(ctx, script(t, "run", "hang"), engine.Options{
			Dir: t.TempDir(),
			Verbs: map[string]verb.Verb{"hang": func(ctx context.Context, _ verb.Call) error {
				end(cause)
				<-ctx.Done()
				return ctx.Err()
			}},
			Diagnose: func(ctx context.Context, _ engine.StepFinished) engine.Diagnosis {
				asked++
				if ctx.Err() != nil {
					t.Errorf("%v: there is no time to look", cause)
				}
				return engine.Diagnosis{}
			},
		})
		if err == nil || asked != want {
			t.Errorf("%v: asked %d times, %v", cause, asked, err)
		}
	}
}

// A secret is in nothing that is reported, wherever it is printed, also where only a part of what was printed is kept.
func TestSecretsAreInNothingThatIsReported(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat("s3cret", 60)
	r, err := play(t, script(t, "check", "long", "say is $(secret)", "secret", "eventually 1ms refuse"), engine.Options{
		Conceal: func(text string) string { return strings.ReplaceAll(text, secret, "[hidden]") },
		Verbs: map[string]verb.Verb{
			"secret": func(_ context.Context, c verb.Call) error {
				_, err := fmt.Fprintln(c.Stdout, secret)
				return err
			},
			"refuse": func(_ context.Context, c verb.Call) error {
				fmt.Fprintln(c.Stderr, "never", secret)
				return &verb.ExitError{Code: 1}
			},
			"long": func(_ context.Context, c verb.Call) error {
				for range 3 << 20 / len(secret) {
					fmt.Fprint(c.Stdout, secret)
				}
				return nil
			},
		},
		Diagnose: func(context.Context, engine.StepFinished) engine.Diagnosis {
			return engine.Diagnosis{Clues: []engine.Clue{{Title: "log", Text: "token=" + secret}}}
		},
	})
	stepError(t, err, 9)
	e := r.finished[0]
	all := e.Detail() + strings.Join(e.Said, "\n")
	if strings.Contains(all, "s3cret") || e.Said[0] != "is [hidden]" || e.Clues[0].Text != "token=[hidden]" {
		t.Errorf("it reports %.2000s", strings.ReplaceAll(all, "[hidden]", ""))
	}
}
