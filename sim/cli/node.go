package cli

import (
	"context"
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/sim/cluster"
)

// nodesFlag is the value of --nodes.
type nodesFlag struct{ nodes *[]cluster.Node }

// Set takes a description of nodes.
func (f *nodesFlag) Set(s string) error {
	nodes, err := cluster.ParseNodes(s)
	if err == nil {
		*f.nodes = nodes
	}
	return err
}

// String gives the number of nodes; "" if none were asked for.
func (f *nodesFlag) String() string {
	if f.nodes == nil || *f.nodes == nil {
		return ""
	}
	return strconv.Itoa(len(*f.nodes))
}

// Type names the flag's argument in help.
func (*nodesFlag) Type() string { return "NODES" }

func newNodeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "node", Short: "Add, remove, stop and start the cluster's machines",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	one := func(use, short, done string, f func(context.Context, *cluster.Nodes, string) error) *cobra.Command {
		return &cobra.Command{
			Use: use + " NODE", Short: short, Args: exactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				nodes, err := a.nodes()
				if err != nil {
					return err
				}
				if err := f(cmd.Context(), nodes, args[0]); err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.Stdout, "node %s %s\n", args[0], done)
				return err
			},
		}
	}
	cmd.AddCommand(
		newNodeListCommand(a), newNodeAddCommand(a),
		one("remove", "Take a node away with its pods, as a machine that is deleted", "removed",
			func(ctx context.Context, n *cluster.Nodes, name string) error { return n.Remove(ctx, name) }),
		one("stop", "Cut a node's power: its pods die, its heartbeats end, and the cluster finds out", "stopped",
			func(ctx context.Context, n *cluster.Nodes, name string) error { return n.SetPower(ctx, name, false) }),
		one("start", "Start a node that was stopped", "started",
			func(ctx context.Context, n *cluster.Nodes, name string) error { return n.SetPower(ctx, name, true) }),
	)
	return cmd
}

// nodes gives the nodes of the running simulator's cluster.
func (a *app) nodes() (*cluster.Nodes, error) {
	e, err := a.endpoints()
	if err != nil {
		return nil, err
	}
	return cluster.OpenNodes(e.Kubeconfig)
}

func newNodeListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the nodes and what their pods request of them", Args: noArgs}
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		nodes, err := a.nodes()
		if err != nil {
			return err
		}
		list, err := nodes.List(cmd.Context())
		if err != nil {
			return err
		}
		return out.print(a.Stdout, list, func(w *tabwriter.Writer) {
			fmt.Fprintln(w, "NAME\tSTATUS\tPOWER\tPODS\tCPU\tMEMORY\tDISK")
			for _, n := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", n.Name, n.Status, n.Power, n.Pods, ofAll(n.CPU), ofAll(n.Memory), ofAll(n.Disk))
			}
		})
	}
	return cmd
}

func ofAll(s cluster.Share) string { return s.Requested + " of " + s.Allocatable }

func newNodeAddCommand(a *app) *cobra.Command {
	var want cluster.Node
	cmd := &cobra.Command{
		Use: "add", Short: "Add a node", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			nodes, err := a.nodes()
			if err != nil {
				return err
			}
			name, err := nodes.Add(cmd.Context(), want)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "node %s added\n", name)
			return err
		},
	}
	like := cluster.DefaultNodes()[0]
	cmd.Flags().StringVar(&want.Name, "name", "", "name of the node (default: the next number)")
	cmd.Flags().StringVar(&want.CPU, "cpu", like.CPU, "what pods may request of it together, a Kubernetes quantity")
	cmd.Flags().StringVar(&want.Memory, "memory", like.Memory, "memory, a Kubernetes quantity")
	cmd.Flags().StringVar(&want.Disk, "disk", like.Disk, "disk for scratch and volumes, a Kubernetes quantity")
	return cmd
}
