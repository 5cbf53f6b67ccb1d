package cli

import (
	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/sim/cluster/probe"
)

func newClusterCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "cluster", Short: "Prepare a cluster of yours for a rehearsal",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newClusterProbeCommand(a))
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
