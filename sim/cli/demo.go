package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/scenarios"
	"github.com/dpesim/dpesim/sim/stack"
)

// demoScenario is what `demo` plays.
const demoScenario = "lifecycle"

func newDemoCommand(a *app) *cobra.Command {
	var flags stackFlags
	var once bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch a self-managed DPE being installed, connecting, working, edited, upgraded and removed",
		Long: `Stand up a simulator and play the built-in scenario "` + demoScenario + `" in it, step by step, through public faces only. Then stay up and
print where to look, until Ctrl-C; with --once, stop.`,
		Args: noArgs,
	}
	output := outputFlag(cmd)
	cmd.Flags().BoolVar(&once, "once", false, "stop after the last step")
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		sc, err := scenarios.Read(demoScenario)
		if err != nil {
			return err
		}
		report, err := a.reporter(*output)
		if err != nil {
			return err
		}
		if once {
			flags.anyPorts(cmd)
			return a.rehearse(cmd.Context(), &flags, sc, rehearsal{report: report})
		}
		sc.Virtual = false // people watch, and go on with a clock that is theirs
		return a.rehearse(cmd.Context(), &flags, sc, rehearsal{report: report, after: func(ctx context.Context, s *stack.Stack) error {
			w := a.Stdout
			if *output != formatTable {
				w = a.Stderr // a person's; stdout is for programs
			}
			fmt.Fprintln(w)
			if err := banner(w, s.Endpoints()); err != nil {
				return err
			}
			<-ctx.Done()
			return nil
		}})
	}
	return cmd
}
