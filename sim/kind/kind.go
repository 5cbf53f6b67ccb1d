// Package kind makes real Kubernetes clusters on this machine, in containers, through kind, and lets them find a simulator that
// listens beside them.
package kind

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kind/pkg/apis/config/defaults"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"

	"github.com/dpesim/dpesim/sim"
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
	Dir       string            // for files of ours while the cluster is used; Close removes it
	Progress  func(what string) // is told each phase, from one goroutine at a time; nil: nobody
}

// Cluster is a cluster that runs. It is safe for concurrent use.
type Cluster struct {
	opts       Options
	provider   *cluster.Provider
	nodes      []nodes.Node
	gateway    netip.Addr
	kubeconfig []byte
	config     *rest.Config
}

// readyTimeout is how long the control plane may take to become ready.
const readyTimeout = 3 * time.Minute

// Open makes the cluster, which takes half a minute or so, or uses the one that an earlier run has kept. What a run left that
// was killed is removed first. kind cannot be interrupted: when ctx ends, Open waits for the phase to end, removes what was made, and
// returns ctx's error.
//
// It returns Unavailable if there is no Docker, Podman or nerdctl that can be used, and Conflict if a cluster of that name
// belongs to somebody else.
func Open(ctx context.Context, o Options) (_ *Cluster, err error) {
	if o.Name == "" {
		o.Name = DefaultName
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	log := &logger{tell: o.Progress}
	provider, err := detect(log)
	if err != nil {
		return nil, err
	}
	c := &Cluster{opts: o, provider: provider}
	there, err := c.find()
	if err != nil {
		return nil, err
	}
	if !there {
		if err := c.create(ctx, log); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.nodes, err = provider.ListInternalNodes(o.Name); err != nil {
		return nil, fmt.Errorf("list the nodes of the kind cluster %s: %w", o.Name, err)
	}
	if len(c.nodes) == 0 {
		return nil, sim.Errorf(sim.Conflict, "the kind cluster %s has no node", o.Name).WithHelp("remove it: kind delete cluster --name %s", o.Name)
	}
	if err := c.own(os.Getpid()); err != nil {
		return nil, err
	}
	return c, errors.Join(c.findGateway(), c.connect())
}

// detect finds what runs containers here.
func detect(log *logger) (*cluster.Provider, error) {
	how, err := cluster.DetectNodeProvider()
	if err == nil && how == nil {
		err = errors.New("neither Docker, nor Podman, nor nerdctl was found")
	}
	if err != nil {
		return nil, &sim.Error{
			Kind: sim.Unavailable, Msg: "there is nothing that could run a kind cluster: " + err.Error(), Err: err,
			Help: "install Docker and start it, or rehearse on the cluster in the process: --cluster inprocess",
		}
	}
	p := cluster.NewProvider(cluster.ProviderWithLogger(log), how)
	if _, err := p.List(); err != nil {
		return nil, &sim.Error{
			Kind: sim.Unavailable, Msg: "the container engine does not answer: " + log.cause(err), Err: err,
			Help: "is it started, and may you use it? Try 'docker ps'. On Linux, your user must be in the group docker",
		}
	}
	return p, nil
}

// ownerFile on a node says which process uses the cluster.
const ownerFile = "/kind/dpesim-owner"

// find tells whether there is a cluster to be used again. One that a killed run has left is removed.
func (c *Cluster) find() (bool, error) {
	names, err := c.provider.List()
	if err != nil {
		return false, fmt.Errorf("list kind clusters: %w", err)
	}
	if !slices.Contains(names, c.opts.Name) {
		return false, nil
	}
	all, err := c.provider.ListInternalNodes(c.opts.Name)
	if err != nil {
		return false, fmt.Errorf("list the nodes of the kind cluster %s: %w", c.opts.Name, err)
	}
	pid, marked := ownerOf(all)
	switch {
	case !marked && !strings.HasPrefix(c.opts.Name, DefaultName):
		return false, sim.Errorf(sim.Conflict, "a kind cluster %s is there, and no simulator made it", c.opts.Name).
			WithHelp("give another name (--kind-name); to rehearse on a cluster of yours, use --cluster kubeconfig:kind-%s", c.opts.Name)
	case marked && pid != 0 && running(pid):
		return false, sim.Errorf(sim.Conflict, "the kind cluster %s is used by the simulator with process id %d", c.opts.Name, pid).
			WithHelp("stop that one, or give another name: --kind-name")
	case marked && pid == 0 && c.opts.Keep:
		return true, nil
	}
	c.opts.Progress("removing the cluster that an earlier run has left")
	if err := c.provider.Delete(c.opts.Name, c.scratch()); err != nil {
		return false, fmt.Errorf("remove the kind cluster %s of an earlier run: %w", c.opts.Name, err)
	}
	return false, nil
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
			return fmt.Errorf("mark the node %s as used: %w", n, err)
		}
	}
	return nil
}

