package cli

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/scenarios/verb"
	"github.com/dpesim/dpesim/sim"
)

func newHelmCommand(a *app) *cobra.Command {
	return newToolCommand(a, "helm", "The real helm, on the simulator's cluster", verb.Helm)
}

func newKubectlCommand(a *app) *cobra.Command {
	return newToolCommand(a, "kubectl", "The real kubectl, on the simulator's cluster", verb.Kubectl)
}

func newCraneCommand(a *app) *cobra.Command {
	return newToolCommand(a, "crane", "The real crane: copies images to a registry of your own, and serves one", verb.Crane)
}

// newToolCommand makes the command of a linked-in tool. All arguments are the tool's own, --help included.
func newToolCommand(a *app, name, short string, tool verb.Verb) *cobra.Command {
	return &cobra.Command{
		Use: name + " [ARG...]", Short: short, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			call, err := a.clusterCall()
			if err != nil {
				return err
			}
			call.Args = args
			return a.use(cmd.Context(), tool, call)
		},
	}
}

// clusterCall gives the call of a linked-in tool, still without arguments, on the simulator's cluster. Without a simulator
// the tools still have their help and their versions.
func (a *app) clusterCall() (verb.Call, error) {
	env := a.Environ()
	e, err := a.endpoints()
	switch {
	case err == nil:
		env = append(env, "KUBECONFIG="+e.Kubeconfig)
	case sim.KindOf(err) != sim.NotFound:
		return verb.Call{}, err
	}
	dir := a.Dir
	if dir == "" {
		if dir, err = os.Getwd(); err != nil {
			return verb.Call{}, err
		}
	}
	return verb.Call{Dir: dir, Env: env}, nil
}
