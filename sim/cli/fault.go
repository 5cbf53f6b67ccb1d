package cli

import (
	"cmp"
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

func newFaultCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "fault", Short: "Break something on purpose, and mend it", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newFaultPointsCommand(a), newFaultListCommand(a), newFaultArmCommand(a), &cobra.Command{
		Use: "disarm NAME", Short: "Mend what is broken on purpose", Args: exactArgs(1),
		RunE: a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
			if err := c.Disarm(ctx, args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(a.Stdout, "fault %s disarmed\n", args[0])
			return err
		}),
	})
	return cmd
}

func newFaultPointsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "points", Short: "List where something can be broken, and what people see then", Args: noArgs}
	out := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, _ []string) error {
		points, err := c.FaultPoints(ctx)
		if err != nil {
			return err
		}
		return out.print(a.Stdout, points, func(w *tabwriter.Writer) {
			row(w, "POINT", "WHERE", "SYMPTOM")
			for _, p := range points {
				row(w, p.Point, p.Where, p.Symptom)
			}
		})
	})
	return cmd
}

func newFaultListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List what is broken on purpose", Args: noArgs}
	out := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, _ []string) error {
		armed, err := c.Faults(ctx)
		if err != nil {
			return err
		}
		return out.print(a.Stdout, armed, func(w *tabwriter.Writer) {
			row(w, "NAME", "POINT", "ENVIRONMENT", "DPE", "DELAY", "ERROR")
			for _, f := range armed {
				row(w, f.Name, f.Point, cmp.Or(f.Environment, "all"), cmp.Or(f.DPE, "all"), cmp.Or(f.Delay, "-"), cmp.Or(f.Error, "-"))
			}
		})
	})
	return cmd
}

func newFaultArmCommand(a *app) *cobra.Command {
	var f api.Fault
	var env, dpe string
	cmd := &cobra.Command{
		Use: "arm POINT", Short: "Break something; see 'dpesim fault points'", Args: exactArgs(1),
		RunE: a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
			f.Point, f.Environment, f.DPE = args[0], sim.EnvironmentID(env), sim.Label(dpe)
			f.Name = cmp.Or(f.Name, f.Point)
			if f.Error == "" && f.Delay == "" {
				f.Error = "it is broken on purpose"
			}
			if _, err := c.Arm(ctx, f); err != nil {
				return err
			}
			_, err := fmt.Fprintf(a.Stdout, "fault %s armed\n", f.Name)
			return err
		}),
	}
	fl := cmd.Flags()
	fl.StringVar(&f.Name, "name", "", "name to disarm it by (default: that of the point)")
	fl.StringVar(&f.Error, "error", "", "what went wrong, in words (default, without --delay: it is broken on purpose)")
	fl.StringVar(&f.Delay, "delay", "", "span to wait before anything else, as 500ms")
	fl.StringVar(&env, "environment", "", "only in this environment")
	fl.StringVar(&dpe, "dpe", "", "only for this DPE")
	fl.IntVar(&f.Skip, "skip", 0, "let so many pass first")
	fl.IntVar(&f.Times, "times", 0, "then hit so many (default: all)")
	fl.Float64Var(&f.Probability, "probability", 0, "of each hit, drawn from the seed (default: always)")
	return cmd
}
