package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
)

func newWaitCommand(a *app) *cobra.Command {
	var wait waitFlags
	cmd := &cobra.Command{
		Use:   "wait [ENVIRONMENT[/LABEL] [FIELD=VALUE]]",
		Short: "Wait until the simulator is up, an environment is ready, or a DPE is connected",
		Long: `Wait until the simulator is up (no argument), an environment is ready, a DPE is connected, or a field of the DPE's status has
a value: state, message, replicas_connected, redeploy_needed or outdated.`,
		Example: "  dpesim wait\n  dpesim wait acme-production/finance-warehouse\n  dpesim wait acme-production/finance-warehouse outdated=true",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 2 {
				return usage(fmt.Errorf("%s takes at most 2 arguments", cmd.CommandPath()))
			}
			return nil
		},
	}
	wait.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return a.waitUp(cmd.Context(), wait)
		}
		c, err := a.client()
		if err != nil {
			return err
		}
		env, label, isDPE := strings.Cut(args[0], "/")
		if !isDPE {
			if len(args) == 2 {
				return usage(fmt.Errorf("%q is for a DPE: name it ENVIRONMENT/LABEL", args[1]))
			}
			return wait.until(cmd.Context(), c, sim.EnvironmentID(env), "environment "+env+" ready", func(ctx context.Context) (bool, error) {
				e, err := c.Environment(ctx, sim.EnvironmentID(env))
				return e.Phase == api.PhaseReady, err
			})
		}
		condition := "state=" + string(api.StateConnected)
		if len(args) == 2 {
			condition = args[1]
		}
		holds, err := statusCondition(condition)
		if err != nil {
			return err
		}
		return wait.until(cmd.Context(), c, sim.EnvironmentID(env), args[0]+" "+condition, func(ctx context.Context) (bool, error) {
			d, err := c.DPE(ctx, sim.EnvironmentID(env), sim.Label(label))
			return err == nil && holds(d.Status), err
		})
	}
	return cmd
}

// waitUp waits until there is a simulator and every part of it is ready.
func (a *app) waitUp(ctx context.Context, wait waitFlags) error {
	limited, cancel := context.WithTimeout(ctx, wait.timeout)
	defer cancel()
	for {
		err := a.isUp(limited)
		if err == nil {
			return nil
		}
		if clock.New().Sleep(limited, upPoll) != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return sim.Errorf(sim.Unavailable, "no simulator is up after %s: %s", wait.timeout, err).WithHelp("start one with 'dpesim up', or wait longer (--timeout)")
		}
	}
}

// upPoll is how often waitUp looks: there is nobody yet who could tell.
const upPoll = 20 * time.Millisecond

func (a *app) isUp(ctx context.Context) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	r, err := c.Ready(ctx)
	if err != nil {
		return err
	}
	for _, check := range r.Checks {
		if !check.OK {
			return fmt.Errorf("%s: %s", check.Name, check.Detail)
		}
	}
	return nil
}

// statusCondition reads FIELD=VALUE.
func statusCondition(s string) (func(api.Status) bool, error) {
	field, want, ok := strings.Cut(s, "=")
	fields := map[string]func(api.Status) string{
		"state":              func(s api.Status) string { return string(s.State) },
		"message":            func(s api.Status) string { return s.Message },
		"replicas_connected": func(s api.Status) string { return strconv.Itoa(s.ReplicasConnected) },
		"redeploy_needed":    func(s api.Status) string { return strconv.FormatBool(s.RedeployNeeded) },
		"outdated":           func(s api.Status) string { return strconv.FormatBool(s.Outdated) },
	}
	get, known := fields[field]
	if !ok || !known {
		return nil, usage(sim.Errorf(sim.Invalid, "%q is not FIELD=VALUE of a DPE's status", s).
			WithHelp("the fields are state, message, replicas_connected, redeploy_needed, outdated"))
	}
	return func(s api.Status) bool { return get(s) == want }, nil
}
