package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/dpesim/dpesim/scenarios/verb"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/borrowed"
	"github.com/dpesim/dpesim/sim/kind"
	"github.com/dpesim/dpesim/sim/rehearse"
	"github.com/dpesim/dpesim/sim/stack"
)

// targetFlags say on which cluster a simulator works.
type targetFlags struct {
	cluster string
	kind    kind.Options
	caDir   string

	advertise, listen string
	probeImage        string
	yes               bool
}

func (t *targetFlags) add(fl *pflag.FlagSet) {
	fl.StringVar(&t.cluster, "cluster", rehearse.InProcess, "cluster to work on: "+rehearse.InProcess+"; kind, a real one in containers on this machine; or kubeconfig[:CONTEXT], one of yours")
	fl.StringVar(&t.kind.Name, "kind-name", kind.DefaultName, "name of the kind cluster")
	fl.StringVar(&t.kind.NodeImage, "kind-node-image", "", "image of its node (default $DPESIM_KIND_NODE_IMAGE, else kind's own)")
	fl.BoolVar(&t.kind.Preload, "preload", false, "bring the engine's image to the kind cluster, as 'kind load' does, instead of having it pulled with the access token")
	fl.BoolVar(&t.kind.Keep, "keep-cluster", false, "at the end leave the kind cluster, to be used again, or what was installed in a cluster of yours")
	t.addReach(fl)
	fl.StringVar(&t.probeImage, "probe-image", "", "image of dpesim that the nodes of your cluster pull, for the pod that looks from inside (default: the engine's, from the simulator's registry)")
	fl.BoolVar(&t.yes, "yes", false, "write to a cluster of yours that is not marked as one for rehearsals")
}

// addReach adds the flags that say how a person's cluster finds the simulator.
func (t *targetFlags) addReach(fl *pflag.FlagSet) {
	fl.StringVar(&t.advertise, "advertise", "", "name or address by which the nodes and pods of a cluster of yours reach this machine")
	fl.StringVar(&t.listen, "advertise-listen", "", "address at which to listen for them (default: the advertised one, or 0.0.0.0 if that is not this machine's own)")
	fl.StringVar(&t.caDir, "ca-dir", "", "directory that keeps the certificate authority (default: with the state; for a cluster of yours in your configuration directory, since nodes learn to trust it once)")
}

// name is the kind of target, as scenarios name it; context is what stands after it.
func (t *targetFlags) name() (name, context string) {
	name, context, _ = strings.Cut(t.cluster, ":")
	return name, context
}

// check returns the error of a cluster that is not known.
func (t *targetFlags) check() error {
	name, context := t.name()
	switch {
	case name == rehearse.Kubeconfig, context == "" && (t.cluster == rehearse.InProcess || t.cluster == rehearse.Kind):
		return nil
	}
	return &exitError{code: exitTarget, err: sim.Errorf(sim.Unavailable, "there is no cluster %q", t.cluster).
		WithHelp("the clusters are %s, in this process, %s, in containers on this machine, and %s[:CONTEXT], one of yours", rehearse.InProcess, rehearse.Kind, rehearse.Kubeconfig)}
}

// authority gives the directory of the certificate authority; empty: with the state.
func (t *targetFlags) authority(a *app) (string, error) {
	if t.caDir != "" {
		return a.path(t.caDir), nil
	}
	if name, _ := t.name(); name != rehearse.Kubeconfig {
		return "", nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find your configuration directory (name a directory with --ca-dir): %w", err)
	}
	return filepath.Join(dir, "dpesim", "ca"), nil
}

// realCluster is a cluster beside this process.
type realCluster interface {
	Target() *stack.Target           // what a simulator needs of it
	Clean(ctx context.Context) error // removes what a scenario has left, before the next
	Close() error                    // removes what is not to stay
}

var (
	_ realCluster = (*kind.Cluster)(nil)
	_ realCluster = (*borrowed.Cluster)(nil)
)

// open makes or finds the cluster; nil if it is the one in the process. The caller closes what it got. Phases are told on stderr.
// binaries are the programs that the engine's image is made of beside the running one.
func (t *targetFlags) open(ctx context.Context, a *app, binaries []string) (realCluster, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	name, context := t.name()
	if name != rehearse.InProcess && len(binaries) == 0 {
		if err := a.contained(); err != nil {
			return nil, &exitError{code: exitTarget, err: err}
		}
	}
	switch name {
	case rehearse.Kind:
		return t.openKind(ctx, a)
	case rehearse.Kubeconfig:
		return t.borrow(ctx, a, context)
	}
	return nil, nil //nolint:nilnil // the one in the process needs none
}

// borrow finds the cluster of the kubeconfig's context.
func (t *targetFlags) borrow(ctx context.Context, a *app, name string) (realCluster, error) {
	at, err := borrowed.Advertise(ctx, borrowed.ThisMachine(), t.advertise, t.listen)
	if err != nil {
		return nil, usage(err)
	}
	o := borrowed.Options{
		Context: name, Advertised: at, Yes: t.yes, Keep: t.kind.Keep, ProbeImage: t.probeImage, Ask: a.askLeave(), Uninstall: a.uninstall,
		Progress: func(what string) { fmt.Fprintf(a.Stderr, "kubeconfig: %s\n", what) },
	}
	for _, file := range filepath.SplitList(a.Getenv("KUBECONFIG")) {
		o.Files = append(o.Files, a.path(file))
	}
	c, err := borrowed.Open(ctx, o)
	if err != nil {
		if ctx.Err() == nil {
			err = &exitError{code: exitTarget, err: err}
		}
		return nil, err
	}
	return c, nil
}

// askLeave gives what asks a person whether to write to a cluster; nil if there is no terminal.
func (a *app) askLeave() func(borrowed.Place) (bool, error) {
	if f, ok := a.Stdin.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) { //nolint:gosec // a file descriptor is small
		return nil
	}
	return func(p borrowed.Place) (bool, error) {
		fmt.Fprintf(a.Stderr, "This cluster is not marked as one for rehearsals:\n  context  %s\n  cluster  %s\n  server   %s\n  user     %s\nWrite to it? Type yes: ", p.Context, p.Cluster, p.Server, p.User)
		line, err := bufio.NewReader(a.Stdin).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return false, fmt.Errorf("read the answer: %w", err)
		}
		return strings.TrimSpace(line) == "yes", nil
	}
}

// uninstall removes a Helm release by the helm that is linked in.
func (a *app) uninstall(ctx context.Context, kubeconfig []byte, namespace, release string) (err error) {
	dir, err := os.MkdirTemp("", "dpesim-uninstall-")
	if err != nil {
		return fmt.Errorf("make a folder for helm: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(file, kubeconfig, 0o600); err != nil {
		return fmt.Errorf("write the kubeconfig: %w", err)
	}
	var out bytes.Buffer
	err = verb.Helm(ctx, verb.Call{
		Args: []string{"uninstall", release, "--namespace", namespace, "--ignore-not-found", "--wait", "--timeout", "2m"},
		Dir:  dir, Env: append(a.Environ(), "KUBECONFIG="+file), Stdout: &out, Stderr: &out,
	})
	if err != nil {
		return fmt.Errorf("helm uninstall %s: %w: %s", release, err, strings.TrimSpace(out.String()))
	}
	return nil
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
