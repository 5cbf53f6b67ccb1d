package kind

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kind/pkg/cluster/nodes"

	"github.com/dpesim/dpesim/sim"
)

const (
	// patience is how long a phase may last before it is told what it waits for, and then again.
	patience = 5 * time.Second
	// readyTimeout is how long the control plane may take to become ready.
	readyTimeout = 3 * time.Minute
	poll         = time.Second
)

// pulling begins the name of kind's phase that has no node yet.
const pulling = "Ensuring node image"

// follow tells every few seconds what a phase waits for that goes on, until the function that it gives is called.
func (c *Cluster) follow(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for c.opts.Clock.Sleep(ctx, poll) == nil {
			phase, d := c.log.silent()
			if phase == "" || d < patience {
				continue
			}
			if seen := c.blockage(ctx, phase); ctx.Err() == nil {
				c.log.wait(phase, seen)
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
		c.log.end()
	}
}

// blockage finds what a phase of the creation waits for.
func (c *Cluster) blockage(ctx context.Context, phase string) string {
	if strings.HasPrefix(phase, pulling) {
		return "it is not on this machine, and is being pulled"
	}
	all, err := c.provider.ListInternalNodes(c.opts.Name)
	switch {
	case err != nil:
		return said(err)
	case len(all) == 0:
		return "the container engine has not made the node yet"
	}
	if seen, _ := unready(ctx, all); seen != "" {
		return seen
	}
	return "the node is ready, and is being set up"
}

// ready waits until the nodes are ready. It does not wait for a node that is gone.
func (c *Cluster) ready(ctx context.Context) error {
	c.log.begin("Waiting for the node to be ready")
	begun := c.opts.Clock.Now()
	limited, cancel := c.opts.Clock.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		seen, gone := unready(limited, c.nodes)
		if seen == "" || ctx.Err() != nil {
			return ctx.Err()
		}
		if gone || c.opts.Clock.Sleep(limited, poll) != nil {
			return sim.Errorf(sim.Unavailable, "the node of the kind cluster %s has not become ready in %s: %s", c.opts.Name, c.opts.Clock.Now().Sub(begun).Round(time.Second), seen).WithHelp("%s", Remedy(seen))
		}
	}
}

// unready tells why the first node that is not ready is not, and whether it is gone; "" if all are.
func unready(ctx context.Context, all []nodes.Node) (why string, gone bool) {
	var out bytes.Buffer
	if err := all[0].CommandContext(ctx, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "get", "nodes", "--output=json").SetStdout(&out).Run(); err != nil {
		switch why := said(err); {
		case lost(why):
			return why, true
		case strings.Contains(why, "admin.conf"):
			return "Kubernetes has not been set up on the node yet", false
		default:
			return "the API server does not answer as it should yet: " + why, false
		}
	}
	var list corev1.NodeList
	if err := json.Unmarshal(out.Bytes(), &list); err != nil {
		return err.Error(), false
	}
	if len(list.Items) < len(all) {
		return "the node has not told the API server of itself yet", false
	}
	for _, n := range list.Items {
		if why := whyNotReady(n); why != "" {
			return why, false
		}
	}
	return "", false
}

// whyNotReady reads a node's Ready condition.
func whyNotReady(n corev1.Node) string {
	for _, x := range n.Status.Conditions {
		if x.Type != corev1.NodeReady {
			continue
		}
		if x.Status == corev1.ConditionTrue {
			return ""
		}
		return x.Reason + ": " + x.Message
	}
	return "the kubelet has not told of its state yet"
}
