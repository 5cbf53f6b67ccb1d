// Package operator is the terminal of who operates the cluster: a shell whose words are the helm and kubectl that are
// linked in.
package operator

import (
	"context"
	"io"
	"maps"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/scenarios/verb"
)

// Run runs a command as the portal prints it, in the folder dir with the environment env, writes what it prints to out as
// it comes, and gives its exit code. Nothing of this process' environment and no program of this machine is used: PATH is
// empty, so that helm finds no helper that would keep its log-in elsewhere, and HOME is in dir. Executables that use it
// must call [verb.Dispatch]. out must be safe for concurrent use. An error means that the command could not run, or that
// ctx ended it: then helm and kubectl have been interrupted and are gone.
func Run(ctx context.Context, dir string, env map[string]string, command string, out io.Writer) (code int, err error) {
	env = maps.Clone(env)
	if env == nil {
		env = map[string]string{}
	}
	env["PATH"] = ""
	return engine.Paste(ctx, command, engine.Options{
		Dir: dir, Env: env, NoExec: true,
		Verbs: map[string]verb.Verb{"helm": verb.Helm, "kubectl": verb.Kubectl},
	}, out)
}
