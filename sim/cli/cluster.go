package cli

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/borrowed"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/cluster/probe"
	"github.com/dpesim/dpesim/sim/kind"
	"github.com/dpesim/dpesim/sim/pki"
	"github.com/dpesim/dpesim/sim/rehearse"
	"github.com/dpesim/dpesim/sim/stack"
)

func newClusterCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "cluster", Short: "Prepare a cluster of yours for a rehearsal",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newClusterRoleCommand(a), newClusterTrustCommand(a), newClusterPreflightCommand(a), newClusterRemoveCommand(a), newClusterProbeCommand(a))
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

func newClusterRoleCommand(a *app) *cobra.Command {
	var user, group, account string
	var namespaces []string
	cmd := &cobra.Command{
		Use: "role", Short: "Print the rights that rehearsals in a cluster need, for its administrator", Args: noArgs,
		Long: `Print, as YAML for 'kubectl apply -f -', the least rights that suffice to rehearse in a cluster: to look at nodes and volumes, and
to work in the given namespaces, which are made, too. The namespace ` + borrowed.Home + ` is made and marked: where it is, nobody is asked before a rehearsal
begins. The rights are given to a service account in it, unless you name a user or a group.`,
		Example: `  dpesim cluster role | kubectl apply -f -
  dpesim cluster role --namespace dpe --user ada@example.com`,
		RunE: func(*cobra.Command, []string) error {
			who := []borrowed.Subject{{Kind: "User", Name: user}, {Kind: "Group", Name: group}, {Kind: "ServiceAccount", Name: account, Namespace: borrowed.Home}}
			who = slices.DeleteFunc(who, func(s borrowed.Subject) bool { return s.Name == "" })
			switch len(who) {
			case 0:
				who = []borrowed.Subject{{Kind: "ServiceAccount", Name: "dpesim", Namespace: borrowed.Home}}
			case 1:
			default:
				return usage(errors.New("the rights are for one: a user, a group or a service account"))
			}
			text, err := borrowed.Role(who[0], namespaces)
			if err != nil {
				return err
			}
			_, err = a.Stdout.Write(text)
			return err
		},
	}
	cmd.Flags().StringSliceVar(&namespaces, "namespace", []string{"dpe"}, "namespace to install in; may be repeated. The built-in scenarios use dpe")
	cmd.Flags().StringVar(&user, "user", "", "give the rights to this user")
	cmd.Flags().StringVar(&group, "group", "", "give the rights to this group")
	cmd.Flags().StringVar(&account, "service-account", "", "name of the service account that is made for them (default dpesim)")
	return cmd
}

func newClusterTrustCommand(a *app) *cobra.Command {
	target := targetFlags{cluster: rehearse.Kubeconfig}
	config := stack.Default()
	cmd := &cobra.Command{
		Use: "trust", Short: "Print what a cluster's nodes must have to pull from the simulator's registry, for its administrator", Args: noArgs,
		Long: `Print a script for each node of a cluster, so that its container runtime, containerd, trusts the simulator's certificate authority
for the simulator's registry and for nothing else. The authority is made if there is none; later simulators for clusters of yours have
the same.`,
		Example: "  dpesim cluster trust --advertise 192.0.2.10",
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := borrowed.Advertise(cmd.Context(), borrowed.ThisMachine(), target.advertise, target.listen)
			if err != nil {
				return usage(err)
			}
			_, port, err := net.SplitHostPort(config.TLSAddr)
			if err != nil || port == "0" {
				return usage(sim.Errorf(sim.Invalid, "nodes know the registry by its port, and %q names none", config.TLSAddr).WithHelp("use HOST:PORT, as localhost:8443 (--tls)"))
			}
			dir, err := target.authority(a)
			if err != nil {
				return err
			}
			ca, err := pki.Open(dir, clock.New())
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(a.Stdout, borrowed.Trust(net.JoinHostPort(at.Name, port), ca.PEM()))
			return err
		},
	}
	target.addReach(cmd.Flags())
	cmd.Flags().StringVar(&config.TLSAddr, "tls", config.TLSAddr, "the simulator's --tls: nodes know the registry by its port")
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
