// Package edge is the one TLS port of the simulated cloud.
//
// It reads the host name that a client asks for in its TLS hello (SNI), looks at the client's address, and hands the
// connection, its bytes untouched, to the listener of that host: TLS ends in the service, as behind a cloud's layer 4
// balancer. The allowlist, latency and cuts therefore live here once and work for every protocol. It knows no service.
package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/fault"
)

// FaultAccept is asked for each connection whose route is known, before the allowlist: an error cuts the connection, a
// delay is latency of the network.
const FaultAccept fault.Point = "edge.accept"

// Bounds, our choice.
const (
	defaultHelloTimeout = 10 * time.Second
	defaultBacklog      = 1024
	maxPending          = 4096 // connections that have not shown a whole hello yet
)

// Options say where and how an edge listens.
type Options struct {
	Addr         string        // host:port; port 0 takes a free one
	Flag         string        // the flag that sets Addr ("--tls"), for error messages
	Entrance     Entrance      // another way in; zero: none
	Clock        *clock.Clock  // needed
	Bus          *event.Bus    // nil: silent
	Faults       *fault.Set    // nil: none
	Log          *slog.Logger  // nil: silent
	HelloTimeout time.Duration // product time a client has for its hello; 0: 10 s
	Backlog      int           // connections of one route that may wait for Accept; 0: 1024
}

// Entrance is an address at which the edge listens beside its own, at the same port: that of a cluster's network on this machine.
// All who come in there have one source address, as behind a NAT gateway.
type Entrance struct {
	Addr    netip.Addr // unspecified (0.0.0.0): every address of this machine but loopback
	Source  netip.Addr // as allowlists and engines' lists have it
	Closed  []string   // hosts that are not reached there, as if they had no route
	Unnamed string     // the host that a hello without a name is for: who dials an address sends none; empty: it is refused
}

// Edge is the TLS port. It is safe for concurrent use. Make one with [Open].
type Edge struct {
	opt      Options
	public   *net.TCPListener
	entrance *net.TCPListener // nil: none
	internal *net.TCPListener // takes connections of this process's [Egress] only
	refusals *refusals

	ctx    context.Context // of the connections' events and delays; ends at Close
	cancel context.CancelFunc
	hellos sync.WaitGroup // one for each connection without a route yet

	mu       sync.Mutex
	closed   bool
	routes   map[string]*route
	allow    map[sim.EnvironmentID][]netip.Prefix // no entry: everybody
	pending  map[*net.TCPConn]struct{}
	conns    map[*conn]struct{}
	ours     map[netip.AddrPort]struct{} // local ends of the egress's connections that the internal listener may take
	accepted uint64
	cut      uint64
}

// Open binds the port. It returns Conflict if the port is taken, with its owner where the system tells.
func Open(ctx context.Context, opt Options) (*Edge, error) {
	if opt.Clock == nil {
		return nil, sim.Errorf(sim.Invalid, "the edge needs a clock").WithHelp("set edge.Options.Clock")
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.HelloTimeout <= 0 {
		opt.HelloTimeout = defaultHelloTimeout
	}
	if opt.Backlog <= 0 {
		opt.Backlog = defaultBacklog
	}
	if everywhere := opt.Entrance.Addr; everywhere.IsValid() && everywhere.IsUnspecified() { // the port cannot be had twice
		_, port, err := net.SplitHostPort(opt.Addr)
		if err != nil {
			return nil, sim.Errorf(sim.Invalid, "%q is not an address", opt.Addr).WithHelp("use HOST:PORT")
		}
		opt.Addr = net.JoinHostPort(everywhere.String(), port)
	}
	public, err := listenTCP(ctx, opt.Addr, opt.Flag)
	if err != nil {
		return nil, err
	}
	internal, err := listenTCP(ctx, "127.0.0.1:0", "")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the edge's internal listener: %w", err), public.Close())
	}
	var entrance *net.TCPListener
	if a := opt.Entrance.Addr; a.IsValid() && !a.IsUnspecified() {
		port := public.Addr().(*net.TCPAddr).AddrPort().Port()
		if entrance, err = listenTCP(ctx, netip.AddrPortFrom(opt.Entrance.Addr, port).String(), opt.Flag); err != nil {
			return nil, errors.Join(fmt.Errorf("open the edge for the cluster: %w", err), public.Close(), internal.Close())
		}
	}
	e := &Edge{
		entrance: entrance, opt: opt, public: public, internal: internal, refusals: newRefusals(opt.Clock, opt.Bus),
		routes: map[string]*route{}, allow: map[sim.EnvironmentID][]netip.Prefix{},
		pending: map[*net.TCPConn]struct{}{}, conns: map[*conn]struct{}{}, ours: map[netip.AddrPort]struct{}{},
	}
	e.ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return e, nil
}

// Addr is where the edge listens.
func (e *Edge) Addr() net.Addr { return e.public.Addr() }

// Port is the port of [Edge.Addr].
func (e *Edge) Port() int { return e.public.Addr().(*net.TCPAddr).Port }

// Serve takes connections until ctx is done or the edge is closed, and then returns nil. It ends with the edge closed.
func (e *Edge) Serve(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = e.Close() })()
	var ways sync.WaitGroup
	var failed, outside error
	ways.Go(func() { failed = e.accept(e.internal, true) })
	if e.entrance != nil {
		ways.Go(func() { outside = e.accept(e.entrance, false) })
	}
	err := errors.Join(e.accept(e.public, false), e.Close())
	ways.Wait()
	return errors.Join(err, failed, outside)
}

