// Package kind makes real Kubernetes clusters on this machine, in containers, through kind, and lets them find a simulator that
// listens beside them.
package kind

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kind/pkg/apis/config/defaults"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
)

// DefaultName is the cluster's name where nobody gives one. Clusters whose names begin with it are taken for a simulator's.
const DefaultName = "dpesim"

// DefaultNodeImage is the image of a node where nobody names one: that of the linked kind.
const DefaultNodeImage = defaults.Image

// Options say what cluster is wanted.
type Options struct {
	Name      string            // empty: [DefaultName]
	NodeImage string            // empty: [DefaultNodeImage]
	Keep      bool              // leave the cluster at the end, and use it again if it is there
	Preload   bool              // bring the engine's image to the nodes, instead of having it pulled
	Dir       string            // for files of ours while the cluster is used; Close removes it
	Progress  func(what string) // is told each phase, and what a long one waits for, from one goroutine at a time; nil: nobody
	Clock     *clock.Clock      // nil: the machine's
}

// Cluster is a cluster that runs. It is safe for concurrent use.
type Cluster struct {
	opts       Options
	log        *logger
	provider   *cluster.Provider
	nodes      []nodes.Node
	gateway    netip.Addr
	kubeconfig []byte
	config     *rest.Config
	small      sync.Once // tells that the machine is small
}

// Open makes the cluster, which takes half a minute or so, or uses the one that an earlier run has kept. What a run left that
// was killed is removed first. kind cannot be interrupted: when ctx ends, Open waits for the phase to end, removes what was made, and
// returns ctx's error.
//
// It returns Unavailable if there is no Docker, Podman or nerdctl that can be used, or if the cluster does not come up, and Conflict
// if a cluster of that name belongs to somebody else.
func Open(ctx context.Context, o Options) (_ *Cluster, err error) {
	c, err := detect(o)
	if err != nil {
		return nil, err
	}
	there, err := c.find()
	if err != nil {
		return nil, err
	}
	defer c.follow(ctx)()
	if !there {
		if err := c.create(ctx); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			c.opts.Keep = c.opts.Keep && there // a new one that is not as it should be is of no use
			err = errors.Join(err, c.Close())
		}
	}()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.nodes, err = c.provider.ListInternalNodes(c.opts.Name); err != nil {
		return nil, c.failed("does not tell its nodes", err)
	}
	if len(c.nodes) == 0 {
		return nil, sim.Errorf(sim.Conflict, "the kind cluster %s has no node", c.opts.Name).WithHelp("remove it: dpesim cluster remove --kind-name %s", c.opts.Name)
	}
	if err := c.own(os.Getpid()); err != nil {
		return nil, err
	}
	return c, errors.Join(c.ready(ctx), c.findGateway(), c.connect())
}

