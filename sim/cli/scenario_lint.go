package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/itchyny/gojq"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dpesim/dpesim/scenarios"
	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/scenarios/expect"
	"github.com/dpesim/dpesim/sim/rehearse"
)

func newScenarioLintCommand(a *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "lint [NAME|FILE...]", Short: "Find what is wrong with scenarios without running them",
		Long: `Find what is wrong with scenarios without running them: words, commands, flags and filters that do not exist, checks that cannot
fail, waits without an end, fences that nothing runs, links that lead nowhere. Exit code 3 if there is something.`,
		Example: "  dpesim scenario lint mine.md\n  dpesim scenario lint --all",
	}
	output := outputFlag(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "look at every built-in scenario")
	cmd.RunE = func(_ *cobra.Command, names []string) error {
		if all {
			names = append(names, scenarios.Names()...)
		}
		if len(names) == 0 {
			return usage(errors.New("no scenario to look at: name one, a file, or --all"))
		}
		found := []engine.Finding{}
		for _, n := range names {
			more, err := a.lint(n)
			if err != nil {
				return err
			}
			found = append(found, more...)
		}
		if err := output.print(a.Stdout, found, func(w *tabwriter.Writer) {
			for _, f := range found {
				fmt.Fprintln(w, f)
			}
		}); err != nil {
			return err
		}
		if len(found) > 0 {
			return &exitError{code: exitParse, err: fmt.Errorf("%d findings", len(found))}
		}
		return nil
	}
	return cmd
}

func (a *app) lint(name string) ([]engine.Finding, error) {
	file, src, err := a.source(name)
	if err != nil {
		return nil, err
	}
	s, err := engine.Parse(file, src)
	if e, ok := errors.AsType[*engine.ParseError](err); ok {
		return []engine.Finding{{File: e.File, Line: e.Line, Msg: e.Msg}}, nil
	} else if err != nil {
		return nil, err
	}
	if file == name { // links lead on from where the file is
		s.File = a.path(file)
	}
	found := append(lintClusters(s), engine.Lint(s, wordChecks())...)
	for i := range found {
		found[i].File = file
	}
	return found, nil
}

// lintClusters looks whether a scenario that leaves out one of the clusters says why.
func lintClusters(s *engine.Scenario) []engine.Finding {
	everywhere := rehearse.Suits(s, rehearse.InProcess) && rehearse.Suits(s, rehearse.Kind)
	switch {
	case everywhere && s.Because != "":
		return []engine.Finding{{Line: 1, Msg: "it runs on every cluster, and clusters-because says why not: leave that out"}}
	case !everywhere && s.Because == "":
		return []engine.Finding{{Line: 1, Msg: "clusters leaves one out (" + rehearse.InProcess + ", " + rehearse.Kind + "): say why in clusters-because, for who asks for it there"}}
	}
	return nil
}

// wordChecks look at the arguments of the words that scenarios have.
func wordChecks() map[string]engine.WordCheck {
	checks := map[string]engine.WordCheck{"dpesim": checkSelf, "jq": checkJQ}
	for name := range rehearse.Words(Word) {
		if _, ok := checks[name]; !ok {
			checks[name] = nil
		}
	}
	for _, ours := range rehearse.Commands {
		checks[ours] = func(args []string) string { return checkSelf(append([]string{ours}, args...)) }
	}
	return checks
}

// checkSelf says what is wrong with arguments of this command line.
func checkSelf(args []string) string {
	a := &app{Env: Env{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, Getenv: func(string) string { return "" }, Environ: func() []string { return nil }}}
	cmd, rest, err := newRootCommand(a).Traverse(args)
	if err != nil {
		return err.Error()
	}
	if cmd.DisableFlagParsing { // the arguments of helm, kubectl and crane are theirs
		return ""
	}
	if err := cmd.ParseFlags(rest); err != nil {
		if _, unknown := errors.AsType[*pflag.NotExistError](err); unknown || !slices.Contains(rest, engine.Unknown) {
			return err.Error()
		}
		return "" // it depends on what is computed
	}
	positional := cmd.Flags().Args()
	if err := cmd.ValidateArgs(positional); err != nil {
		return err.Error()
	}
	if cmd.Name() == "expect" {
		for _, text := range positional[1:] {
			if _, err := expect.Parse(text); err != nil && !strings.Contains(text, engine.Unknown) {
				return err.Error()
			}
		}
	}
	return ""
}

// checkJQ says what is wrong with a filter that is written out.
func checkJQ(args []string) string {
	valued := map[string]int{"--arg": 2, "--argjson": 2, "--slurpfile": 2, "--rawfile": 2, "--indent": 1}
	for i := 0; i < len(args); i++ {
		if n, ok := valued[args[i]]; ok {
			i += n
			continue
		}
		if strings.HasPrefix(args[i], "-") {
			continue
		}
		if args[i] == engine.Unknown {
			return ""
		}
		if _, err := gojq.Parse(args[i]); err != nil {
			return fmt.Sprintf("the filter %s is wrong: %v", args[i], err)
		}
		return ""
	}
	return "there is no filter"
}
