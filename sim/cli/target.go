package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/kind"
	"github.com/dpesim/dpesim/sim/rehearse"
	"github.com/dpesim/dpesim/sim/stack"
)

// targetFlags say on which cluster a simulator works.
type targetFlags struct {
	cluster string
	kind    kind.Options
}

func (t *targetFlags) add(fl *pflag.FlagSet) {
	fl.StringVar(&t.cluster, "cluster", rehearse.InProcess, "cluster to work on: "+rehearse.InProcess+", or kind, a real one in containers on this machine")
	fl.StringVar(&t.kind.Name, "kind-name", kind.DefaultName, "name of the kind cluster")
	fl.StringVar(&t.kind.NodeImage, "kind-node-image", "", "image of its node (default $DPESIM_KIND_NODE_IMAGE, else kind's own)")
	fl.BoolVar(&t.kind.Preload, "preload", false, "bring the engine's image to the kind cluster, as 'kind load' does, instead of having it pulled with the access token")
	fl.BoolVar(&t.kind.Keep, "keep-cluster", false, "leave the kind cluster at the end, and use it again if it is there")
}

// check returns the error of a cluster that is not known.
func (t *targetFlags) check() error {
	switch t.cluster {
	case rehearse.InProcess, rehearse.Kind:
		return nil
	}
	return &exitError{code: exitTarget, err: sim.Errorf(sim.Unavailable, "there is no cluster %q", t.cluster).
		WithHelp("the clusters are %s, in this process, and %s, in containers on this machine", rehearse.InProcess, rehearse.Kind)}
}

// realCluster is a cluster beside this process.
type realCluster interface {
	Target() *stack.Target           // what a simulator needs of it
	Clean(ctx context.Context) error // removes what a scenario has left, before the next
	Close() error                    // removes what is not to stay
}

var _ realCluster = (*kind.Cluster)(nil)

// open makes or finds the cluster; nil if it is the one in the process. The caller closes what it got. Phases are told on stderr.
func (t *targetFlags) open(ctx context.Context, a *app) (realCluster, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	switch t.cluster {
	case rehearse.Kind:
		return t.openKind(ctx, a)
	}
	return nil, nil //nolint:nilnil // the one in the process needs none
}

func (t *targetFlags) openKind(ctx context.Context, a *app) (_ realCluster, err error) {
	o := t.kind
	o.NodeImage = cmp.Or(o.NodeImage, a.Getenv("DPESIM_KIND_NODE_IMAGE"))
	o.Progress = func(what string) { fmt.Fprintf(a.Stderr, "kind: %s\n", strings.ToLower(what[:1])+what[1:]) }
	if o.Dir, err = os.MkdirTemp("", "dpesim-kind-"); err != nil {
		return nil, fmt.Errorf("make a folder for kind: %w", err)
	}
	c, err := kind.Open(ctx, o)
	if err != nil {
		err = errors.Join(err, os.RemoveAll(o.Dir))
		if ctx.Err() == nil {
			err = &exitError{code: exitTarget, err: err}
		}
		return nil, err
	}
	return c, nil
}
