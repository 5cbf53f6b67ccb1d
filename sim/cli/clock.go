package cli

import (
	"context"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

func newClockCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "clock", Short: "Look at the simulator's clock and move it", Args: noArgs,
		Long: `Look at the simulator's clock and move it. Tokens, certificates, licences, leases and back-off go by it.
What falls due by an advance has been done, in order, and has settled, when the command ends.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	move := func(use, short string, n int, read func(args []string) (api.ClockMove, error)) *cobra.Command {
		sub := &cobra.Command{Use: use, Short: short, Args: exactArgs(n)}
		out := outputFlag(sub)
		sub.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
			m, err := read(args)
			if err != nil {
				return usage(err)
			}
			k, err := c.MoveClock(ctx, m)
			if err != nil {
				return err
			}
			return printClock(a, out, k)
		})
		return sub
	}
	show := &cobra.Command{Use: "show", Short: "Tell what time it is", Args: noArgs}
	out := outputFlag(show)
	show.RunE = a.clientRun(func(ctx context.Context, c *api.Client, _ []string) error {
		k, err := c.Clock(ctx)
		if err != nil {
			return err
		}
		return printClock(a, out, k)
	})
	cmd.AddCommand(show,
		move("advance SPAN", "Move it forward, as by 90d, 2w, 1d12h or 30m", 1, func(args []string) (api.ClockMove, error) { return api.ClockMove{Advance: args[0]}, nil }),
		move("set TIME", "Set it, as to 2027-01-31T08:00:00Z", 1, func(args []string) (api.ClockMove, error) {
			t, err := time.Parse(time.RFC3339, args[0])
			if err != nil {
				return api.ClockMove{}, sim.Errorf(sim.Invalid, "%q is no time", args[0]).WithHelp("write it as 2027-01-31T08:00:00Z")
			}
			return api.ClockMove{Set: t}, nil
		}),
		move("freeze", "Stop it where it is", 0, func([]string) (api.ClockMove, error) { return api.ClockMove{Freeze: true}, nil }),
		move("scale RATE", "Let it run at so many seconds per second", 1, func(args []string) (api.ClockMove, error) {
			r, err := strconv.ParseFloat(args[0], 64)
			if err != nil || r == 0 {
				return api.ClockMove{}, sim.Errorf(sim.Invalid, "%q is no rate", args[0]).WithHelp("give a number above 0, as 60; to stop it, use 'dpesim clock freeze'")
			}
			return api.ClockMove{Rate: r}, nil
		}),
		move("real", "Let it follow this machine again", 0, func([]string) (api.ClockMove, error) { return api.ClockMove{Real: true}, nil }),
	)
	return cmd
}

func printClock(a *app, out *format, k api.Clock) error {
	return out.print(a.Stdout, k, func(w *tabwriter.Writer) {
		row(w, "NOW", "MODE", "OFFSET", "RATE")
		row(w, k.Now.Format(time.RFC3339), k.Mode, k.Offset, k.Rate)
	})
}
