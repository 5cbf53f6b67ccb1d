package cli

import (
	"context"
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

func newManagedCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "managed", Short: "See and scale an environment's Ataccama-managed DPEs, which run in the cloud",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newManagedShowCommand(a), newManagedScaleCommand(a))
	return cmd
}

func newManagedShowCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "show ENVIRONMENT", Short: "Show how many replicas there are", Args: exactArgs(1)}
	output := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		m, err := c.Managed(ctx, sim.EnvironmentID(args[0]))
		if err != nil {
			return err
		}
		return output.print(a.Stdout, m, managedTable(m))
	})
	return cmd
}

func managedTable(m api.ManagedDPEs) func(*tabwriter.Writer) {
	return func(w *tabwriter.Writer) {
		row(w, "LABEL", "REPLICAS", "RELEASE")
		row(w, m.Label, fmt.Sprintf("%d/%d", m.Connected, m.Replicas), m.Release)
	}
}

func newManagedScaleCommand(a *app) *cobra.Command {
	var wait waitFlags
	var revision int64
	cmd := &cobra.Command{
		Use: "scale ENVIRONMENT REPLICAS", Short: "Have so many replicas run, and wait until they are connected", Args: exactArgs(2),
		Example: "  dpesim managed scale acme-production 2",
	}
	output := outputFlag(cmd)
	revisionFlag(cmd, &revision, "scale")
	wait.add(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		env := sim.EnvironmentID(args[0])
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return usage(sim.Errorf(sim.Invalid, "%q is no number of replicas", args[1]).WithHelp("give a whole number from 0"))
		}
		m, err := c.ScaleManaged(ctx, env, n, revision)
		if err != nil {
			return err
		}
		err = wait.until(ctx, c, env, fmt.Sprintf("%d Ataccama-managed replicas connected", n), func(ctx context.Context) (bool, error) {
			m, err = c.Managed(ctx, env)
			return m.Connected == n, err
		})
		if err != nil {
			return err
		}
		return output.print(a.Stdout, m, managedTable(m))
	})
	return cmd
}
