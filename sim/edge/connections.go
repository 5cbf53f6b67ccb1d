package edge

import (
	"cmp"
	"io"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/dpesim/dpesim/sim"
)

// Connection is one that a service has taken and that is open.
type Connection struct {
	Environment sim.EnvironmentID // of the route; empty: none
	Host        string            // of the route
	Source      netip.AddrPort    // as the allowlist sees it
	Opened      time.Time         // product time
	In, Out     int64             // bytes of TLS: to the service, and from it
	Active      time.Time         // product time of the last byte
}

// Connections lists what is open, by host, then by age.
func (e *Edge) Connections() []Connection {
	e.mu.Lock()
	out := make([]Connection, 0, len(e.conns))
	for c := range e.conns {
		out = append(out, Connection{
			Environment: c.env, Host: c.host, Source: netip.AddrPortFrom(c.source(), uint16(c.remote.Port)), Opened: c.opened,
			In: c.traffic.in.Load(), Out: c.traffic.out.Load(), Active: time.UnixMilli(c.traffic.active.Load()).UTC(),
		})
	}
	e.mu.Unlock()
	slices.SortFunc(out, func(a, b Connection) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), a.Opened.Compare(b.Opened), a.Source.Compare(b.Source))
	})
	return out
}

// traffic counts what passes through a connection. It is safe for concurrent use.
type traffic struct {
	in, out atomic.Int64
	active  atomic.Int64 // product time in ms
}

func (c *conn) count(n *atomic.Int64, by int64) {
	if by > 0 {
		n.Add(by)
		c.traffic.active.Store(c.edge.opt.Clock.Now().UnixMilli())
	}
}

// Write counts.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.count(&c.traffic.out, int64(n))
	return n, err
}

// ReadFrom counts, and leaves the copying to the system where that can.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	n, err := c.TCPConn.ReadFrom(r)
	c.count(&c.traffic.out, n)
	return n, err
}
