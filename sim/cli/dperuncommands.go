package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
)

func newDPERunCommandsCommand(a *app) *cobra.Command {
	var last, cancel bool
	cmd := &cobra.Command{
		Use: "run-commands ENVIRONMENT LABEL [TASK]", Short: "Run the installation commands on the simulator's own cluster, as \"Run it here\" in the portal does",
		Long: `Run the commands that the portal prints for a DPE on the simulator's own cluster, print what they print, and exit with their
exit code: those of "Direct", with the current files. TASK says which: install (log in, then install, update or upgrade),
verify, rollback or uninstall. One task of a DPE runs at a time; interrupting this command cancels it.`,
		Example: "  dpesim dpe run-commands acme-production finance-warehouse\n  dpesim dpe run-commands acme-production finance-warehouse uninstall",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 3 && !last && !cancel {
				args = args[:2]
			}
			return exactArgs(2)(cmd, args)
		},
	}
	cmd.Flags().BoolVar(&last, "last", false, "follow the last run instead of starting one")
	cmd.Flags().BoolVar(&cancel, "cancel", false, "cancel what runs instead of starting something")
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		env, l := sim.EnvironmentID(args[0]), sim.Label(args[1])
		if last || cancel {
			return a.lastRun(ctx, c, env, l, cancel)
		}
		task := api.TaskInstall
		if len(args) > 2 {
			task = api.Task(args[2])
		}
		r, err := c.StartRun(context.WithoutCancel(ctx), env, l, api.RunSpec{Task: task}) // so that what was started is known, and can be cancelled
		if err != nil {
			return err
		}
		var seen int64
		err = a.followRun(ctx, c, r, &seen)
		if ctx.Err() == nil {
			return err
		}
		fmt.Fprintln(a.Stderr, "cancelling the commands")
		end, stop := clock.New().WithTimeout(context.WithoutCancel(ctx), cancelTime)
		defer stop()
		if _, err := c.CancelRun(end, env, l, r.ID); err != nil {
			return errors.Join(ctx.Err(), err)
		}
		_ = a.followRun(end, c, r, &seen) // that it was cancelled is known
		return ctx.Err()
	})
	return cmd
}

// cancelTime is how long the commands may take to end when this one is interrupted, in the machine's time: helm is given
// five seconds.
const cancelTime = 10 * time.Second

// lastRun follows the last run of a DPE, or cancels it.
func (a *app) lastRun(ctx context.Context, c *api.Client, env sim.EnvironmentID, l sim.Label, cancel bool) error {
	all, err := c.Runs(ctx, env, l)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return sim.Errorf(sim.NotFound, "no commands of DPE %s were run since the simulator started", l).WithHelp("run them: 'dpesim dpe run-commands %s %s'", env, l)
	}
	if !cancel {
		return a.followRun(ctx, c, all[0], new(int64))
	}
	if all[0].State != api.RunRunning {
		return sim.Errorf(sim.NotFound, "no commands of DPE %s are running", l).WithHelp("the last were the task %s: %s", all[0].Task, all[0].State)
	}
	r, err := c.CancelRun(ctx, env, l, all[0].ID)
	if err == nil {
		fmt.Fprintf(a.Stdout, "cancelling %s, the task %s of DPE %s\n", r.ID, r.Task, l)
	}
	return err
}

// followRun prints what a run prints after the line seen, which it moves on, until it has ended. Its exit code becomes ours.
func (a *app) followRun(ctx context.Context, c *api.Client, r api.Run, seen *int64) error {
	r, err := c.FollowRun(ctx, r.Environment, r.DPE, r.ID, *seen, func(line api.OutputLine) error {
		*seen = line.Line
		_, err := fmt.Fprintln(a.Stdout, line.Text)
		return err
	})
	if err != nil || r.State == api.RunSucceeded {
		return err
	}
	code, why := exitFailed, r.Reason
	if r.ExitCode != nil {
		code, why = *r.ExitCode, fmt.Sprintf("exit code %d of %q", *r.ExitCode, r.Command)
	}
	return &exitError{code: code, err: sim.Errorf(sim.Unavailable, "the run %s: %s", map[api.RunState]string{api.RunFailed: "failed", api.RunCancelled: "was cancelled"}[r.State], why).WithHelp("%s", r.Help())}
}
