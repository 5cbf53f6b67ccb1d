package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/stack"
)

// client gives the API of the simulator that the user means: --server, else that of --endpoints-file, else
// DPESIM_SERVER, else that of DPESIM_ENDPOINTS or of the file in the cache directory.
func (a *app) client() (*api.Client, error) {
	server := a.server
	if server == "" && a.endpointsFile == "" {
		server = a.Getenv("DPESIM_SERVER")
	}
	if server != "" {
		return &api.Client{BaseURL: server}, nil
	}
	e, err := a.endpoints()
	if err != nil {
		return nil, err
	}
	return &api.Client{BaseURL: e.Portal}, nil
}

// clientRun makes the RunE of a command that needs the API.
func (a *app) clientRun(f func(ctx context.Context, c *api.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		return f(cmd.Context(), c, args)
	}
}

// waitFlags are the flags of commands that wait.
type waitFlags struct{ timeout time.Duration }

func (f *waitFlags) add(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "how long to wait")
}

// until calls check now and after each event of env until it returns true or an error. What is waited for is told by the
// error of a time-out.
func (f *waitFlags) until(ctx context.Context, c *api.Client, env sim.EnvironmentID, what string, check func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	err := f.follow(ctx, c, env, check)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return sim.Errorf(sim.Unavailable, "%s: not so after %s", what, f.timeout).WithHelp("see 'dpesim timeline' for what happened, or wait longer (--timeout)")
	}
	return err
}

func (f *waitFlags) follow(ctx context.Context, c *api.Client, env sim.EnvironmentID, check func(context.Context) (bool, error)) error {
	// Events from now on first, then the first look: what happens between the two is not missed.
	events, err := c.Events(ctx, api.EventFilter{})
	if err != nil {
		return err
	}
	var last uint64
	if len(events) > 0 {
		last = events[len(events)-1].Seq
	}
	done, err := check(ctx)
	if done || err != nil {
		return err
	}
	err = c.Follow(ctx, api.EventFilter{After: last, Environment: env}, func(sim.Event) error {
		if done, err = check(ctx); err == nil && done {
			return api.ErrStop
		}
		return err
	})
	if err == nil && !done {
		return sim.Errorf(sim.Unavailable, "the simulator stopped meanwhile")
	}
	return err
}

// environmentVariables are what helm, kubectl and other programs are given to find the simulator.
func environmentVariables(e stack.Endpoints, endpointsFile string) map[string]string {
	return map[string]string{
		"DPESIM_SERVER":    e.Portal,
		"DPESIM_ENDPOINTS": endpointsFile,
		"DPESIM_CA":        e.CA,
		"DPESIM_REGISTRY":  e.RegistryHost(),
		"DPESIM_PROXY":     e.Proxy,
		"KUBECONFIG":       e.Kubeconfig,
	}
}
