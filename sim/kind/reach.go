package kind

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"

	"github.com/dpesim/dpesim/sim/stack"
)

// Target gives what a simulator needs of the cluster.
func (c *Cluster) Target() *stack.Target {
	return &stack.Target{Config: c.RESTConfig(), Kubeconfig: c.Kubeconfig(), Gateway: c.gateway, Connect: c.connectNodes}
}

// connectNodes makes the cluster fit for a simulator: nodes pull images of its registry, or have the engine's already with
// [Options.Preload], pods that do not run as root write to their volumes, and they find room.
func (c *Cluster) connectNodes(ctx context.Context, r stack.Reach) error {
	if err := c.Trust(r); err != nil {
		return err
	}
	for _, n := range c.nodes {
		if err := c.forget(n); err != nil {
			return err
		}
		if c.opts.Preload {
			c.log.say("loading the engine's image")
			if err := c.preload(n, r); err != nil {
				return err
			}
		}
	}
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return fmt.Errorf("open a client: %w", err)
	}
	return errors.Join(c.openVolumes(ctx, client), c.fit(ctx, client))
}

// Trust lets nodes pull images of a registry at the gateway, as an administrator of nodes would: its authority is trusted, its
// name known. It takes the place of the registry before.
func (c *Cluster) Trust(r stack.Reach) error {
	host, _, _ := strings.Cut(r.Inside, ":")
	certs := path.Join("/etc/containerd/certs.d", r.Registry)
	hosts := fmt.Sprintf("server = %q\n\n[host.%q]\n  ca = %q\n", "https://"+r.Registry, "https://"+r.Inside, path.Join(certs, "ca.crt"))
	for _, n := range c.nodes {
		for _, f := range [][2]string{{path.Join(certs, "ca.crt"), string(r.CA)}, {path.Join(certs, "hosts.toml"), hosts}} {
			if err := nodeutils.WriteFile(n, f[0], f[1]); err != nil {
				return c.failed("cannot be told whom to trust", err)
			}
		}
		line := fmt.Sprintf("%s %s # dpesim", c.gateway, host)
		script := fmt.Sprintf("sed '/# dpesim$/d' /etc/hosts > /tmp/hosts && echo '%s' >> /tmp/hosts && cat /tmp/hosts > /etc/hosts", line)
		if err := n.Command("sh", "-c", script).Run(); err != nil { // the container engine mounts the file: it can be written, not replaced
			return c.failed("cannot be told where the registry is", err)
		}
	}
	return nil
}

// openVolumes lets pods that do not run as root write to their volumes where the default storage class is Kubernetes' own host-path
// provisioner: its directories are root's, and no fsGroup is applied to them. What kind brings itself opens its directories in
// the same way.
func (c *Cluster) openVolumes(ctx context.Context, client kubernetes.Interface) error {
	classes, err := client.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list storage classes: %w", err)
	}
	hostPath := func(s storagev1.StorageClass) bool { return s.Provisioner == "kubernetes.io/host-path" }
	if !slices.ContainsFunc(classes.Items, hostPath) {
		return nil
	}
	// A pod starts a few hundred milliseconds after its volume was made. No process is started as long as there is no new one.
	const script = `[ -e /run/dpesim-volumes ] && exit; touch /run/dpesim-volumes
{ exec 3<> <(:); while :; do set -- /tmp/hostpath_pv/*; [ "$*" = "$was" ] || { chmod 0777 "$@"; was=$*; }; read -rt 0.01 -u 3; done } </dev/null >/dev/null 2>&1 &`
	for _, n := range c.nodes {
		if err := n.Command("bash", "-c", script).Run(); err != nil {
			return c.failed("does not open its volumes", err)
		}
	}
	return nil
}
