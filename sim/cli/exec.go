package cli

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/scenarios/verb"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/rehearse"
	"github.com/dpesim/dpesim/sim/stack"
)

func newExecCommand(a *app) *cobra.Command {
	var flags stackFlags
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARG...]",
		Short: "Stand up a simulator, run a command against it, tear it down, exit with the command's code",
		Long: `Stand up a simulator on free ports, run COMMAND with its endpoints in the environment, tear the simulator down and exit
with COMMAND's exit code. COMMAND sees DPESIM_SERVER, DPESIM_ENDPOINTS, DPESIM_CA, DPESIM_REGISTRY, DPESIM_PROXY and KUBECONFIG.`,
		Example: "  dpesim exec -- ./rehearse.sh",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(fmt.Errorf("no command to run: see '%s --help'", cmd.CommandPath()))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			flags.anyPorts(cmd)
			return a.onTarget(cmd.Context(), &flags, func() error {
				s, err := flags.open(cmd.Context(), a)
				if err != nil {
					return err
				}
				if a.endpointsFile == "" { // one of its own, whatever the environment says: another simulator may be up
					a.endpointsFile = s.Path("endpoints.json")
				}
				return a.serve(cmd.Context(), s, func(ctx context.Context) error { return a.child(ctx, s.Endpoints(), args) })
			})
		},
	}
	cmd.Flags().SetInterspersed(false)
	flags.add(cmd)
	return cmd
}

// child runs a program and gives its exit code as an error. When ctx ends it is interrupted, and killed if it stays.
func (a *app) child(ctx context.Context, e stack.Endpoints, args []string) error {
	file, err := a.endpointsPath()
	if err != nil {
		return err
	}
	path := a.path(args[0])
	if filepath.Base(args[0]) == args[0] { // no path but a name
		if path, err = exec.LookPath(args[0]); err != nil {
			return sim.Errorf(sim.NotFound, "there is no program %s on the PATH", args[0]).WithHelp("name one that is, or give its path")
		}
	}
	env := a.Environ()
	for k, v := range rehearse.Variables(e, file) {
		env = append(env, k+"="+v)
	}
	return a.use(ctx, verb.Program(path, args[0]), verb.Call{Args: args[1:], Dir: a.Dir, Env: env})
}

// use calls a word with our streams; its exit code becomes ours.
func (a *app) use(ctx context.Context, word verb.Verb, c verb.Call) error {
	c.Stdin, c.Stdout, c.Stderr = a.Stdin, a.Stdout, a.Stderr
	err := word(ctx, c)
	if x, ok := errors.AsType[*verb.ExitError](err); ok {
		return &exitError{code: x.Code}
	}
	return err
}
