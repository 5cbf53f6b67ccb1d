package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/dpesim/dpesim/scenarios/verb"
)

// shell is the one shell of a run, or of what is pasted.
type shell struct {
	o      Options
	runner *interp.Runner
	stdin  *os.File          // empty
	say    func(line string) // tells what is said

	brief atomic.Bool // a look is taken in advance: waits look once, and nothing is said

	mu     sync.Mutex
	trials map[string]*trial                  // eventually and consistently that are under way, by id
	jobs   map[string]context.CancelCauseFunc // what was begun in the background, by the number that "$!" gives
	newest context.CancelCauseFunc            // of the job that has no number yet
	nextID int
}

// inherited are the variables of this process that a scenario's programs need to start at all. Everything else comes
// from Options.Env, so that a scenario does the same on everybody's machine.
var inherited = []string{"PATH", "TMPDIR", "TMP", "TEMP", "SystemRoot", "ComSpec", "PATHEXT"}

// atHome gives o with a home in the working directory: tools keep their caches and logins there, not in the person's.
func atHome(o Options) (Options, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, err
	}
	home := filepath.Join(dir, ".home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return o, err
	}
	env := map[string]string{"HOME": home, "USERPROFILE": home, "APPDATA": home, "LOCALAPPDATA": home}
	maps.Copy(env, o.Env)
	o.Env = env
	return o, nil
}

// newShell gives a shell with these streams, of which the writers are safe for concurrent use.
func newShell(o Options, streams Streams, say func(line string)) (*shell, error) {
	sh := &shell{say: say, trials: map[string]*trial{}, jobs: map[string]context.CancelCauseFunc{}}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	o.Dir = dir
	sh.o = o
	for name := range o.Verbs {
		if slices.Contains(ownWords, name) || interp.IsBuiltin(name) {
			return nil, fmt.Errorf("the word %q belongs to the shell and cannot be a verb", name)
		}
	}
	if sh.stdin, err = os.Open(os.DevNull); err != nil {
		return nil, err
	}
	if streams.In == nil {
		streams.In = sh.stdin
	}
	sh.runner, err = interp.New(
		interp.Dir(dir),
		interp.Env(expand.ListEnviron(environment(o)...)),
		interp.StdIO(streams.In, streams.Out, streams.Err),
		interp.Params("-e", "-u", "-o", "pipefail"),
		interp.CallHandler(sh.rewrite),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return sh.exec }),
		interp.OpenHandler(sh.open),
	)
	if err != nil {
		return nil, errors.Join(err, sh.stdin.Close())
	}
	return sh, nil
}

// close gives back what the shell holds; nothing runs in it any more.
func (sh *shell) close() { _ = sh.stdin.Close() }

func environment(o Options) []string {
	env := map[string]string{}
	for _, name := range inherited {
		if v, ok := os.LookupEnv(name); ok {
			env[name] = v
		}
	}
	maps.Copy(env, o.Env)
	list := make([]string, 0, len(env))
	for name, v := range env {
		list = append(list, name+"="+v)
	}
	return list
}

// run runs statements. Each must succeed; "exit 0" ends them well. It gives the line of the statement that did not.
func (sh *shell) run(ctx context.Context, stmts []*syntax.Stmt) (line int, err error) {
	for _, stmt := range stmts {
		line := int(stmt.Pos().Line())
		err := sh.statement(ctx, stmt)
		exited := sh.runner.Exited()
		if ctx.Err() != nil {
			return line, ctx.Err()
		}
		if status, ok := errors.AsType[interp.ExitStatus](err); ok {
			return line, &CommandError{Command: sh.o.Conceal(source(stmt)), Code: int(status)}
		}
		if err != nil {
			return line, err
		}
		if exited {
			break
		}
	}
	return 0, nil
}

