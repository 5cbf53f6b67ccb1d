package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/sim/cluster/probe"
	"github.com/dpesim/dpesim/sim/kind"
)

func newClusterCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "cluster", Short: "Prepare a cluster of yours for a rehearsal",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newClusterPreflightCommand(a), newClusterRemoveCommand(a), newClusterProbeCommand(a))
	return cmd
}

func newClusterRemoveCommand(a *app) *cobra.Command {
	var o kind.Options
	cmd := &cobra.Command{
		Use: "remove", Short: "Remove a kind cluster that a simulator has kept (--keep-cluster)", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := kind.Remove(o); err != nil {
				return err
			}
			_, err := fmt.Fprintf(a.Stdout, "kind cluster %s removed\n", o.Name)
			return err
		},
	}
	cmd.Flags().StringVar(&o.Name, "kind-name", kind.DefaultName, "name of the kind cluster")
	return cmd
}

// newClusterProbeCommand makes what the pod of a probe runs.
func newClusterProbeCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: probe.Command()[1], Short: "Try, in a pod, to reach what engines must reach", Args: noArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return probe.Answer(cmd.Context(), a.Getenv(probe.Variable), nil, a.Stdout)
		},
	}
}
