package cluster

import (
	"bytes"
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/life"
)

// Config says how a client reaches an API server, and as whom.
type Config = rest.Config

// Real is a cluster that is not in this process: it is only looked at and used. It is safe for concurrent use.
type Real struct {
	config     *rest.Config
	kubeconfig []byte
	client     *kubernetes.Clientset
	view       *View
	watcher    *watcher
	ready      chan struct{}
}

// RealOptions are what [OpenReal] needs.
type RealOptions struct {
	Config     *rest.Config // of somebody who may at least read nodes and volumes, and in Namespaces pods, Deployments, Secrets and events
	Kubeconfig []byte       // the same as a file for helm and kubectl
	Namespaces []string     // that are followed; nil: all
	Chart      string       // label selector of the pods and Deployments that are told of; empty: all
	Bus        *event.Bus   // is told what happens to pods; nil: silent
}

// OpenReal gives a cluster of whose API server the options tell. Nothing is asked of it before [Real.Serve].
func OpenReal(o RealOptions) (*Real, error) {
	client, err := kubernetes.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("open a client of the cluster: %w", err)
	}
	records, err := metadata.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("open a client of the cluster's metadata: %w", err)
	}
	view, err := newView(protobuf(rest.CopyConfig(o.Config)), o.Namespaces)
	if err != nil {
		return nil, err
	}
	return &Real{config: o.Config, kubeconfig: o.Kubeconfig, client: client, view: view, watcher: newWatcher(client, records, o), ready: make(chan struct{})}, nil
}

// URL gives the API server's address.
func (c *Real) URL() string { return c.config.Host }

// Kubeconfig is what it was opened with.
func (c *Real) Kubeconfig() []byte { return bytes.Clone(c.kubeconfig) }

// KubeconfigOf is [Real.Kubeconfig]: a real cluster cannot be told causes.
func (c *Real) KubeconfigOf(uint64) []byte { return c.Kubeconfig() }

// RESTConfig gives what a client in this process needs.
func (c *Real) RESTConfig() *rest.Config { return rest.CopyConfig(c.config) }

// View gives the cluster as its operator sees it.
func (c *Real) View() *View { return c.view }

// Made gives the Seq of the event that tells what made an object, 0 if that is not known: of Helm's records and Deployments
// it is.
func (c *Real) Made(uid string) uint64 { return c.watcher.trail.Acts.Of(types.UID(uid)).Made }

// Objects is as [Cluster.Objects].
func (c *Real) Objects(ctx context.Context) (map[string][]byte, error) {
	return objects(ctx, c.config, c.config)
}

// Ready is closed once the API server has answered.
func (c *Real) Ready() <-chan struct{} { return c.ready }

// Serve follows the cluster until ctx is done. It may be called once.
func (c *Real) Serve(ctx context.Context) error {
	if err := c.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error(); err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to end
		}
		return fmt.Errorf("ask the API server whether it is ready: %w", err)
	}
	close(c.ready)
	var group life.Group
	for _, s := range []life.Service{{Name: "view", Serve: c.view.serve}, {Name: "watcher", Serve: c.watcher.serve}} {
		if err := group.Add(s); err != nil {
			return err
		}
	}
	return group.Serve(ctx)
}

// Close gives back what it took: idle connections.
func (c *Real) Close() error {
	h, err := rest.HTTPClientFor(c.config)
	if err != nil {
		return fmt.Errorf("close the connections to the cluster: %w", err)
	}
	h.CloseIdleConnections()
	return nil
}
