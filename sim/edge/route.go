package edge

import (
	"io"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/dpesim/dpesim/sim"
)

// hostPattern admits what can stand in a hello: lower-case DNS names.
var hostPattern = regexp.MustCompile(`^[a-z0-9_]([-a-z0-9_.]{0,251}[a-z0-9_])?$`)

// normal is the spelling under which a host is routed.
func normal(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// route is the listener of one service, under one host name or several.
type route struct {
	edge  *Edge
	hosts []string
	env   sim.EnvironmentID
	queue chan *conn
	done  chan struct{} // closed under edge.mu, as the route leaves edge.routes
}

// Listen opens the route to host, in env if it is not empty: connections whose hello names host or one of its aliases (in
// any case) come out of the listener with their bytes untouched. RemoteAddr is the client's address as the allowlist sees
// it. Closing the listener ends the route and the connections that wait in it; those that were accepted live on.
//
// It returns Invalid if a name is no host name, Conflict if it has a route, Unavailable if the edge is closed.
func (e *Edge) Listen(host string, env sim.EnvironmentID, aliases ...string) (net.Listener, error) {
	r := &route{edge: e, env: env, queue: make(chan *conn, e.opt.Backlog), done: make(chan struct{})}
	for _, name := range append([]string{host}, aliases...) {
		h := normal(name)
		if _, err := netip.ParseAddr(h); err == nil || !hostPattern.MatchString(h) {
			return nil, sim.Errorf(sim.Invalid, "%q cannot be routed: it is no host name", name).
				WithHelp("a TLS hello carries DNS names only, for example portal.dpesim.localhost")
		}
		r.hosts = append(r.hosts, h)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, sim.Errorf(sim.Unavailable, "the edge is closed")
	}
	for _, h := range r.hosts {
		if e.routes[h] != nil {
			return nil, sim.Errorf(sim.Conflict, "%s has a route already", h).WithHelp("close that listener first, or use another name")
		}
	}
	for _, h := range r.hosts {
		e.routes[h] = r
	}
	return r, nil
}

// Accept waits for a connection. It returns [net.ErrClosed] once the route or the edge is closed.
func (r *route) Accept() (net.Conn, error) {
	select {
	case <-r.done:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-r.queue:
		return c, nil
	case <-r.done:
		return nil, net.ErrClosed
	}
}

// Close ends the route. It is idempotent.
func (r *route) Close() error {
	r.edge.mu.Lock()
	r.endLocked()
	r.edge.mu.Unlock()
	for { // nothing enters the queue any more: [Edge.hand] looks into edge.routes under the lock
		select {
		case c := <-r.queue:
			_ = c.Close() // its client sees the end; there is nobody else to tell
		default:
			return nil
		}
	}
}

// liveLocked tells whether the route has not been closed.
func (r *route) liveLocked() bool { return r.edge.routes[r.hosts[0]] == r }

// endLocked takes the route out of the edge, once.
func (r *route) endLocked() {
	if !r.liveLocked() {
		return
	}
	for _, h := range r.hosts {
		delete(r.edge.routes, h)
	}
	close(r.done)
}

// Addr is the edge's address.
func (r *route) Addr() net.Addr { return r.edge.Addr() }

// conn is a client's connection as its service sees it: the hello is still to be read.
type conn struct {
	*net.TCPConn
	edge   *Edge
	env    sim.EnvironmentID
	host   string    // of the route
	opened time.Time // when the route took it
	local  net.Addr
	remote *net.TCPAddr

	traffic traffic

	mu   sync.Mutex // reads take turns, as on any net.Conn
	rest io.Reader  // what was read ahead, then the socket
}

// Read reads the hello first.
func (c *conn) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.rest.Read(b)
	c.count(&c.traffic.in, int64(n))
	return n, err
}

// WriteTo copies all that is still to be read, the hello first.
func (c *conn) WriteTo(w io.Writer) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := io.Copy(w, c.rest)
	c.count(&c.traffic.in, n)
	return n, err
}

// RemoteAddr is the source address: of the socket, or of the egress that it came through.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// LocalAddr is the address that the client dialled, as far as it can know: the edge's, if it came through the egress.
func (c *conn) LocalAddr() net.Addr { return c.local }

func (c *conn) source() netip.Addr { return sourceOf(c.remote) }

// Close closes the connection.
func (c *conn) Close() error {
	c.edge.mu.Lock()
	delete(c.edge.conns, c)
	c.edge.mu.Unlock()
	return c.TCPConn.Close()
}

// reset closes c without the courtesies, as a balancer or a firewall does: the peer sees "connection reset".
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0) // both fail only if c is closed, which is what is wanted
	_ = c.Close()
}
