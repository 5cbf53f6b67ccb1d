package dpe_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dpesim/dpesim/dpe"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/pki"
)

// connectProxy is an HTTP CONNECT proxy as companies run them: with a login, and a CA of its own if it looks into TLS.
type connectProxy struct {
	t     *testing.T
	ln    net.Listener
	dial  dpe.DialFunc // to the cloud
	login string       // user:password; empty: none
	bump  *pki.CA      // nil: tunnels are left alone
	tasks sync.WaitGroup

	mu    sync.Mutex
	asked []string
	open  []net.Conn
}

func newConnectProxy(t *testing.T, dial dpe.DialFunc) *connectProxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &connectProxy{t: t, ln: ln, dial: dial}
	server := &http.Server{Handler: p}
	p.tasks.Go(func() { _ = server.Serve(ln) })
	t.Cleanup(func() {
		_ = server.Close()
		p.mu.Lock()
		for _, c := range p.open {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.tasks.Wait()
	})
	return p
}

func (p *connectProxy) addr() string { return p.ln.Addr().String() }

// tunnels lists the addresses that were asked for, each once, sorted.
func (p *connectProxy) tunnels() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := slices.Clone(p.asked)
	slices.Sort(a)
	return slices.Compact(a)
}

func (p *connectProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if want := "Basic " + base64.StdEncoding.EncodeToString([]byte(p.login)); p.login != "" && r.Header.Get("Proxy-Authorization") != want {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method != http.MethodConnect || r.Host != "dpm.example.com:8443" && r.Host != "minio.example.com:443" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	up, err := p.dial(r.Context(), "tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	down, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		p.t.Error(err)
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, r.Host)
	p.open = append(p.open, up, down)
	p.mu.Unlock()
	p.tasks.Go(func() {
		defer up.Close()
		defer down.Close()
		if _, err := io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
			return
		}
		if p.bump == nil {
			join(down, up)
			return
		}
		var inner *tls.Conn
		config := p.bump.ServerTLS("dpm.example.com", "minio.example.com")
		host, _, _ := net.SplitHostPort(r.Host)
		outer := tls.Server(down, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			inner = tls.Client(up, &tls.Config{ServerName: host, InsecureSkipVerify: true, NextProtos: h.SupportedProtos})
			if err := inner.Handshake(); err != nil {
				return nil, err
			}
			c := config.Clone()
			if proto := inner.ConnectionState().NegotiatedProtocol; proto != "" {
				c.NextProtos = []string{proto}
			}
			return c, nil
		}})
		if outer.Handshake() == nil {
			join(outer, inner)
		}
	})
}

// join copies both ways until one side ends.
func join(a, b net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { defer b.Close(); _, _ = io.Copy(b, a) })
	both.Go(func() { defer a.Close(); _, _ = io.Copy(a, b) })
	both.Wait()
}

// behind lets the engine reach nothing but the proxy, which it calls proxy.corp.
func (c *cloud) behind(p *connectProxy) {
	c.config.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if !strings.HasPrefix(addr, "proxy.corp:") {
			return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: addr, IsNotFound: true}}
		}
		return new(net.Dialer).DialContext(ctx, network, p.addr())
	}
}

func TestEngineConnectsThroughAProxy(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	p := newConnectProxy(t, c.config.Dial)
	p.login = "edge:s3cr3t"
	c.behind(p)
	c.config.Proxy.HTTPS = "http://edge:s3cr3t@proxy.corp:3128"
	c.put("a.csv", "x\n1\n")
	c.run()
	s := c.welcomed()
	s.credits(2)
	c.eventually(readiness, http.StatusOK, "UP")
	if got := p.tunnels(); !slices.Equal(got, []string{"dpm.example.com:8443", "minio.example.com:443"}) {
		t.Errorf("tunnels to %q", got)
	}
	if log := c.logs.String(); strings.Contains(log, "s3cr3t") || !strings.Contains(log, "proxy=proxy.corp:3128") {
		t.Errorf("log:\n%s", log)
	}
}

