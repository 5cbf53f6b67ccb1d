package kind

import (
	"context"
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/kind/pkg/cluster/nodeutils"

	"github.com/dpesim/dpesim/sim/stack"
)

// Connect lets nodes pull images of the simulator's registry, as an administrator of nodes would: its authority is
// trusted, its name known.
func (c *Cluster) Connect(ctx context.Context, r stack.Reach) error {
	host, _, _ := strings.Cut(r.Inside, ":")
	certs := path.Join("/etc/containerd/certs.d", r.Registry)
	hosts := fmt.Sprintf("server = %q\n\n[host.%q]\n  ca = %q\n", "https://"+r.Registry, "https://"+r.Inside, path.Join(certs, "ca.crt"))
	for _, n := range c.nodes {
		for _, f := range [][2]string{{path.Join(certs, "ca.crt"), string(r.CA)}, {path.Join(certs, "hosts.toml"), hosts}} {
			if err := nodeutils.WriteFile(n, f[0], f[1]); err != nil {
				return fmt.Errorf("let the node %s trust the registry: %w", n, err)
			}
		}
		line := fmt.Sprintf("%s %s # dpesim", c.gateway, host)
		script := fmt.Sprintf("sed '/# dpesim$/d' /etc/hosts > /tmp/hosts && echo '%s' >> /tmp/hosts && cat /tmp/hosts > /etc/hosts", line)
		if err := n.Command("sh", "-c", script).Run(); err != nil { // the container engine mounts the file: it can be written, not replaced
			return fmt.Errorf("let the node %s find the registry: %w", n, err)
		}
	}
	return ctx.Err()
}
