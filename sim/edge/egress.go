package edge

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"github.com/pires/go-proxyproto"

	"github.com/dpesim/dpesim/sim"
)

// publicPort is where the product's endpoints listen (product-facts, section 1): through an egress it reaches the edge,
// whatever port that has on this machine.
const publicPort = 443

// Egress is the customer's NAT gateway: what is dialled through it reaches the edge from its address. It is safe for
// concurrent use and needs no closing.
type Egress struct {
	edge   *Edge
	source netip.Addr
}

// Egress gives the gateway with the address source.
func (e *Edge) Egress(source netip.Addr) *Egress {
	return &Egress{edge: e, source: source.Unmap().WithZone("")}
}

// DialContext dials addr, host:port. A host that the edge routes is reached at the edge's own port and at 443; its other
// ports are closed (ECONNREFUSED). Every other host is dialled as usual, from the machine's own address.
func (g *Egress) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	var d net.Dialer
	if g.edge.route(host) == nil {
		return d.DialContext(ctx, network, addr)
	}
	if !g.edge.serves(port) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: g.edge.Addr(), Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	if !g.source.IsValid() {
		return nil, sim.Errorf(sim.Invalid, "the egress to %s has no source address", host).WithHelp("give Edge.Egress a valid address")
	}
	c, err := d.DialContext(ctx, "tcp", g.edge.internal.Addr().String())
	if err != nil {
		return nil, err
	}
	if err := g.introduce(ctx, c); err != nil {
		_ = c.Close() // the error that matters is the first one
		return nil, &net.OpError{Op: "dial", Net: network, Addr: g.edge.Addr(), Err: err}
	}
	return c, nil
}

// serves tells whether the edge answers at port, a number or "https".
func (e *Edge) serves(port string) bool {
	return port == "https" || port == strconv.Itoa(publicPort) || port == strconv.Itoa(e.Port())
}

// introduce makes c known to the edge and sends the PROXY header.
func (g *Egress) introduce(ctx context.Context, c net.Conn) error {
	local := c.LocalAddr().(*net.TCPAddr)
	from := net.TCPAddrFromAddrPort(netip.AddrPortFrom(g.source, uint16(local.Port)))
	header, err := proxyproto.HeaderProxyFromAddrs(2, from, g.edge.Addr()).Format()
	if err != nil {
		return fmt.Errorf("write the PROXY header: %w", err)
	}
	key := endOf(local)
	if err := g.edge.expect(key); err != nil {
		return err
	}
	if _, err := c.Write(header); err != nil { // some sixty bytes into an empty buffer: it does not wait
		g.edge.expected(key)
		return fmt.Errorf("write the PROXY header: %w", err)
	}
	return ctx.Err()
}

// endOf is one end of a connection, spelled the same seen from both.
func endOf(a *net.TCPAddr) netip.AddrPort {
	return netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), uint16(a.Port))
}

// expect notes the local end of a connection that the internal listener may take.
func (e *Edge) expect(local netip.AddrPort) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return net.ErrClosed
	}
	e.ours[local] = struct{}{}
	return nil
}

// expected tells whether a connection from local is the egress's own, once.
func (e *Edge) expected(local netip.AddrPort) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ok := e.ours[local]
	delete(e.ours, local)
	return ok
}

// readSource reads the PROXY header of a connection of the internal listener and takes the source address from it. It
// tells whether the connection may go on: only what our egress opened may, since anybody on the machine could write a
// header. The egress makes itself known before it writes, so a whole header is the moment to look.
func (e *Edge) readSource(c *conn) bool {
	local := endOf(c.TCPConn.RemoteAddr().(*net.TCPAddr))
	br := bufio.NewReaderSize(c.TCPConn, 256) // the size of a header with room
	h, err := proxyproto.Read(br)
	if !e.expected(local) || err != nil || h.Version != 2 || !h.Command.IsProxy() {
		return false
	}
	from, _, ok := h.TCPAddrs()
	if !ok {
		return false
	}
	ahead, err := br.Peek(br.Buffered())
	if err != nil {
		return false
	}
	c.local = e.Addr()
	c.remote = net.TCPAddrFromAddrPort(netip.AddrPortFrom(sourceOf(from), from.AddrPort().Port()))
	c.rest = io.MultiReader(bytes.NewReader(ahead), c.TCPConn)
	return true
}
