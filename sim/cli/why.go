package cli

import (
	"context"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
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
		return output.print(a.Stdout, x, func(w *tabwriter.Writer) { _, _ = io.WriteString(w, x.Text()) })
	})
	return cmd
}
