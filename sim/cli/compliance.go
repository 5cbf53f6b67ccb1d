package cli

import (
	"context"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

func newComplianceCommand(a *app) *cobra.Command {
	var csv bool
	cmd := &cobra.Command{
		Use: "compliance ENVIRONMENT", Short: "Show how replicas stood to the licence over time", Args: exactArgs(1),
		Example: "  dpesim compliance acme-production --csv > compliance.csv",
	}
	cmd.Flags().BoolVar(&csv, "csv", false, "print all samples as CSV")
	out := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		env := sim.EnvironmentID(args[0])
		if csv {
			b, err := c.ComplianceCSV(ctx, env)
			if err != nil {
				return err
			}
			_, err = a.Stdout.Write(b)
			return err
		}
		samples, err := c.Compliance(ctx, env)
		if err != nil {
			return err
		}
		return out.print(a.Stdout, samples, func(w *tabwriter.Writer) {
			row(w, "FROM", "LICENSED", "SELF-MANAGED", "MANAGED", "CONNECTED", "COMPLIANT")
			for _, s := range samples {
				row(w, s.Time.Format(time.RFC3339), s.Licensed, s.SelfManaged, s.Managed, s.Connected, s.Compliant)
			}
		})
	})
	return cmd
}