// Close ends every route, cuts every connection and frees the port. It is idempotent and right if Serve never ran.
func (e *Edge) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		e.hellos.Wait()
		return nil
	}
	e.closed = true
	e.cancel()
	for c := range e.pending {
		_ = c.Close() // its handler sees the error
	}
	for _, r := range e.routes {
		r.endLocked()
	}
	open := make([]*conn, 0, len(e.conns))
	for c := range e.conns {
		open = append(open, c)
	}
	e.mu.Unlock()
	err := errors.Join(e.public.Close(), e.internal.Close())
	if e.entrance != nil {
		err = errors.Join(err, e.entrance.Close())
	}
	for _, c := range open {
		_ = c.Close() // a connection that its peer has reset already says so; nothing is lost
	}
	e.hellos.Wait()
	e.refusals.close()
	return err
}

// maxAcceptFailures in a row end Serve: the listener itself is broken.
const maxAcceptFailures = 50

// accept takes connections from ln until it is closed. Running out of file descriptors passes: it waits a little, by
// the machine's clock, since product time may stand still.
func (e *Edge) accept(ln *net.TCPListener, internal bool) error {
	machine := clock.New()
	for failures := 0; ; {
		c, err := ln.AcceptTCP()
		switch {
		case err == nil:
			failures = 0
			e.take(c, internal)
		case errors.Is(err, net.ErrClosed):
			return nil
		default:
			failures++
			if failures == maxAcceptFailures {
				return fmt.Errorf("accept on %s: %w", ln.Addr(), err)
			}
			e.opt.Log.Warn("connection was not accepted", "addr", ln.Addr().String(), "err", err)
			if machine.Sleep(e.ctx, 20*time.Millisecond) != nil {
				return nil //nolint:nilerr // being closed is no failure
			}
		}
	}
}

// take starts the handler of c, unless the edge is closed or too many hellos are awaited.
func (e *Edge) take(c *net.TCPConn, internal bool) {
	e.mu.Lock()
	closed, full := e.closed, len(e.pending) >= maxPending
	if !closed && !full {
		e.pending[c] = struct{}{}
		e.hellos.Add(1)
	}
	e.mu.Unlock()
	switch {
	case closed:
		_ = c.Close() // nobody is there to be told
	case full:
		e.refusals.tell(e.ctx, refusal{reason: TooMany, source: addrOf(c)})
		reset(c)
	default:
		go func() {
			defer e.hellos.Done()
			e.handle(c, internal)
			e.mu.Lock()
			delete(e.pending, c)
			e.mu.Unlock()
		}()
	}
}

// longAgo as a deadline ends a blocked read or write at once.
var longAgo = time.Unix(1, 0)

// handle brings c to its route, or refuses it.
func (e *Edge) handle(raw *net.TCPConn, internal bool) {
	timer := e.opt.Clock.AfterFunc(e.opt.HelloTimeout, func() { _ = raw.SetDeadline(longAgo) })
	defer timer.Stop()
	c := &conn{TCPConn: raw, edge: e, local: raw.LocalAddr(), remote: raw.RemoteAddr().(*net.TCPAddr), rest: raw}
	entered := e.entered(c.local.(*net.TCPAddr))
	if entered {
		c.remote = net.TCPAddrFromAddrPort(netip.AddrPortFrom(e.opt.Entrance.Source, uint16(c.remote.Port)))
	}
	if internal && !e.readSource(c) {
		e.refusals.tell(e.ctx, refusal{reason: Spoofed, source: addrOf(raw)})
		reset(raw)
		return
	}
	name, why := c.readHello(e.ctx)
	if why == NoName && entered && e.opt.Entrance.Unnamed != "" {
		name, why = e.opt.Entrance.Unnamed, ""
	}
	r := refusal{reason: why, source: c.source(), name: name}
	if why == "" {
		rt := e.route(name)
		if rt == nil || entered && slices.Contains(e.opt.Entrance.Closed, rt.hosts[0]) {
			r.reason = UnknownName
		} else {
			r.env = rt.env
			r.reason = e.hand(c, rt, timer)
		}
	}
	if r.reason == "" {
		return
	}
	if e.ctx.Err() == nil { // what Close ends was not refused
		e.refusals.tell(e.ctx, r)
	}
	e.answer(c, r.reason)
}

// entered tells whether a connection to the local address came in by the entrance.
func (e *Edge) entered(local *net.TCPAddr) bool {
	at := sourceOf(local)
	if a := e.opt.Entrance.Addr; !a.IsValid() || !a.IsUnspecified() {
		return at == a
	}
	return !at.IsLoopback()
}

// hand passes c on to rt and gives the reason if it may not. timer bounds the hello and ends here.
func (e *Edge) hand(c *conn, rt *route, timer *clock.Timer) Reason {
	if !timer.Stop() {
		return SlowHello
	}
	if err := e.opt.Faults.At(e.ctx, FaultAccept, fault.Scope{Environment: rt.env}); err != nil {
		return Injected
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !rt.liveLocked(): // closed meanwhile
		return UnknownName
	case !e.allowedLocked(rt.env, c.source()):
		return NotAllowed
	}
	c.env, c.host, c.opened = rt.env, rt.hosts[0], e.opt.Clock.Now()
	c.traffic.active.Store(c.opened.UnixMilli())
	select {
	case rt.queue <- c:
	default:
		return TooMany
	}
	e.conns[c] = struct{}{}
	e.accepted++
	return ""
}

func (e *Edge) route(host string) *route {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.routes[normal(host)]
}

func addrOf(c net.Conn) netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return sourceOf(a)
	}
	return netip.Addr{}
}

// sourceOf gives the address as allowlists have it: IPv4 as IPv4, without a zone.
func sourceOf(a *net.TCPAddr) netip.Addr { return a.AddrPort().Addr().Unmap().WithZone("") }
