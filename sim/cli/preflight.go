package cli

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/dpe/image"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster/preflight"
	"github.com/dpesim/dpesim/sim/cluster/probe"
)

func newClusterPreflightCommand(a *app) *cobra.Command {
	var tier string
	o := preflight.Options{Chart: chart.Name}
	cmd := &cobra.Command{
		Use: "preflight [ENVIRONMENT DPE]", Short: "Look whether the cluster can take an installation (ours: the product has no such check)",
		Long: `Look, before helm does anything, whether the cluster can take an installation: room for all replicas and the one more of an
update, the storage class, the release's name, and from a pod the registry and the endpoints. This is the simulator's: the product
has no preflight check. Before there is a DPE, --tier and --replicas say what would be installed.

The exit code is 1 if something would fail.`,
		Example: "  dpesim cluster preflight acme-production finance-warehouse\n  dpesim cluster preflight --tier L --replicas 3",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && tier != "" {
				return nil
			}
			return exactArgs(2)(cmd, args)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&tier, "tier", "", "sizing tier, where there is no DPE yet: S, M or L")
	fl.IntVar(&o.Replicas, "replicas", 0, "number of replicas (default: the DPE's, or 1)")
	fl.StringVar(&o.Namespace, "namespace", "dpe", "namespace of the release")
	fl.StringVar(&o.Release, "release-name", "", "name of the release (default: the DPE's label)")
	fl.StringVar(&o.StorageClass, "storage-class", "", "storage class of the volumes (default: the cluster's default)")
	output := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		e, err := a.endpoints()
		if err != nil {
			return err
		}
		o.Kubeconfig = e.Kubeconfig
		if len(args) == 0 {
			o.Release, o.Replicas = cmp.Or(o.Release, "dpe"), cmp.Or(o.Replicas, 1)
			o.Sizing, err = sim.Tier(tier).Sizing()
		} else {
			err = preflightOf(ctx, c, &o, sim.EnvironmentID(args[0]), sim.Label(args[1]))
		}
		if err != nil {
			return err
		}
		checks, err := preflight.Run(ctx, o)
		if err != nil {
			return err
		}
		failed := 0
		for _, x := range checks {
			if x.State == preflight.Failed {
				failed++
			}
		}
		err = output.print(a.Stdout, checks, func(w *tabwriter.Writer) {
			fmt.Fprintln(w, "CHECK\tSTATE\tSEEN")
			for _, x := range checks {
				row(w, x.Check, x.State, x.Seen)
				if x.Remedy != "" {
					fmt.Fprintf(w, "\t\t-> %s\n", x.Remedy)
				}
			}
		})
		if err == nil && failed > 0 {
			err = &exitError{code: exitFailed}
		}
		return err
	})
	return cmd
}

// preflightOf fills in what a DPE's values file says.
func preflightOf(ctx context.Context, c *api.Client, o *preflight.Options, env sim.EnvironmentID, label sim.Label) error {
	d, err := c.DPE(ctx, env, label)
	if err != nil {
		return err
	}
	text, err := c.Values(ctx, env, label, "")
	if err != nil {
		return err
	}
	v, err := chart.ParseValues(text)
	if err != nil {
		return err
	}
	o.Release, o.Replicas, o.Sizing = cmp.Or(o.Release, string(label)), cmp.Or(o.Replicas, d.Replicas), d.Sizing
	o.Probe = &probe.Options{
		Image: image.Reference(v.Registry, v.Release), CA: v.CA,
		Login: &probe.Login{Registry: v.Registry, User: v.RegistryUser, Password: v.RegistryToken},
	}
	var names []string
	for _, t := range [][2]string{{"DPM", v.DPMURL}, {"object storage", v.ObjectStorageURL}} {
		u, err := url.Parse(t[1])
		if err != nil {
			return fmt.Errorf("read the values file: %w", err)
		}
		names = append(names, u.Hostname())
		o.Probe.Targets = append(o.Probe.Targets, probe.Target{Name: t[0], Addr: net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443")), TLS: true})
	}
	if v.Address != "" {
		o.Probe.HostAliases = []probe.HostAlias{{IP: v.Address, Hostnames: names}}
	}
	return nil
}
