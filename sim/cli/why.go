package cli

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim/why"
)

func newWhyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "why SUBJECT",
		Short: "Explain a pod, DPE, job, node or release: from the symptom back to its first cause",
		Long: `Explain how something came to be as it is, from what you see back to its first cause, and what to do next.

SUBJECT is pod/[NAMESPACE/]NAME, dpe/[ENVIRONMENT/]LABEL, job/ID, node/NAME, release/[NAMESPACE/]NAME or
deployment/[NAMESPACE/]NAME. Of pods and jobs the beginning of the name is enough. What is explained is what happened
since this simulator was started.`,
		Example: "  dpesim why dpe/finance-warehouse\n  dpesim why pod/dpe/finance-warehouse-5d8f9c7b6d-x2x4z\n  dpesim why job/0d1f2a3b -o json",
		Args:    exactArgs(1),
	}
	output := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		x, err := c.Why(ctx, args[0])
		if err != nil {
			return err
		}
		return output.print(a.Stdout, x, func(w *tabwriter.Writer) { explanation(w, x) })
	})
	return cmd
}

// explanation prints x for a person: the newest event of each chain first, the first cause marked.
func explanation(w *tabwriter.Writer, x why.Explanation) {
	fmt.Fprintln(w, x.Summary)
	for _, c := range x.Chains {
		fmt.Fprintln(w)
		if c.Relation != "" {
			fmt.Fprintf(w, "%s:\n", c.Relation)
		}
		for _, s := range c.Steps {
			mark, after := " ", ""
			if s.Seq == x.FirstCause {
				mark, after = ">", "   <- first cause"
			}
			fmt.Fprintf(w, "%s %s\t%s\t%s%s\n", mark, s.Time.Format("15:04:05.000"), s.Part, s.Text, after)
		}
		if c.Forgotten {
			fmt.Fprintln(w, "  what led to it is no longer remembered")
		}
	}
	fmt.Fprintf(w, "\nWhat to do: %s\n", x.Hint)
}
