package cli

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

func newAllowlistCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "allowlist", Short: "See and change from which addresses an environment may be reached",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAllowlistShowCommand(a), newAllowlistAddCommand(a), newAllowlistRemoveCommand(a),
		newAllowlistSwitchCommand(a, true), newAllowlistSwitchCommand(a, false))
	return cmd
}

func newAllowlistShowCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "show ENVIRONMENT", Short: "Show the ranges, and whether the allowlist is on", Args: exactArgs(1)}
	output := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		list, err := c.Allowlist(ctx, sim.EnvironmentID(args[0]))
		if err != nil {
			return err
		}
		return output.print(a.Stdout, list, allowlistTable(list))
	})
	return cmd
}

func allowlistTable(list api.Allowlist) func(*tabwriter.Writer) {
	return func(w *tabwriter.Writer) {
		if list.On {
			fmt.Fprintln(w, "on: only these may connect")
		} else {
			fmt.Fprintln(w, "off: everybody may connect")
		}
		row(w, "RANGE", "NOTE")
		for _, e := range list.Entries {
			row(w, e.CIDR, e.Note)
		}
	}
}

func newAllowlistAddCommand(a *app) *cobra.Command {
	var note string
	cmd := &cobra.Command{
		Use: "add ENVIRONMENT RANGE", Short: "Add a CIDR range or an address", Args: exactArgs(2),
		Example: "  dpesim allowlist add acme-production 203.0.113.0/24 --note office",
	}
	cmd.Flags().StringVar(&note, "note", "", "what the range is")
	a.allowlistEdit(cmd, func(list *api.AllowlistEdit, args []string) error {
		list.Entries = append(list.Entries, api.AllowlistEntry{CIDR: args[1], Note: note})
		return nil
	})
	return cmd
}

func newAllowlistRemoveCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "remove ENVIRONMENT RANGE", Short: "Take a range from the list", Args: exactArgs(2)}
	a.allowlistEdit(cmd, func(list *api.AllowlistEdit, args []string) error {
		want := args[1]
		if addr, err := netip.ParseAddr(want); err == nil { // an address is kept as a range of one
			want = netip.PrefixFrom(addr, addr.BitLen()).String()
		}
		i := slices.IndexFunc(list.Entries, func(e api.AllowlistEntry) bool { return e.CIDR == want })
		if i < 0 {
			return sim.Errorf(sim.NotFound, "the range %s is not on the allowlist of %s", args[1], args[0]).WithHelp("see 'dpesim allowlist show %s'", args[0])
		}
		list.Entries = slices.Delete(list.Entries, i, i+1)
		return nil
	})
	return cmd
}

func newAllowlistSwitchCommand(a *app, on bool) *cobra.Command {
	cmd := &cobra.Command{Use: "off ENVIRONMENT", Short: "Let everybody connect; the ranges stay", Args: exactArgs(1)}
	if on {
		cmd.Use, cmd.Short = "on ENVIRONMENT", "Let only the ranges on the list connect, at once"
	}
	a.allowlistEdit(cmd, func(list *api.AllowlistEdit, _ []string) error { list.On = on; return nil })
	return cmd
}

// allowlistEdit makes cmd read the allowlist, change it and write it, unless somebody else was faster.
func (a *app) allowlistEdit(cmd *cobra.Command, change func(*api.AllowlistEdit, []string) error) {
	var edit api.AllowlistEdit
	cmd.Flags().BoolVar(&edit.Confirm, "cut", false, "also if engines are connected that would be cut")
	cmd.Flags().BoolVar(&edit.DryRun, "dry-run", false, "change nothing, tell what would be")
	output := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		env := sim.EnvironmentID(args[0])
		list, err := c.Allowlist(ctx, env)
		if err != nil {
			return err
		}
		edit.On, edit.Entries = list.On, list.Entries
		if err := change(&edit, args); err != nil {
			return err
		}
		would := edit
		would.DryRun = true
		out, err := c.SetAllowlist(ctx, env, would, list.Version)
		if err != nil {
			return err
		}
		if !edit.DryRun {
			if len(out.Cuts) > 0 && !edit.Confirm {
				return sim.Errorf(sim.Conflict, "the allowlist would cut engines that are connected: %v from %s", out.Cuts[0].Engines, out.Cuts[0].Source).
					WithHelp("add their addresses first, or repeat with --cut; --dry-run lists them all")
			}
			if out, err = c.SetAllowlist(ctx, env, edit, list.Version); err != nil {
				return err
			}
		}
		return output.print(a.Stdout, out, func(w *tabwriter.Writer) {
			allowlistTable(out.Allowlist)(w)
			for _, x := range out.Cuts {
				verb := "cut"
				if edit.DryRun {
					verb = "would cut"
				}
				fmt.Fprintf(w, "%s: %v, connected from %s\n", verb, x.Engines, x.Source)
			}
		})
	})
}
