package cli

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/doctor"
	"github.com/dpesim/dpesim/sim/stack"
)

func newDoctorCommand(a *app) *cobra.Command {
	config := stack.Default()
	target := string(doctor.All)
	o := doctor.Options{Dir: a.Dir, Contained: a.contained}
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look what this machine has and lacks for each cluster to rehearse on", Args: noArgs,
		Long: `Look what this machine has and lacks for each cluster to rehearse on. Nothing is changed, and no network is needed.

The exit code is 0 if the cluster that --cluster names can be used (all: the one in the process), else 4.`,
	}
	fl := cmd.Flags()
	fl.StringVar(&target, "cluster", target, "cluster to look for: inprocess, kind, kubeconfig[:CONTEXT], or all")
	fl.StringVar(&config.HTTPAddr, "http", config.HTTPAddr, "address that the portal would have")
	fl.StringVar(&config.TLSAddr, "tls", config.TLSAddr, "address that the cloud endpoints would have")
	fl.StringVar(&config.Domain, "domain", config.Domain, "parent domain of the cloud endpoints")
	fl.StringVar(&o.NodeImage, "kind-node-image", "", "image of kind's node (default $DPESIM_KIND_NODE_IMAGE, else kind's own)")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		name, context, _ := strings.Cut(target, ":")
		asked := doctor.Target(name)
		decides := asked
		switch asked {
		case doctor.All:
			decides = doctor.InProcess
		case doctor.InProcess, doctor.Kind, doctor.Kubeconfig:
			o.Targets = []doctor.Target{asked}
		default:
			return usage(sim.Errorf(sim.Invalid, "there is no cluster %q", target).WithHelp("the clusters are %s, %s and %s[:CONTEXT]; or %s", doctor.InProcess, doctor.Kind, doctor.Kubeconfig, doctor.All))
		}
		o.Env, o.Context, o.HTTPAddr, o.TLSAddr, o.Host = a.Environ(), context, config.HTTPAddr, config.TLSAddr, "portal."+config.Domain
		o.NodeImage = cmp.Or(o.NodeImage, a.Getenv("DPESIM_KIND_NODE_IMAGE"))
		checks := doctor.Examine(cmd.Context(), o)
		err := output.print(a.Stdout, checks, func(w *tabwriter.Writer) {
			fmt.Fprintln(w, "CHECK\tTARGET\tSTATE\tSEEN")
			for _, c := range checks {
				row(w, c.Check, c.Target, c.State, c.Seen)
				if c.Remedy != "" {
					fmt.Fprintf(w, "\t\t\t-> %s\n", c.Remedy)
				}
			}
		})
		if err == nil && !doctor.Usable(checks, decides) {
			err = &exitError{code: exitTarget}
		}
		return err
	}
	return cmd
}
