package verb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// Grace is how long a program may take to end after it was interrupted because its call's context ended; then it is
// killed. Five seconds are enough for helm to write down that an installation was cancelled.
const Grace = 5 * time.Second

// ErrKilled is the cause of a context that ends a program at once, without asking it first: it has no time to write
// anything down.
var ErrKilled = errors.New("killed")

// toolFlag begins the hidden first argument that makes this executable be a tool.
const toolFlag = "-dpesim.tool="

// Helm is the command tree of Helm 4, run in a child process of this executable, which must call [Dispatch].
func Helm(ctx context.Context, c Call) error { return tool(ctx, "helm", c) }

// Kubectl is the command tree of kubectl, without plugins, run in a child process of this executable, which must
// call [Dispatch].
func Kubectl(ctx context.Context, c Call) error { return tool(ctx, "kubectl", c) }

var _, _ Verb = Helm, Kubectl

// dispatched tells whether this executable calls [Dispatch], as it must for tool.
var dispatched atomic.Bool

func tool(ctx context.Context, name string, c Call) error {
	if !dispatched.Load() {
		return fmt.Errorf("%s runs in a child process of this executable, and that does not know how: let main, or TestMain in a test, begin with verb.Dispatch(os.Args), as its documentation shows", name)
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this executable, to run %s: %w", name, err)
	}
	c.Args = append([]string{toolFlag + name}, c.Args...)
	return run(ctx, exe, name, c)
}

// Dispatch is for the first line of main, and of TestMain where tests use [Helm] or [Kubectl]: it tells whether args,
// as in [os.Args], ask this process to be one of these tools. If so it has run the tool, and main ends with code.
// The tool owns the process: its streams, environment, working directory and signals.
//
//	func TestMain(m *testing.M) {
//		if code, ok := verb.Dispatch(os.Args); ok {
//			os.Exit(code)
//		}
//		os.Exit(m.Run())
//	}
func Dispatch(args []string) (code int, ok bool) {
	dispatched.Store(true)
	if len(args) < 2 {
		return 0, false
	}
	name, ok := strings.CutPrefix(args[1], toolFlag)
	if !ok {
		return 0, false
	}
	switch name {
	case "helm":
		return helmMain(args[2:]), true
	case "kubectl":
		return kubectlMain(args[2:]), true
	case "crane":
		return craneMain(args[2:]), true
	}
	fmt.Fprintf(os.Stderr, "dpesim has no tool %q: it has helm, kubectl and crane\n", name)
	return 2, true
}

// Program gives the word that runs the program at path with the name by which it was called.
func Program(path, name string) Verb {
	return func(ctx context.Context, c Call) error { return run(ctx, path, name, c) }
}

// run starts a program and waits for it, its output and its end.
func run(ctx context.Context, path, name string, c Call) error {
	c = c.filled()
	cmd := exec.CommandContext(ctx, path)
	cmd.Args = append([]string{name}, c.Args...)
	cmd.Env, cmd.Dir = c.Env, c.Dir
	if cmd.Env == nil {
		cmd.Env = []string{} // nil would hand over the process's own
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
	cmd.Cancel = func() error {
		if runtime.GOOS == "windows" || errors.Is(context.Cause(ctx), ErrKilled) { // there a process cannot be interrupted from outside
			return cmd.Process.Kill()
		}
		return cmd.Process.Signal(os.Interrupt)
	}
	cmd.WaitDelay = Grace
	if c.Program != nil {
		defer c.Program()()
	}
	err := cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil // it ended well, only something that it started holds the streams
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return &ExitError{Code: max(exit.ExitCode(), 1)} // -1 if a signal ended it
	}
	if err != nil {
		return fmt.Errorf("running %s: %w", name, err)
	}
	return nil
}
