package borrowed

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster/probe"
	"github.com/dpesim/dpesim/sim/stack"
)

// Network is what [Advertise] asks this machine.
type Network struct {
	Lookup    func(ctx context.Context, host string) ([]netip.Addr, error)
	Addresses func() ([]netip.Addr, error) // of this machine's interfaces
}

// ThisMachine is the network as it is.
func ThisMachine() Network {
	return Network{
		Lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
		Addresses: func() ([]netip.Addr, error) {
			all, err := net.InterfaceAddrs()
			var out []netip.Addr
			for _, a := range all {
				if p, err := netip.ParsePrefix(a.String()); err == nil {
					out = append(out, p.Addr().Unmap())
				}
			}
			return out, err
		},
	}
}

// Advertise works out how the cluster reaches this machine: by name, a DNS name or an address. This machine then listens at
// the address listen; if that is empty, at the advertised address, or, if that is none of this machine's, at all of its addresses.
//
// It returns Invalid for a name or an address that cannot work.
func Advertise(ctx context.Context, n Network, name, listen string) (Advertised, error) {
	const example = "for example --advertise 192.0.2.10, an address of this machine that the cluster's nodes and pods reach"
	if name == "" {
		return Advertised{}, sim.Errorf(sim.Invalid, "a cluster of yours must be told where this machine is").WithHelp("say so: %s", example)
	}
	out := Advertised{Name: strings.ToLower(name)}
	address, err := netip.ParseAddr(name)
	if err != nil {
		found, err := n.Lookup(ctx, out.Name)
		if err != nil || len(found) == 0 {
			return Advertised{}, sim.Errorf(sim.Invalid, "the advertised name %q does not resolve here, and helm runs here: %v", name, err).WithHelp("give it a record, or advertise an address: %s", example)
		}
		address = found[0]
		if i := slices.IndexFunc(found, func(a netip.Addr) bool { return a.Unmap().Is4() }); i >= 0 {
			address = found[i]
		}
	}
	out.Address = address.Unmap().WithZone("")
	if out.Address.IsLoopback() || out.Address.IsUnspecified() || out.Address.IsMulticast() {
		return Advertised{}, sim.Errorf(sim.Invalid, "nobody else reaches this machine at %s", out.Address).WithHelp("advertise another: %s", example)
	}
	if listen != "" {
		if out.Listen, err = netip.ParseAddr(listen); err != nil || out.Listen.IsLoopback() {
			return Advertised{}, sim.Errorf(sim.Invalid, "%q is no address to listen at for a cluster", listen).WithHelp("give an address of this machine that is not loopback, or 0.0.0.0 for all (--advertise-listen)")
		}
		return out, nil
	}
	own, err := n.Addresses()
	if err != nil {
		return Advertised{}, fmt.Errorf("list this machine's addresses: %w", err)
	}
	switch {
	case slices.Contains(own, out.Address):
		out.Listen = out.Address
	case out.Address.Is4():
		out.Listen = netip.IPv4Unspecified()
	default:
		out.Listen = netip.IPv6Unspecified()
	}
	return out, nil
}

// connect tells what must be reachable; nodes of somebody's cluster are not ours to change.
func (c *Cluster) connect(_ context.Context, r stack.Reach) error {
	c.keeper.serves(r)
	if c.told.Swap(true) { // by an earlier scenario
		return nil
	}
	_, port, err := net.SplitHostPort(r.Registry)
	if err != nil {
		return fmt.Errorf("name the registry: %w", err)
	}
	_, domain, _ := strings.Cut(r.Inside, ".")
	at := net.JoinHostPort(c.opts.Advertised.Address.String(), port)
	for _, line := range []string{
		fmt.Sprintf("the cluster %s, context %s, %s", c.place.Cluster, c.place.Context, c.place.Server),
		"this must be reachable from it:",
		fmt.Sprintf("  %s by nodes: images, from %s", at, r.Registry),
		fmt.Sprintf("  %s by pods: DPM, as dpm-grpc-ENVIRONMENT.%s", at, domain),
		fmt.Sprintf("  %s by pods: object storage, as minio-ENVIRONMENT.%s", at, domain),
		"pods find these names by hostAliases in the values; nodes must trust the registry's authority: 'dpesim cluster trust' prints how",
	} {
		c.opts.Progress(line)
	}
	return nil
}

// prove shows once, by a pod, that the cluster reaches the simulator. It returns Unavailable if it does not.
func (c *Cluster) prove(ctx context.Context, p stack.Proof) error {
	c.proving.Lock()
	defer c.proving.Unlock()
	if c.proven {
		return nil
	}
	c.opts.Progress("looking from inside, by a pod in the namespace " + Home)
	var hosts []string
	for _, t := range p.Targets {
		host, _, err := net.SplitHostPort(t.Addr)
		if err != nil {
			return fmt.Errorf("name what a pod shall reach: %w", err)
		}
		hosts = append(hosts, host)
	}
	o := probe.Options{
		Config: c.config, Namespace: Home, Image: p.Image, Login: &p.Login, CA: p.CA, Targets: p.Targets,
		HostAliases: []probe.HostAlias{{IP: c.opts.Advertised.Address.String(), Hostnames: hosts}},
	}
	if c.opts.ProbeImage != "" {
		o.Image, o.Login = c.opts.ProbeImage, nil
	}
	rows, err := probe.Run(ctx, o)
	if err != nil {
		return err
	}
	failed := slices.IndexFunc(rows, func(r probe.Row) bool { return !r.OK })
	for _, r := range rows {
		if r.OK {
			c.opts.Progress(fmt.Sprintf("  ok      %s: %s", r.Name, r.Tried))
		} else {
			c.opts.Progress(fmt.Sprintf("  FAILED  %s: %s: %s. What to do: %s", r.Name, r.Tried, r.Problem, r.Help))
		}
	}
	if failed >= 0 {
		r := rows[failed]
		return sim.Errorf(sim.Unavailable, "the cluster does not reach the simulator: %s: %s: %s", r.Name, r.Tried, r.Problem).WithHelp("%s", r.Help)
	}
	c.proven = true
	return nil
}

// Trust gives what an administrator runs on each node, as root, so that containerd trusts the authority for the registry,
// host:port. It changes nothing for other registries and needs no restart.
func Trust(registry string, ca []byte) string {
	const script = `# On each node, as root. containerd looks there if its config_path is /etc/containerd/certs.d, as in most distributions.
dir=/etc/containerd/certs.d/%[1]s
mkdir -p "$dir"
cat > "$dir/ca.crt" <<'END'
%[2]s
END
cat > "$dir/hosts.toml" <<END
server = "https://%[1]s"

[host."https://%[1]s"]
  ca = "$dir/ca.crt"
END
`
	return fmt.Sprintf(script, registry, strings.TrimSpace(string(ca)))
}
