package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"

	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/pki"
)

// inspector is a proxy of the organisation's that opens TLS: it shows certificates of its own, and speaks with the cloud
// for its clients. It handles gRPC, as the product demands of such a proxy.
type inspector struct {
	url string
	ca  string // its certificate, PEM
	net.Listener

	opened chan net.Conn // tunnels that clients asked for
	done   chan struct{}
	close  func()   // closes done
	hosts  sync.Map // that it has opened connections to
}

// startInspector starts one that reaches the cloud of o. It listens at the address host of this machine, which engines reach.
func startInspector(o *operator, host string) *inspector {
	o.tb.Helper()
	ca, err := pki.Open(o.tb.TempDir(), clock.New())
	if err != nil {
		o.tb.Fatal(err)
	}
	i := &inspector{ca: string(ca.PEM()), opened: make(chan net.Conn), done: make(chan struct{})}
	i.close = sync.OnceFunc(func() { close(i.done) })
	front := httptest.NewUnstartedServer(http.HandlerFunc(i.connect))
	if err := front.Listener.Close(); err != nil {
		o.tb.Fatal(err)
	}
	if front.Listener, err = (&net.ListenConfig{}).Listen(o.tb.Context(), "tcp", net.JoinHostPort(host, "0")); err != nil {
		o.tb.Fatal(err)
	}
	front.Start()
	i.url, i.Listener = front.URL, front.Listener

	cloud, err := url.Parse(o.endpoints().Proxy)
	if err != nil {
		o.tb.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(o.read("ca.pem")))
	transport := &http.Transport{
		Proxy: http.ProxyURL(cloud), TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true, DisableCompression: true,
	}
	inside := &http.Server{ //nolint:gosec // clients are ours
		Handler: &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				i.hosts.Store(r.In.TLS.ServerName, true)
				r.Out.URL.Scheme, r.Out.URL.Host = "https", r.In.Host
			},
			Transport: transport, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
		},
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			c := ca.ServerTLS(hello.ServerName)
			c.NextProtos = []string{"h2", "http/1.1"}
			return c, nil
		}},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	served := make(chan error, 1)
	go func() { served <- inside.ServeTLS(i, "", "") }()
	o.tb.Cleanup(func() {
		_ = inside.Close()
		front.Close()
		transport.CloseIdleConnections()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			o.tb.Error(err)
		}
	})
	return i
}

// connect takes over a tunnel.
func (i *inspector) connect(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "this is a proxy", http.StatusMethodNotAllowed)
		return
	}
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if _, err := io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n"); err == nil {
		select {
		case i.opened <- c:
			return
		case <-i.done:
		}
	}
	_ = c.Close()
}

// Accept gives the next tunnel.
func (i *inspector) Accept() (net.Conn, error) {
	select {
	case c := <-i.opened:
		return c, nil
	case <-i.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept. The front's listener is left to the front.
func (i *inspector) Close() error {
	i.close()
	return nil
}
