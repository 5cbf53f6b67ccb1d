package cli

import (
	"cmp"
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// client gives the API of the simulator that the user means: --server, else that of --endpoints-file, else
// DPESIM_SERVER, else that of DPESIM_ENDPOINTS or of the file in the cache directory.
func (a *app) client() (*api.Client, error) {
	c := &api.Client{BaseURL: a.server, As: cmp.Or(a.as, a.Getenv("DPESIM_AS"))}
	if c.BaseURL == "" && a.endpointsFile == "" {
		c.BaseURL = a.Getenv("DPESIM_SERVER")
	}
	e, err := a.endpoints()
	if c.BaseURL == "" {
		if err != nil {
			return nil, err
		}
		c.BaseURL = e.Portal
	}
	own := ""
	if err == nil && e.Portal == c.BaseURL {
		own = e.TokenFile
	}
	c.Token, err = a.token(own)
	return c, err
}

// token gives the token for the portal: of --token-file, else of DPESIM_TOKEN_FILE, else DPESIM_TOKEN itself, else of the
// file own, the simulator's. It is "" if there is none of them: the portal says then what it needs.
func (a *app) token(own string) (sim.Secret, error) {
	path := cmp.Or(a.tokenFile, a.Getenv("DPESIM_TOKEN_FILE"))
	if path == "" {
		if t := a.Getenv("DPESIM_TOKEN"); t != "" {
			return sim.Secret(t), nil
		}
		if path = own; path == "" {
			return "", nil
		}
	}
	b, err := os.ReadFile(a.path(path))
	if err != nil {
		return "", &sim.Error{Kind: sim.Invalid, Msg: "the file with the portal's token cannot be read", Help: "check " + path + ", or name another with --token-file", Err: err}
	}
	return sim.Secret(strings.TrimSpace(string(b))), nil
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