// scratch is a kubeconfig of ours: kind must not write into the person's.
func (c *Cluster) scratch() string { return path.Join(c.opts.Dir, "kind-kubeconfig") }

func (c *Cluster) create(ctx context.Context, log *logger) error {
	options := []cluster.CreateOption{
		cluster.CreateWithV1Alpha4Config(&v1alpha4.Cluster{
			TypeMeta: v1alpha4.TypeMeta{Kind: "Cluster", APIVersion: "kind.x-k8s.io/v1alpha4"},
			Nodes:    []v1alpha4.Node{{Role: v1alpha4.ControlPlaneRole}},
		}),
		cluster.CreateWithKubeconfigPath(c.scratch()), cluster.CreateWithWaitForReady(readyTimeout),
		cluster.CreateWithDisplayUsage(false), cluster.CreateWithDisplaySalutation(false),
	}
	if c.opts.NodeImage != "" {
		options = append(options, cluster.CreateWithNodeImage(c.opts.NodeImage))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.provider.Create(c.opts.Name, options...); err != nil {
		return &sim.Error{Kind: sim.Unavailable, Msg: fmt.Sprintf("the kind cluster %s was not made: %s", c.opts.Name, log.cause(err)), Err: err, Help: Remedy(log.cause(err))}
	}
	return nil
}

// Remedy tells what to do about what a container engine, or kind, said as it failed.
func Remedy(cause string) string {
	for _, r := range []struct{ sign, help string }{
		{"permission denied", "may you use the container engine? Try 'docker ps'. On Linux, your user must be in the group docker"},
		{"Cannot connect", "start the container engine, and see that 'docker ps' answers; DOCKER_HOST and 'docker context' say which one is asked"},
		{"pull", "the node image cannot be had: name one that is there with --kind-node-image, or load it ('docker load')"},
		{"No such image", "the node image cannot be had: name one that is there with --kind-node-image, or load it ('docker load')"},
		{"port is already allocated", "another program has a port that the cluster wants: run 'docker ps' and stop it"},
		{"no space left", "the disk is full: 'docker system df' shows what takes how much"},
		{"cgroup", "the container engine cannot limit memory and CPU here: see 'kind: known issues' for cgroups"},
	} {
		if strings.Contains(cause, r.sign) {
			return r.help
		}
	}
	return "is there enough memory (2 GiB) and disk (5 GiB) for a node? 'docker logs' of the node says more; see also 'kind: known issues'"
}

// findGateway finds this machine's address as the nodes see it.
func (c *Cluster) findGateway() error {
	var out bytes.Buffer
	if err := c.nodes[0].Command("ip", "-4", "route", "show", "default").SetStdout(&out).Run(); err != nil {
		return fmt.Errorf("ask a node for its way out: %w", err)
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
		return fmt.Errorf("read the kubeconfig of the kind cluster %s: %w", c.opts.Name, err)
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
	if err := errors.Join(c.provider.Delete(c.opts.Name, c.scratch()), os.RemoveAll(c.opts.Dir)); err != nil {
		return &sim.Error{
			Kind: sim.Unavailable, Msg: fmt.Sprintf("the kind cluster %s was not removed: %v", c.opts.Name, err), Err: err,
			Help: "remove it: kind delete cluster --name " + c.opts.Name,
		}
	}
	return nil
}
