package stack

import (
	"log/slog"
	"net"
	"net/netip"
	"strings"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/cluster"
)

// DefaultDomain is under .localhost, which browsers and curl resolve to loopback by themselves (RFC 6761, section 6.3).
const DefaultDomain = "dpesim.localhost"

// Config says what to stand up. Start from [Default].
type Config struct {
	HTTPAddr    string // portal, plain HTTP, loopback; port 0 takes a free one
	TLSAddr     string // the edge: every cloud endpoint by SNI; port 0 takes a free one
	ProxyAddr   string // CONNECT proxy that knows the simulator's names
	ClusterAddr string // Kubernetes API of the in-process cluster
	Domain      string // parent of every cloud endpoint's host name
	Seed        uint64 // of the run's draws
	DataDir     string // where state is kept; empty: a temporary directory that Close removes
	CADir       string // where the certificate authority is kept; empty: with the other state

	ImageBinaries []string // dpesim programs for Linux that the engine's image is made of, beside the running one

	Target  *Target        // a cluster beside this process; nil: the one in it
	Nodes   []cluster.Node // of the in-process cluster; nil: its default
	NodeCAs []string       // PEM files of authorities that the nodes trust when they pull, beside the cloud's and the system's
	Source  netip.Addr     // public address of the customer's egress, as the cloud sees it

	Shell Shell        // runs the portal's commands on the cluster, as scenarios/operator does; nil: the portal cannot run any
	Clock *clock.Clock // nil: real time
	Log   *slog.Logger // nil: silent
}

// Default gives the complete configuration of `dpesim up`.
func Default() Config {
	return Config{
		HTTPAddr:    "localhost:8080",
		TLSAddr:     "localhost:8443",
		ProxyAddr:   "localhost:0",
		ClusterAddr: "localhost:0",
		Domain:      DefaultDomain,
		Seed:        1,
		Source:      netip.MustParseAddr("203.0.113.10"), // TEST-NET-3, RFC 5737: nobody's address
	}
}

// check completes c and returns Invalid for what cannot work.
func (c *Config) check() error {
	if c.Clock == nil {
		c.Clock = clock.New()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if !c.Source.IsValid() {
		return sim.Errorf(sim.Invalid, "the customer's egress has no address").WithHelp("set Config.Source, or start from stack.Default")
	}
	if !domainName(c.Domain) {
		return sim.Errorf(sim.Invalid, "%q is not a domain name", c.Domain).WithHelp("use lower-case labels joined by dots, for example %s (--domain)", DefaultDomain)
	}
	for _, a := range []struct{ flag, addr string }{{"--http", c.HTTPAddr}, {"--tls", c.TLSAddr}} {
		host, _, err := net.SplitHostPort(a.addr)
		if err != nil {
			return sim.Errorf(sim.Invalid, "%q is not an address", a.addr).WithHelp("use HOST:PORT, for example localhost:0 (%s)", a.flag)
		}
		if !loopback(host) {
			// Whoever reaches the portal may pick a demo user.
			return sim.Errorf(sim.Invalid, "%s is not a loopback address", a.addr).
				WithHelp("dpesim has demo users that anybody may pick, so it listens on this machine only; use localhost (%s)", a.flag)
		}
	}
	return nil
}

// domainName tells whether s is lower-case labels joined by dots. Source: RFC 1123, section 2.1.
func domainName(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return len(s) <= 189 // 253 in all, with a label and a dot in front
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
