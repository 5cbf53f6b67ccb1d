package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/scenarios"
	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/scenarios/verb"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/stack"
)

func newScenarioCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "scenario", Short: "Run scenarios: Markdown files that are test and demo",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newScenarioListCommand(a), newScenarioRunCommand(a))
	return cmd
}

// scenarioInfo is a line of `scenario list`.
type scenarioInfo struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Summary string   `json:"summary"`
	Minutes int      `json:"minutes"`
	Steps   int      `json:"steps"`
	Tags    []string `json:"tags"`
}

func newScenarioListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the built-in scenarios", Args: noArgs}
	output := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		list := []scenarioInfo{}
		for _, name := range scenarios.Names() {
			s, err := builtIn(name)
			if err != nil {
				return err
			}
			list = append(list, scenarioInfo{Name: name, Title: s.Title, Summary: s.Summary, Minutes: s.Minutes, Steps: len(s.Steps), Tags: s.Tags})
		}
		return output.print(a.Stdout, list, func(w *tabwriter.Writer) {
			row(w, "SCENARIO", "STEPS", "MINUTES", "TITLE")
			for _, s := range list {
				row(w, s.Name, s.Steps, s.Minutes, s.Title)
			}
		})
	}
	return cmd
}

// builtIn parses a built-in scenario.
func builtIn(name string) (*engine.Scenario, error) {
	src, err := scenarios.Source(name)
	if err != nil {
		return nil, err
	}
	return engine.Parse(name+".md", src)
}

// scenario finds what a person named: a file, or a built-in scenario.
func (a *app) scenario(name string) (*engine.Scenario, error) {
	src, err := os.ReadFile(a.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		if slices.Contains(scenarios.Names(), name) {
			return builtIn(name)
		}
		return nil, usage(sim.Errorf(sim.NotFound, "no scenario %q: neither a file nor built in", name).WithHelp("see 'dpesim scenario list'"))
	} else if err != nil {
		return nil, err
	}
	return engine.Parse(name, src)
}

func newScenarioRunCommand(a *app) *cobra.Command {
	var flags stackFlags
	var all bool
	cmd := &cobra.Command{
		Use: "run [NAME|FILE...]", Short: "Run scenarios, each in a fresh simulator, and exit non-zero if a step fails",
		Example: "  dpesim scenario run lifecycle\n  dpesim scenario run --all",
	}
	output := outputFlag(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "run every built-in scenario")
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		if all {
			names = append(names, scenarios.Names()...)
		}
		if len(names) == 0 {
			return usage(errors.New("no scenario to run: name one, a file, or --all"))
		}
		if len(names) > 1 && flags.config.DataDir != "" {
			return usage(sim.Errorf(sim.Invalid, "--data is for one scenario: each runs in a fresh simulator").WithHelp("run them one by one, or leave --data out"))
		}
		var parsed []*engine.Scenario // all of them before the first runs
		for _, n := range names {
			s, err := a.scenario(n)
			if err != nil {
				return err
			}
			parsed = append(parsed, s)
		}
		report, err := a.reporter(*output)
		if err != nil {
			return err
		}
		flags.anyPorts(cmd)
		failed := 0
		for _, sc := range parsed {
			own := flags
			if sc.Seed != 0 && !cmd.Flags().Changed("seed") {
				own.config.Seed = sc.Seed
			}
			err := a.rehearse(cmd.Context(), &own, sc, report, nil)
			if cmd.Context().Err() != nil {
				return errors.Join(cmd.Context().Err(), err)
			}
			if _, ok := errors.AsType[*engine.StepError](err); ok { // the reporter has told it
				failed++
			} else if err != nil {
				return fmt.Errorf("%s: %w", sc.File, err)
			}
		}
		if failed > 0 {
			return &exitError{code: exitFailed, err: fmt.Errorf("%d of %d scenarios failed", failed, len(parsed))}
		}
		return nil
	}
	return cmd
}

// reporter gives what tells of a run.
func (a *app) reporter(f format) (engine.Reporter, error) {
	switch f {
	case formatTable:
		return engine.Human{W: a.Stdout}, nil
	case formatJSON:
		return engine.JSON{W: a.Stdout}, nil
	case formatYAML:
	}
	return nil, usage(fmt.Errorf("a run is told as table or json, not as %s", f))
}

// rehearse plays sc in a fresh simulator. after, if any, is called when all steps went well, while everything is still up.
func (a *app) rehearse(ctx context.Context, flags *stackFlags, sc *engine.Scenario, report engine.Reporter, after func(context.Context, *stack.Stack) error) error {
	s, err := flags.open(ctx, a)
	if err != nil {
		return err
	}
	b := *a
	if b.endpointsFile == "" && after == nil { // nobody else's business, whatever the environment says
		b.endpointsFile = s.Path("endpoints.json")
	}
	return b.serve(ctx, s, func(ctx context.Context) error {
		if err := b.play(ctx, s, sc, report); err != nil {
			return err
		}
		if after != nil {
			return after(ctx, s)
		}
		return nil
	})
}

// play runs the steps of sc against a simulator that is up.
func (a *app) play(ctx context.Context, s *stack.Stack, sc *engine.Scenario, report engine.Reporter) error {
	dir := s.Path("scenario")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := a.endpointsPath()
	if err != nil {
		return err
	}
	env := environmentVariables(s.Endpoints(), file)
	env["HOME"] = dir // helm keeps its log-ins and caches there
	return engine.Run(ctx, sc, engine.Options{
		Dir:    dir,
		Verbs:  words(),
		Env:    env,
		Clock:  s.Clock(),
		Bus:    s.Bus(),
		Report: report,
	})
}

// words are what a scenario's shell knows beside its own.
func words() map[string]verb.Verb {
	return map[string]verb.Verb{
		"dpesim": self, "helm": verb.Helm, "kubectl": verb.Kubectl, "jq": verb.JQ, "expect": ours("expect"), "match": ours("match"),
	}
}

// ours makes a word of a command of ours.
func ours(command string) verb.Verb {
	return func(ctx context.Context, c verb.Call) error {
		c.Args = append([]string{command}, c.Args...)
		return self(ctx, c)
	}
}

// self is this command line as a word of a scenario.
func self(ctx context.Context, c verb.Call) error {
	code := Main(ctx, Env{
		Args: c.Args, Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr,
		Getenv: c.Getenv, Environ: func() []string { return slices.Clone(c.Env) }, Dir: c.Dir,
	})
	if code != exitOK {
		return &verb.ExitError{Code: code}
	}
	return nil
}
