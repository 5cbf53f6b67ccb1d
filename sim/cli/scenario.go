package cli

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/scenarios"
	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/sim"
)

func newScenarioCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "scenario", Short: "Run scenarios: Markdown files that are test and demo",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newScenarioListCommand(a), newScenarioShowCommand(a), newScenarioRunCommand(a), newScenarioTestCommand(a), newScenarioLintCommand(a), newScenarioFmtCommand(a), newScenarioNewCommand(a), newScenarioSchemaCommand(a))
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

	Clusters []string `json:"clusters,omitempty"`         // that it is written for; absent: every one
	Because  string   `json:"clusters_because,omitempty"` // why not for the others
}

func newScenarioListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the built-in scenarios", Args: noArgs}
	output := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		library, err := scenarios.Library()
		if err != nil {
			return err
		}
		list := []scenarioInfo{}
		for _, s := range library {
			list = append(list, scenarioInfo{Name: s.Name(), Title: s.Title, Summary: s.Summary, Minutes: s.Minutes, Steps: len(s.Steps), Tags: s.Tags, Clusters: s.Clusters, Because: s.Because})
		}
		return output.print(a.Stdout, list, func(w *tabwriter.Writer) {
			row(w, "SCENARIO", "STEPS", "MINUTES", "CLUSTERS", "TITLE")
			for _, s := range list {
				row(w, s.Name, s.Steps, s.Minutes, strings.Join(s.Clusters, ","), s.Title)
			}
			row(w)
			for _, s := range list {
				if s.Because != "" {
					row(w, s.Name, "only "+strings.Join(s.Clusters, ",")+": "+s.Because)
				}
			}
		})
	}
	return cmd
}

func newScenarioShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME|FILE", Short: "Print a scenario as it is written", Args: exactArgs(1),
		Long: "Print a scenario as it is written: Markdown. 'dpesim scenario show lifecycle > mine.md' is a way to begin one of your own.",
		RunE: func(_ *cobra.Command, args []string) error {
			_, src, err := a.source(args[0])
			if err != nil {
				return err
			}
			_, err = a.Stdout.Write(src)
			return err
		},
	}
}

// source finds what a person named, a file or a built-in scenario, and gives what to call it.
func (a *app) source(name string) (file string, src []byte, err error) {
	src, err = os.ReadFile(a.path(name))
	if !errors.Is(err, fs.ErrNotExist) {
		return name, src, err
	}
	if !slices.Contains(scenarios.Names(), name) {
		return "", nil, usage(sim.Errorf(sim.NotFound, "no scenario %q: neither a file nor built in", name).WithHelp("see 'dpesim scenario list'"))
	}
	src, err = scenarios.Source(name)
	return name + ".md", src, err
}

// scenario parses what a person named.
func (a *app) scenario(name string) (*engine.Scenario, error) {
	file, src, err := a.source(name)
	if err != nil {
		return nil, err
	}
	s, err := engine.Parse(file, src)
	if err != nil {
		return nil, &exitError{code: exitParse, err: err}
	}
	return s, nil
}
