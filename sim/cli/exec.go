package cli

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/spf13/cobra"

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
			s, err := flags.open(cmd.Context(), a)
			if err != nil {
				return err
			}
			if a.endpointsFile == "" { // one of its own: another simulator may be up
				a.endpointsFile = s.Path("endpoints.json")
			}
			return a.serve(cmd.Context(), s, func(ctx context.Context) error { return a.child(ctx, s.Endpoints(), args) })
		},
	}
	cmd.Flags().SetInterspersed(false)
	flags.add(cmd)
	return cmd
}

// child runs a program and gives its exit code as an error.
func (a *app) child(ctx context.Context, e stack.Endpoints, args []string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Dir = a.Stdin, a.Stdout, a.Stderr, a.Dir
	cmd.Env = a.Environ()
	for k, v := range environmentVariables(e, a.path(a.endpointsFile)) {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	err := cmd.Run()
	if x, ok := errors.AsType[*exec.ExitError](err); ok && x.ExitCode() > 0 {
		return &exitError{code: x.ExitCode()}
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", args[0], err)
	}
	return nil
}
