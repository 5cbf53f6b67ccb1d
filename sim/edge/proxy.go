package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dpesim/dpesim/sim"
)

// ProxyOptions say where a proxy listens and which edge it leads to.
type ProxyOptions struct {
	Addr string       // host:port of this machine's loopback; port 0 takes a free one
	Flag string       // the flag that sets Addr, for error messages
	Edge *Edge        // needed
	Log  *slog.Logger // nil: silent
}

// Proxy is an HTTP CONNECT proxy for a person's own tools: it knows the simulator's names, which the machine's resolver
// does not. It reaches the routes of its edge and this machine's loopback, and nothing else: it is no way to the network,
// and needs no login for that reason. It is safe for concurrent use.
type Proxy struct {
	opt  ProxyOptions
	ln   net.Listener
	http *http.Server

	ctx      context.Context // of the dials; ends at Close
	cancel   context.CancelFunc
	requests sync.WaitGroup // a tunnel is a request under way

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]struct{} // both ends of each tunnel
}

// OpenProxy binds the port. It returns Invalid for an address that is not loopback, and what [ListenTCP] returns.
func OpenProxy(ctx context.Context, opt ProxyOptions) (*Proxy, error) {
	host, _, err := net.SplitHostPort(opt.Addr)
	if err != nil || !isLoopback(host) {
		return nil, sim.Errorf(sim.Invalid, "the proxy cannot listen on %q", opt.Addr).
			WithHelp("it has no login, so it listens on loopback only, for example 127.0.0.1:0")
	}
	if opt.Edge == nil {
		return nil, sim.Errorf(sim.Invalid, "the proxy needs an edge").WithHelp("set edge.ProxyOptions.Edge")
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	ln, err := ListenTCP(ctx, opt.Addr, opt.Flag)
	if err != nil {
		return nil, err
	}
	p := &Proxy{opt: opt, ln: ln, open: map[net.Conn]struct{}{}}
	p.ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	p.http = &http.Server{
		Handler:           p,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(opt.Log.Handler(), slog.LevelDebug),
	}
	return p, nil
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() net.Addr { return p.ln.Addr() }

// URL is what stands in HTTPS_PROXY.
func (p *Proxy) URL() string { return "http://" + p.Addr().String() }

// Serve answers until ctx is done or the proxy is closed, and then returns nil.
func (p *Proxy) Serve(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = p.Close() })()
	err := p.http.Serve(p.ln)
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(err, p.Close())
}

// Close ends every tunnel and frees the port. It is idempotent and right if Serve never ran.
func (p *Proxy) Close() error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	for c := range p.open {
		_ = c.Close() // its copies end with it
	}
	p.mu.Unlock()
	p.cancel()
	var err error
	if first {
		err = p.http.Close()
		if e := p.ln.Close(); !errors.Is(e, net.ErrClosed) { // http.Server closes what it has served only
			err = errors.Join(err, e)
		}
	}
	p.requests.Wait()
	return err
}

// begin counts a request, unless the proxy is closed.
func (p *Proxy) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.requests.Add(1)
	return true
}

// ServeHTTP answers CONNECT.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.begin() {
		http.Error(w, "dpesim is stopping", http.StatusServiceUnavailable)
		return
	}
	defer p.requests.Done()
	if r.Method != http.MethodConnect {
		http.Error(w, "dpesim's proxy tunnels TLS (method CONNECT) only: set HTTPS_PROXY to it, not HTTP_PROXY.", http.StatusMethodNotAllowed)
		return
	}
	target, err := p.target(r.Host)
	if err != nil {
		msg, help := sim.Explain(err)
		http.Error(w, msg+".\n"+help+".", http.StatusForbidden)
		return
	}
	var d net.Dialer
	up, err := d.DialContext(p.ctx, "tcp", target)
	if err != nil {
		http.Error(w, fmt.Sprintf("%s cannot be reached: %v.", r.Host, err), http.StatusBadGateway)
		return
	}
	rc := http.NewResponseController(w)
	down, buffered, err := rc.Hijack()
	if err != nil {
		_ = up.Close() // nothing was sent
		http.Error(w, "this connection cannot become a tunnel", http.StatusInternalServerError)
		return
	}
	if !p.enter(up, down) {
		return
	}
	defer p.leave(up, down)
	if _, err := io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return // the client is gone
	}
	tunnel(up, down, buffered)
}

// target says where a CONNECT to hostport leads. It returns Forbidden for what lies outside.
func (p *Proxy) target(hostport string) (string, error) {
	host, port, err := net.SplitHostPort(hostport)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || n == 0 {
		return "", sim.Errorf(sim.Forbidden, "%q is not host:port", hostport).WithHelp("name a host and a port number")
	}
	switch {
	case p.opt.Edge.route(host) != nil && p.opt.Edge.serves(port):
		return p.opt.Edge.Near(), nil
	case p.opt.Edge.route(host) != nil:
		return "", sim.Errorf(sim.Forbidden, "%s has no port %s", host, port).
			WithHelp("the simulated cloud listens on port %d, reached as %d here", publicPort, p.opt.Edge.Port())
	case isLoopback(host):
		if ip, err := netip.ParseAddr(host); err == nil {
			return netip.AddrPortFrom(ip, uint16(n)).String(), nil
		}
		return net.JoinHostPort("localhost", port), nil
	}
	return "", sim.Errorf(sim.Forbidden, "dpesim's proxy does not lead to %s", host).
		WithHelp("it knows the simulator's own names and this machine's loopback only, by design; put other hosts in NO_PROXY")
}

// Near is the edge's address as this machine dials it.
func (e *Edge) Near() string {
	a := e.Addr().(*net.TCPAddr)
	if a.IP.IsUnspecified() {
		return net.JoinHostPort("localhost", strconv.Itoa(a.Port))
	}
	return a.String()
}

// isLoopback knows addresses, and the names that RFC 6761 6.3 keeps on this machine.
func isLoopback(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	h := normal(host)
	return h == "localhost" || strings.HasSuffix(h, ".localhost")
}

func (p *Proxy) enter(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		for _, c := range conns {
			_ = c.Close() // nothing has gone through yet
		}
		return false
	}
	for _, c := range conns {
		p.open[c] = struct{}{}
	}
	return true
}

func (p *Proxy) leave(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // the copies have ended: nothing is lost
		delete(p.open, c)
	}
}

// tunnel copies both ways until both have ended; an end of one way is passed on as such.
func tunnel(up, down net.Conn, ahead io.Reader) {
	var back sync.WaitGroup
	back.Go(func() { pour(down, up) })
	pour(up, ahead) // what the server of HTTP has read ahead, then the connection
	back.Wait()
}

// pour copies until src ends, and passes the end on. A failed copy closes dst, since the other way is then of no use.
func pour(dst net.Conn, src io.Reader) {
	_, err := io.Copy(dst, src)
	half, ok := dst.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		_ = dst.Close() // whoever reads from it sees the end
	}
}
