package edge_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/edge"
)

func startProxy(t *testing.T, r *rig) *edge.Proxy {
	t.Helper()
	p, err := edge.OpenProxy(t.Context(), edge.ProxyOptions{Addr: "127.0.0.1:0", Edge: r.Edge})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- p.Serve(context.Background()) }()
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return p
}

// web serves HTTPS for host over the edge.
func (r *rig) web(t *testing.T, host string) {
	t.Helper()
	srv := &http.Server{
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { _, _ = io.WriteString(w, "hello from "+q.Host) }),
		TLSConfig: r.ca.ServerTLS(host),
	}
	done := make(chan struct{})
	ln := r.listen(t, host, "")
	go func() {
		defer close(done)
		_ = srv.ServeTLS(ln, "", "")
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
}

func through(t *testing.T, p *edge.Proxy, r *rig) *http.Client {
	t.Helper()
	u, err := url.Parse(p.URL())
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{
		Proxy: http.ProxyURL(u), TLSClientConfig: &tls.Config{RootCAs: r.ca.Pool(), Time: r.clock.Now}, ForceAttemptHTTP2: true,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestTheProxyLeadsToTheSimsNames(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.web(t, "portal.dpesim.localhost")
	client := through(t, startProxy(t, r), r)
	_, port, _ := net.SplitHostPort(r.Addr().String())
	for _, hostport := range []string{"portal.dpesim.localhost", "portal.dpesim.localhost:" + port} {
		resp, err := client.Get("https://" + hostport + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(body) != "hello from "+hostport {
			t.Errorf("%q, %v", body, err)
		}
	}
}

func TestTheProxyLeadsToLoopback(t *testing.T) {
	t.Parallel()
	r := start(t)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "local") }))
	t.Cleanup(srv.Close)
	p := startProxy(t, r)
	u, err := url.Parse(p.URL())
	if err != nil {
		t.Fatal(err)
	}
	tr := srv.Client().Transport.(*http.Transport).Clone()
	tr.Proxy = func(*http.Request) (*url.URL, error) { return u, nil } // ProxyFromEnvironment would spare loopback
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); string(b) != "local" {
		t.Errorf("%q", b)
	}
}

func TestTheProxyLeadsNowhereElseAndSaysWhy(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.web(t, "portal.dpesim.localhost")
	p := startProxy(t, r)
	for request, want := range map[string]struct {
		status int
		words  string
	}{
		"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n":                       {403, "does not lead to example.com"},
		"CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: 192.0.2.1:443\r\n\r\n":                           {403, "by design"},
		"CONNECT portal.dpesim.localhost:22 HTTP/1.1\r\nHost: portal.dpesim.localhost:22\r\n\r\n": {403, "no port 22"},
		"CONNECT localhost:99999 HTTP/1.1\r\nHost: localhost:99999\r\n\r\n":                       {403, "host:port"},
		"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n":      {405, "HTTPS_PROXY"},
		"CONNECT localhost.evil.example:443 HTTP/1.1\r\nHost: localhost.evil.example:443\r\n\r\n": {403, "loopback only"},
		"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n":                               {502, "cannot be reached"},
	} {
		c, err := direct(t.Context(), "tcp", p.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		_ = c.(*net.TCPConn).CloseWrite()
		b, _ := io.ReadAll(c)
		_ = c.Close()
		line, _, _ := strings.Cut(string(b), "\r\n")
		if !strings.Contains(line, http.StatusText(want.status)) || !strings.Contains(string(b), want.words) {
			t.Errorf("%q: %q", request, b)
		}
	}
}

func TestTheProxyPassesOnTheEndOfOneWay(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.echo(t, "a.localhost", "")
	p := startProxy(t, r)
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		c, err := direct(ctx, network, p.Addr().String())
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(c, "CONNECT a.localhost:443 HTTP/1.1\r\nHost: a.localhost:443\r\n\r\n"); err != nil {
			return nil, err
		}
		const ok = "HTTP/1.1 200 Connection established\r\n\r\n"
		b := make([]byte, len(ok))
		if _, err := io.ReadFull(c, b); err != nil || string(b) != ok {
			t.Errorf("%q, %v", b, err)
		}
		return c, nil
	}
	c, br, _, err := r.client(t, dial, "", "a.localhost")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "all"); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(br); string(b) != "all" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

func TestClosingTheProxyEndsItsTunnels(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.web(t, "portal.dpesim.localhost")
	p := startProxy(t, r)
	resp, err := through(t, p, r).Get("https://portal.dpesim.localhost/")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the tunnel's connection is gone", func() bool { return r.Counters().Open == 0 })
}

func TestTheProxyListensOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "nonsense"} {
		if _, err := edge.OpenProxy(t.Context(), edge.ProxyOptions{Addr: addr, Edge: r.Edge}); sim.KindOf(err) != sim.Invalid {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
