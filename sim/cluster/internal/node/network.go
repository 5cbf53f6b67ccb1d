package node

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// network is the pod network of the agent's nodes: addresses that exist in this process only.
type network struct {
	mu     sync.Mutex
	used   map[netip.Addr]bool
	next   map[netip.Prefix]netip.Addr
	listen map[netip.AddrPort]*listener
}

func newNetwork() *network {
	return &network{used: map[netip.Addr]bool{}, next: map[netip.Prefix]netip.Addr{}, listen: map[netip.AddrPort]*listener{}}
}

// lease gives a free address of p, in turn, so that an address comes back as late as possible. The first two of a
// prefix are the network's own. ok is false if none is free.
func (n *network) lease(p netip.Prefix) (a netip.Addr, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	first := p.Masked().Addr().Next().Next()
	a = n.next[p]
	if !a.IsValid() {
		a = first
	}
	for start := a; ; {
		if !n.used[a] {
			n.used[a] = true
			n.next[p] = a.Next()
			return a, true
		}
		if a = a.Next(); !p.Contains(a) {
			a = first
		}
		if a == start {
			return netip.Addr{}, false
		}
	}
}

// release gives a back.
func (n *network) release(a netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.used, a)
}

// open listens on a port of an address. It fails as the kernel does if the port is taken.
func (n *network) open(a netip.Addr, port int) (*listener, error) {
	if port < 1 || port > 65535 {
		return nil, fmt.Errorf("listen on port %d: a port is 1 to 65535", port)
	}
	ap := netip.AddrPortFrom(a, uint16(port))
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listen[ap] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: net.TCPAddrFromAddrPort(ap), Err: syscall.EADDRINUSE}
	}
	l := &listener{network: n, addr: ap, conns: make(chan net.Conn), done: make(chan struct{})}
	n.listen[ap] = l
	return l, nil
}

// dial connects to a pod's port.
func (n *network) dial(ctx context.Context, ap netip.AddrPort) (net.Conn, error) {
	n.mu.Lock()
	l := n.listen[ap]
	n.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(ap), Err: syscall.ECONNREFUSED}
	if l == nil {
		return nil, refused
	}
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.done:
		return nil, refused
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(ap), Err: ctx.Err()}
	}
}

// listener hands the near end of each connection to whoever accepts.
type listener struct {
	network *network
	addr    netip.AddrPort
	conns   chan net.Conn
	done    chan struct{}
	once    sync.Once
}

// Accept waits for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close frees the port. It is idempotent.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.network.mu.Lock()
		delete(l.network.listen, l.addr)
		l.network.mu.Unlock()
		close(l.done)
	})
	return nil
}

// Addr gives the pod's address and the port.
func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// ports are the listeners of one run of a container.
type ports struct {
	pod *pod

	mu     sync.Mutex
	open   []*listener
	closed bool
}

func (n *ports) listen(port int) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: net.ErrClosed}
	}
	l, err := n.pod.agent.network.open(n.pod.ip, port)
	if err != nil {
		return nil, err
	}
	n.open = append(n.open, l)
	return l, nil
}

func (n *ports) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	for _, l := range n.open {
		_ = l.Close() // never fails
	}
}
