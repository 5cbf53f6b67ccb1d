package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/residue"
)

func newResidueCommand(a *app) *cobra.Command {
	var f residue.Filter
	var none bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "residue [ENVIRONMENT [LABEL]]",
		Short: "List what installations have left on every side, and whether it should be there",
		Long: `List everything that installations of DPEs created and that is still there: portal rows, keys and streams at DPM, credentials,
buckets and results in object storage, registry tokens, Helm releases and Kubernetes objects. Each is one of

  in use          of an installation that is alive
  kept by policy  nobody takes it away, and that is right
  leaked          of an installation that is gone: it should be gone too
  foreign         in the same namespace, and not made by an installation
  simulator       the simulator made it for itself
  unknown         the cluster does not let the simulator see what there is of a kind
  gone            it was there (with --all)`,
		Example: "  dpesim residue acme-production finance-warehouse\n  dpesim residue --none --timeout 30s && echo clean",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 2 {
				return usage(fmt.Errorf("%s takes at most 2 arguments", cmd.CommandPath()))
			}
			return nil
		},
	}
	output := outputFlag(cmd)
	cmd.Flags().BoolVar(&f.All, "all", false, "what is gone, too")
	cmd.Flags().BoolVar(&none, "none", false, "list only what leaked, and fail if anything did")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "with --none: how long what is being deleted may take to go")
	cmd.MarkFlagsMutuallyExclusive("all", "none")
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		for i, p := range []*string{(*string)(&f.Environment), (*string)(&f.DPE)} {
			if i < len(args) {
				*p = args[i]
			}
		}
		if timeout != 0 && !none {
			return usage(sim.Errorf(sim.Invalid, "--timeout is for --none").WithHelp("add --none, or leave --timeout out"))
		}
		list := c.Residue
		if none {
			list = func(ctx context.Context, f residue.Filter) ([]residue.Entry, error) {
				return leaked(ctx, c, f, timeout)
			}
		}
		entries, err := list(ctx, f)
		if err != nil {
			return err
		}
		if none {
			entries = slices.DeleteFunc(entries, func(e residue.Entry) bool {
				if e.Class == residue.Unknown {
					fmt.Fprintf(a.Stderr, "not looked at: %s: %s\n", e.Kind, e.Reason)
				}
				return e.Class == residue.Unknown
			})
		}
		if err := output.print(a.Stdout, entries, residueTable(entries, none)); err != nil || !none || len(entries) == 0 {
			return err
		}
		return &exitError{code: exitFailed, err: sim.Errorf(sim.Conflict, "%d things leaked", len(entries)).
			WithHelp("REASON tells why each should be gone; what is in the cluster goes by 'helm uninstall'")}
	})
	return cmd
}

// residuePoll is how often leaked looks: the cluster's garbage collector tells nobody when it is done.
const residuePoll = 100 * time.Millisecond

// leaked lists what leaked, and what is unknown: as soon as nothing leaked, or after timeout.
func leaked(ctx context.Context, c *api.Client, f residue.Filter, timeout time.Duration) ([]residue.Entry, error) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		entries, err := c.Residue(ctx, f)
		entries = slices.DeleteFunc(entries, func(e residue.Entry) bool { return e.Class != residue.Leaked && e.Class != residue.Unknown })
		if err != nil || !slices.ContainsFunc(entries, func(e residue.Entry) bool { return e.Class == residue.Leaked }) || clock.New().Sleep(limited, residuePoll) != nil {
			return entries, err
		}
	}
}

func residueTable(entries []residue.Entry, none bool) func(*tabwriter.Writer) {
	return func(w *tabwriter.Writer) {
		if none && len(entries) == 0 {
			fmt.Fprintln(w, "nothing leaked")
			return
		}
		row(w, "CLASS", "SIDE", "KIND", "NAME", "OWNER", "CREATED", "BY", "REASON")
		for _, e := range entries {
			name, by, created, reason := e.Name, e.By, "", e.Reason
			if e.Count > 0 {
				name = fmt.Sprintf("%s (%d)", name, e.Count)
			}
			if e.Cause > 0 {
				by = fmt.Sprintf("%s (event %d)", by, e.Cause)
			}
			if !e.Created.IsZero() {
				created = e.Created.Format("15:04:05")
			}
			if e.Gone != nil {
				reason = "since " + e.Gone.Format("15:04:05")
			}
			row(w, e.Class, e.Side, e.Kind, name, strings.Trim(string(e.Environment)+"/"+string(e.DPE), "/"), created, by, reason)
		}
	}
}