// so tells whether all statements succeed now. They run in a subshell, which changes no variable, without a word but what they print;
// waits look once.
func (sh *shell) so(ctx context.Context, stmts []*syntax.Stmt, printed io.Writer) (bool, error) {
	sh.brief.Store(true)
	defer sh.brief.Store(false)
	sub := sh.runner.Subshell()
	if err := interp.StdIO(sh.stdin, printed, io.Discard)(sub); err != nil {
		return false, err
	}
	for _, stmt := range stmts {
		err := sub.Run(ctx, stmt)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if _, failed := errors.AsType[interp.ExitStatus](err); failed {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if sub.Exited() {
			break
		}
	}
	return true, nil
}

func source(stmt *syntax.Stmt) string {
	var b strings.Builder
	if err := syntax.NewPrinter().Print(&b, stmt); err != nil {
		return "(a command that cannot be shown)"
	}
	return b.String()
}

// wait waits for the background jobs, whose context has ended.
func (sh *shell) wait(ctx context.Context) {
	file, err := syntax.NewParser().Parse(strings.NewReader("wait"), "")
	if err != nil {
		return // "wait" parses
	}
	_ = sh.runner.Run(ctx, file.Stmts[0]) // always ends with 0
}

// exec runs a word that is neither a function nor built into the interpreter.
func (sh *shell) exec(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	c := verb.Call{Args: args[1:], Stdin: hc.Stdin, Stdout: hc.Stdout, Stderr: hc.Stderr, Dir: hc.Dir}
	c.Env, c.Program = exported(hc.Env), sh.o.Pace.Program
	around := ctx
	if end, ok := endOf(hc.Env); ok {
		var cancel context.CancelFunc
		ctx, cancel = sh.o.Clock.WithTimeout(ctx, end.Sub(sh.o.Clock.Now()))
		defer cancel()
	}
	var err error
	switch args[0] {
	case "say":
		for line := range strings.SplitSeq(strings.Join(c.Args, " "), "\n") {
			if !sh.brief.Load() {
				sh.say(line)
			}
		}
	case "sleep":
		err = refuse(c, "sleep", "a scenario does not wait by the clock: use eventually DURATION COMMAND, which looks again at each event")
	case "record":
		err = sh.record(ctx, c)
	case killWord:
		err = sh.kill(ctx, c)
	case jobWord:
		err = sh.job(c)
	case trialWord:
		err = sh.trialStep(ctx, c, hc.LastExitStatus)
	default:
		err = sh.call(ctx, args[0], c)
	}
	if err == nil {
		return nil
	}
	if status, ok := ended(around); ok {
		return status
	}
	if around.Err() != nil {
		return around.Err()
	}
	if ctx.Err() != nil {
		fmt.Fprintf(c.Stderr, "within: %s was cut off, the time is over\n", args[0])
		return interp.ExitStatus(cutOff)
	}
	return interp.ExitStatus(min(max(verb.ExitCode(err), 1), 255))
}

// exported gives the variables that a shell hands to a program. A name comes again when an inner scope changed it.
func exported(env expand.Environ) []string {
	vars := map[string]string{}
	for name, v := range env.Each {
		if v.IsSet() && v.Exported && v.Kind == expand.String {
			vars[name] = v.String()
		} else {
			delete(vars, name)
		}
	}
	list := make([]string, 0, len(vars))
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		list = append(list, name+"="+vars[name])
	}
	return list
}

// refuse says on the call's Stderr why a word will not run; exit code 2 as for wrong usage.
func refuse(c verb.Call, word, format string, args ...any) error {
	fmt.Fprintf(c.Stderr, "%s: %s\n", word, fmt.Sprintf(format, args...))
	return &verb.ExitError{Code: 2}
}

// call runs a verb or a program. An error that is no exit code is said on the call's Stderr.
func (sh *shell) call(ctx context.Context, word string, c verb.Call) error {
	v, ok := sh.o.Verbs[word]
	if !ok {
		if sh.o.NoExec {
			fmt.Fprintf(c.Stderr, "%s: no such word; no programs run here, there are %s\n", word,
				strings.Join(slices.Sorted(maps.Keys(sh.o.Verbs)), ", "))
			return &verb.ExitError{Code: 127}
		}
		path, err := interp.LookPathDir(c.Dir, expand.ListEnviron(c.Env...), word)
		if err != nil {
			fmt.Fprintf(c.Stderr, "%s: no such word, and no such program on PATH\n", word)
			return &verb.ExitError{Code: 127}
		}
		v = verb.Program(path, word)
	}
	err := v(ctx, c)
	if _, exit := errors.AsType[*verb.ExitError](err); err != nil && !exit && ctx.Err() == nil {
		fmt.Fprintf(c.Stderr, "%s: %v\n", word, err)
	}
	return err
}

// open opens the files of redirections: the buffers of a trial, else what lies on the disk.
func (sh *shell) open(ctx context.Context, path string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	if id, ok := strings.CutPrefix(path, trialOut); ok {
		if t := sh.trial(id); t != nil {
			t.out.take()
			return &t.out, nil
		}
	}
	if id, ok := strings.CutPrefix(path, trialErr); ok {
		if t := sh.trial(id); t != nil {
			t.err.take()
			return &t.err, nil
		}
	}
	return interp.DefaultOpenHandler()(ctx, path, flag, perm)
}