// detect finds what runs containers here.
func detect(o Options) (*Cluster, error) {
	if o.Name == "" {
		o.Name = DefaultName
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Clock == nil {
		o.Clock = clock.New()
	}
	how, err := cluster.DetectNodeProvider()
	if err != nil {
		return nil, &sim.Error{
			Kind: sim.Unavailable, Msg: "there is nothing that could run a kind cluster: neither Docker, nor nerdctl, nor Podman is on the PATH", Err: err,
			Help: "install Docker and start it, or rehearse on the cluster in the process: --cluster inprocess",
		}
	}
	log := &logger{clock: o.Clock, tell: o.Progress}
	c := &Cluster{opts: o, log: log, provider: cluster.NewProvider(cluster.ProviderWithLogger(log), how)}
	if _, err := c.provider.List(); err != nil {
		return nil, &sim.Error{Kind: sim.Unavailable, Msg: "the container engine does not answer: " + said(err), Err: err, Help: Remedy(said(err))}
	}
	return c, nil
}

// ownerFile on a node says which process uses the cluster.
const ownerFile = "/kind/dpesim-owner"

// find tells whether there is a cluster to be used again. One that a killed run has left is removed.
func (c *Cluster) find() (bool, error) {
	there, kept, err := c.look()
	if err != nil || !there || kept && c.opts.Keep {
		return there, err
	}
	c.log.say("removing the cluster that an earlier run has left")
	return false, c.remove()
}

// look tells whether there is a cluster of that name, and whether an earlier run has kept it. It returns Conflict for one that is
// somebody else's or in use.
func (c *Cluster) look() (there, kept bool, err error) {
	names, err := c.provider.List()
	if err != nil {
		return false, false, c.failed("cannot be looked for", err)
	}
	if !slices.Contains(names, c.opts.Name) {
		return false, false, nil
	}
	all, err := c.provider.ListInternalNodes(c.opts.Name)
	if err != nil {
		return false, false, c.failed("does not tell its nodes", err)
	}
	pid, marked := ownerOf(all)
	switch {
	case !marked && !strings.HasPrefix(c.opts.Name, DefaultName):
		return false, false, sim.Errorf(sim.Conflict, "a kind cluster %s is there, and no simulator made it", c.opts.Name).
			WithHelp("give another name (--kind-name); to rehearse on a cluster of yours, use --cluster kubeconfig:kind-%s", c.opts.Name)
	case marked && pid != 0 && running(pid):
		return false, false, sim.Errorf(sim.Conflict, "the kind cluster %s is used by the simulator with process id %d", c.opts.Name, pid).
			WithHelp("stop that one, or give another name: --kind-name")
	}
	return true, marked && pid == 0, nil
}

// remove removes the cluster.
func (c *Cluster) remove() error {
	if err := c.provider.Delete(c.opts.Name, c.scratch()); err != nil {
		return c.failed("was not removed", err)
	}
	return nil
}

// Remove removes a cluster that a simulator has made and kept, or left. Of the options it uses Name.
//
// It returns NotFound if there is none of that name, Conflict if it is in use or no simulator made it, and Unavailable if the
// container engine cannot be used.
func Remove(o Options) (err error) {
	if o.Dir, err = os.MkdirTemp("", "dpesim-kind-"); err != nil {
		return fmt.Errorf("make a folder for kind: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.Dir)) }()
	c, err := detect(o)
	if err != nil {
		return err
	}
	there, _, err := c.look()
	if err == nil && !there {
		err = sim.Errorf(sim.NotFound, "there is no kind cluster %s", c.opts.Name).WithHelp("give its name: --kind-name; 'docker ps' lists the containers of clusters")
	}
	if err != nil {
		return err
	}
	return c.remove()
}

// ownerOf reads which process uses the cluster of these nodes, 0 if it was kept, and whether that is written there.
func ownerOf(all []nodes.Node) (pid int, marked bool) {
	for _, n := range all {
		var out bytes.Buffer
		if err := n.Command("cat", ownerFile).SetStdout(&out).Run(); err != nil {
			continue
		}
		if pid, err := strconv.Atoi(strings.TrimSpace(out.String())); err == nil {
			return pid, true
		}
	}
	return 0, false
}

// own writes down which process uses the cluster; 0: none, it is kept.
func (c *Cluster) own(pid int) error {
	for _, n := range c.nodes {
		if err := nodeutils.WriteFile(n, ownerFile, strconv.Itoa(pid)); err != nil {
			return c.failed("cannot be marked as used", err)
		}
	}
	return nil
}

// scratch is a kubeconfig of ours: kind must not write into the person's.
func (c *Cluster) scratch() string { return path.Join(c.opts.Dir, "kind-kubeconfig") }

func (c *Cluster) create(ctx context.Context) error {
	options := []cluster.CreateOption{
		cluster.CreateWithV1Alpha4Config(&v1alpha4.Cluster{
			TypeMeta: v1alpha4.TypeMeta{Kind: "Cluster", APIVersion: "kind.x-k8s.io/v1alpha4"},
			Nodes:    []v1alpha4.Node{{Role: v1alpha4.ControlPlaneRole}},
		}),
		cluster.CreateWithKubeconfigPath(c.scratch()), cluster.CreateWithNodeImage(cmp.Or(c.opts.NodeImage, DefaultNodeImage)),
		cluster.CreateWithDisplayUsage(false), cluster.CreateWithDisplaySalutation(false),
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err := c.provider.Create(c.opts.Name, options...)
	if err != nil && strings.Contains(said(err), slowNode) && ctx.Err() == nil {
		c.log.say("the node was slow to start, and is made once more")
		err = c.provider.Create(c.opts.Name, options...)
	}
	if err != nil {
		return c.failed("was not made", err)
	}
	return nil
}

// slowNode is what kind says of a node that has not begun to start Kubernetes within half a minute. It has removed it by then.
const slowNode = "could not find a log line that matches"

// findGateway finds this machine's address as the nodes see it.
func (c *Cluster) findGateway() error {
	var out bytes.Buffer
	if err := c.nodes[0].Command("ip", "-4", "route", "show", "default").SetStdout(&out).Run(); err != nil {
		return c.failed("does not tell its way out", err)
	}
	words := strings.Fields(out.String())
	if i := slices.Index(words, "via"); i >= 0 && i+1 < len(words) {
		if a, err := netip.ParseAddr(words[i+1]); err == nil {
			c.gateway = a
			return nil
		}
	}
	return sim.Errorf(sim.Unavailable, "a node has no way out: %q", strings.TrimSpace(out.String())).WithHelp("look at the network of the container engine: docker network inspect kind")
}

// connect reads how the API server is reached.
func (c *Cluster) connect() error {
	text, err := c.provider.KubeConfig(c.opts.Name, false)
	if err != nil {
		return c.failed("does not give its kubeconfig", err)
	}
	c.kubeconfig = []byte(text)
	if c.config, err = clientcmd.RESTConfigFromKubeConfig(c.kubeconfig); err != nil {
		return fmt.Errorf("read the kubeconfig of the kind cluster %s: %w", c.opts.Name, err)
	}
	c.config.WarningHandler = rest.NoWarnings{} // of old kinds, which all are looked at
	return nil
}

// Kubeconfig gives what helm and kubectl need, as a file's content. It holds keys: write it with mode 0600.
func (c *Cluster) Kubeconfig() []byte { return bytes.Clone(c.kubeconfig) }

// RESTConfig gives what a client in this process needs.
func (c *Cluster) RESTConfig() *rest.Config { return rest.CopyConfig(c.config) }

// Close removes the cluster, or leaves it for the next run if it is to be kept.
func (c *Cluster) Close() error {
	if c.opts.Keep && len(c.nodes) > 0 {
		return errors.Join(c.own(0), os.RemoveAll(c.opts.Dir))
	}
	return errors.Join(c.remove(), os.RemoveAll(c.opts.Dir))
}
