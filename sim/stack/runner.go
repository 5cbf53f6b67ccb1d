package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dpesim/dpesim/portal/runs"
)

// Shell runs a command as a person would in a terminal in the folder dir, with the environment env and helm and kubectl at
// hand, writes what it prints to out as it comes, and gives its exit code. An error means that it could not run, or that
// ctx ended it. out is safe for concurrent use, and so is a Shell.
type Shell func(ctx context.Context, dir string, env map[string]string, command string, out io.Writer) (code int, err error)

// runner runs the portal's commands as the operator of the cluster.
type runner struct{ *Stack }

var _ runs.Runner = runner{}

// runsDir is where folders of commands are while they run. What an earlier process left there is removed at the start.
const runsDir = "runs"

// kubeconfigFile is the kubeconfig of a run, in its folder.
const kubeconfigFile = ".kubeconfig"

// openRunner gives what runs commands; nil: nothing does.
func (s *Stack) openRunner() (runs.Runner, error) {
	if err := os.RemoveAll(s.dir.join(runsDir)); err != nil {
		return nil, fmt.Errorf("remove what commands have left: %w", err)
	}
	if s.config.Shell == nil {
		return nil, nil //nolint:nilnil // that is a way to be
	}
	return runner{s}, nil
}

// Run runs the commands of w in a folder of their own, which is gone afterwards.
func (r runner) Run(ctx context.Context, w runs.Work) (code int, err error) {
	parent, err := r.dir.dir(runsDir)
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp(parent, "")
	if err != nil {
		return 0, fmt.Errorf("make a folder for the commands: %w", err)
	}
	defer func() {
		if e := os.RemoveAll(dir); e != nil {
			err = errors.Join(err, fmt.Errorf("remove the folder of the commands: %w", e))
		}
	}()
	if err := os.WriteFile(filepath.Join(dir, kubeconfigFile), r.cluster.KubeconfigOf(w.Cause), 0o600); err != nil {
		return 0, fmt.Errorf("write the kubeconfig: %w", err)
	}
	for name, content := range w.Files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content.Reveal()), 0o600); err != nil {
			return 0, fmt.Errorf("write %s: %w", name, err)
		}
	}
	defer r.pace.Program()()
	env := map[string]string{"KUBECONFIG": filepath.Join(dir, kubeconfigFile)}
	for i, c := range w.Commands {
		w.Begin(i)
		if code, err = r.config.Shell(ctx, dir, env, c, w.Output); err != nil || code != 0 {
			return code, err
		}
	}
	return 0, nil
}