func TestWhatNoProxyNamesIsReachedDirectly(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	direct := c.config.Dial
	p := newConnectProxy(t, direct)
	c.behind(p)
	onlyProxy := c.config.Dial
	c.config.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == "minio.example.com:443" {
			return direct(ctx, network, addr)
		}
		return onlyProxy(ctx, network, addr)
	}
	c.config.Proxy = dpe.Proxy{HTTPS: "proxy.corp:3128", NoProxy: "10.0.0.0/8, minio.example.com"}
	c.run()
	c.welcomed().credits(2)
	c.eventually(readiness, http.StatusOK, "UP")
	if got := p.tunnels(); !slices.Equal(got, []string{"dpm.example.com:8443"}) {
		t.Errorf("tunnels to %q", got)
	}
}

func TestProxyThatRefusesIsNamed(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*cloud, *connectProxy){
		"the proxy proxy.corp:3128 opens no tunnel to dpm.example.com:8443: it wants a user and a password (407 Proxy Authentication Required)": func(_ *cloud, p *connectProxy) { p.login = "a:b" },
		"the proxy proxy.corp:3128 opens no tunnel to other.example.com:443: it answers 403 Forbidden":                                          func(c *cloud, _ *connectProxy) { c.config.DPMURL = "https://other.example.com" },
		"the proxy proxy.corp:3128 cannot be reached: dial tcp":                                                                                 func(_ *cloud, p *connectProxy) { _ = p.ln.Close() },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			p := newConnectProxy(t, c.config.Dial)
			c.behind(p)
			c.config.Proxy.HTTPS = "http://edge:s3cr3t@proxy.corp:3128"
			change(c, p)
			c.run()
			c.eventually(readiness, http.StatusServiceUnavailable, want)
			if log := c.logs.String(); strings.Contains(log, "s3cr3t") {
				t.Errorf("log:\n%s", log)
			}
		})
	}
}

func TestProxyThatEndsTLSNeedsItsCA(t *testing.T) {
	t.Parallel()
	for _, trusted := range []bool{false, true} {
		c := newCloud(t)
		p := newConnectProxy(t, c.config.Dial)
		ca, err := pki.Open(t.TempDir(), c.config.Clock)
		if err != nil {
			t.Fatal(err)
		}
		p.bump = ca
		c.behind(p)
		c.config.Proxy.HTTPS = "http://proxy.corp:3128"
		if trusted {
			c.config.CA = append(c.config.CA, dpe.CAFile{Name: "/etc/dpe/ca.d/proxy.crt", PEM: ca.PEM()})
			c.run()
			c.welcomed().credits(2)
			c.eventually(readiness, http.StatusOK, "UP")
			continue
		}
		c.run()
		const why = `is not trusted: x509: certificate signed by unknown authority: if a proxy ends TLS on the way, put its CA into extraCaCertificates`
		c.eventually(readiness, http.StatusServiceUnavailable, why)
		c.eventually(readiness, http.StatusServiceUnavailable, "the object storage cannot be reached to look at bucket results: the certificate that answers there, issued by ")
		for _, want := range []string{"not connected to dpm", "object storage out of reach", why} {
			c.logged(want)
		}
	}
}

func TestOnlyHTTPProxyIsTold(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.config.Proxy.HTTP = "http://proxy.corp:3128"
	c.run()
	c.welcomed().credits(2)
	if !strings.Contains(c.logs.String(), "HTTP_PROXY is not used: the engine makes TLS connections only, set HTTPS_PROXY") {
		t.Errorf("log:\n%s", c.logs)
	}
}

func TestBadProxyKeepsTheEngineFromStarting(t *testing.T) {
	t.Parallel()
	for _, value := range []sim.Secret{"ftp://u:s3cr3t@proxy.corp", "http://", "http://u:s3cr3t@proxy corp:1", "http://proxy.corp/path"} {
		c := newCloud(t)
		c.config.Proxy.HTTPS = value
		err := dpe.Run(t.Context(), c.config)
		if err == nil || err.Error() != "the DPE cannot start: the proxy in HTTPS_PROXY must look like http://host:port" {
			t.Errorf("%s: %v", value.Reveal(), err)
		}
	}
}
