package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/rehearse"
	"github.com/dpesim/dpesim/sim/stack"
)

// Exit codes of a shell.
const (
	shellSyntax  = 2   // what it should run cannot be read
	shellNoFile  = 127 // there is nothing to run
	shellPrompt  = "dpesim> "
	shellGoingOn = "      > "
)

func newShellCommand(a *app) *cobra.Command {
	var line string
	cmd := &cobra.Command{
		Use:   "shell [FILE]",
		Short: "A shell on a running simulator, with the words of scenarios",
		Long: `A shell on a running simulator, the one that plays scenarios: any line of a scenario's fence works here, and eventually, consistently,
within, record, expect, match, say, jq, helm and kubectl are there. Programs are, too, with your own environment. Helm keeps its log-ins with the
simulator, not in your home.

On a terminal it asks for lines, with editing and a history; what is not finished goes on in the next line. A statement that fails shows its exit status.
Ctrl-C ends what runs, Ctrl-D or exit the shell. From a file, -c or a pipe it runs everything up to the first statement that fails, as a scenario does.

Exit codes are a shell's: that of the last statement; 2 what cannot be read; 127 no such file; 130 interrupted. Times are the machine's.`,
		Example: `  dpesim shell
  dpesim shell -c 'eventually 30s expect dpe/acme/finance status.state=connected'
  dpesim shell rehearse.sh`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return usage(fmt.Errorf("%s takes at most one file, got %q", cmd.CommandPath(), args))
			case len(args) == 1 && cmd.Flags().Changed("command"):
				return usage(errors.New("either a file or -c, not both"))
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&line, "command", "c", "", "run this, instead of a file or the standard input")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, err := a.endpoints()
		if err != nil {
			return err
		}
		in, script := a.Stdin, ""
		term := terminalOf(a.Stdin)
		switch {
		case cmd.Flags().Changed("command"):
			script, term = line, nil
		case len(args) == 1:
			text, err := os.ReadFile(a.path(args[0]))
			if err != nil {
				return &exitError{code: shellNoFile, err: err}
			}
			script, term = string(text), nil
		case term == nil: // commands do not read the script that they are part of
			text, err := io.ReadAll(a.Stdin)
			if err != nil {
				return fmt.Errorf("reading the commands: %w", err)
			}
			in, script = nil, string(text)
		}
		return a.inSession(cmd.Context(), e, in, func(ctx context.Context, s *engine.Session) error {
			if term != nil {
				return a.converse(ctx, s, term)
			}
			return shellEnd(s.Run(ctx, script))
		})
	}
	return cmd
}

// shellEnd gives the end of a shell as that of a command.
func shellEnd(result engine.Result, err error) error {
	if _, unread := errors.AsType[*engine.SyntaxError](err); unread {
		return &exitError{code: shellSyntax, err: err}
	}
	if err == nil && result.Code != exitOK {
		return &exitError{code: result.Code}
	}
	return err
}

// inSession calls use with a shell on the simulator at e, in the environment of this process. What happens there wakes the
// shell's waits.
func (a *app) inSession(ctx context.Context, e stack.Endpoints, in io.Reader, use func(context.Context, *engine.Session) error) error {
	file, err := a.endpointsPath()
	if err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	if !alive(ctx, e) {
		return sim.Errorf(sim.Unavailable, "the simulator at %s does not answer", e.Portal).WithHelp("start one with 'dpesim up'")
	}
	env := map[string]string{}
	for _, entry := range a.Environ() {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			env[name] = value
		}
	}
	maps.Copy(env, rehearse.Variables(e, file))
	for name, dir := range map[string]string{"HELM_CONFIG_HOME": "config", "HELM_CACHE_HOME": "cache", "HELM_DATA_HOME": "data", "KUBECACHEDIR": "kube"} {
		env[name] = filepath.Join(e.DataDir, "shell", dir)
	}
	ctx, stop := context.WithCancel(ctx)
	bus := event.New(clock.New(), 0)
	var following sync.WaitGroup
	defer following.Wait()
	defer stop()
	following.Go(func() { // without it, waits look once a second
		_ = c.Follow(ctx, api.EventFilter{}, func(ev sim.Event) error { bus.Publish(ctx, ev); return nil })
	})
	s, err := engine.Open(ctx, engine.Options{Dir: cmp.Or(a.Dir, "."), Verbs: rehearse.Words(Word), Env: env, Bus: bus},
		engine.Streams{In: in, Out: oneAtATime(a.Stdout), Err: oneAtATime(a.Stderr)})
	if err != nil {
		return err
	}
	defer s.Close()
	return use(ctx, s)
}

// oneAtATime gives w for the commands of a pipeline, which write at once. A file is left as it is: programs know it for a terminal.
func oneAtATime(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok {
		return f
	}
	return &guarded{w: w}
}

// guarded is a writer that is safe for concurrent use.
type guarded struct {
	mu sync.Mutex
	w  io.Writer
}

// Write writes p.
func (g *guarded) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.w.Write(p)
}
