package dpe

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
	"google.golang.org/grpc/credentials"

	"github.com/dpesim/dpesim/sim"
)

// tunnelTimeout bounds how long a proxy may take to open a tunnel, in machine time (assumption).
const tunnelTimeout = 20 * time.Second

// Proxy says through which proxy the engine reaches the cloud, as the environment variables that every client knows do.
type Proxy struct {
	HTTPS   sim.Secret // URL of the proxy (HTTPS_PROXY); it may hold a password; empty: none
	HTTP    sim.Secret // the same for http (HTTP_PROXY): the engine speaks https only, so that alone it is a mistake to tell
	NoProxy string     // what is reached without it (NO_PROXY), by the rules of golang.org/x/net/http/httpproxy
}

// url gives the proxy; nil if there is none. Its errors do not name the value, which may hold a password.
func (p Proxy) url() (*url.URL, error) {
	text := p.HTTPS.Reveal()
	if text == "" {
		return nil, nil
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" {
		return nil, cannotStart("the proxy in HTTPS_PROXY must look like http://host:port")
	}
	return u, nil
}

// network is how the engine reaches the cloud: directly, or through a proxy. It is safe for concurrent use.
type network struct {
	direct DialFunc
	proxy  func(*url.URL) (*url.URL, error)
	tls    *tls.Config // without a server's name
}

// newNetwork makes the network of an engine. proxy is nil if there is none.
func newNetwork(c Config, k checked) *network {
	n := &network{direct: c.Dial, tls: &tls.Config{RootCAs: k.roots, Time: c.Clock.Now, MinVersion: tls.VersionTLS12}}
	if n.direct == nil {
		n.direct = new(net.Dialer).DialContext
	}
	rules := httpproxy.Config{NoProxy: c.Proxy.NoProxy}
	if k.proxy != nil {
		rules.HTTPSProxy = k.proxy.String()
	}
	n.proxy = rules.ProxyFunc()
	return n
}

// dial opens a connection to addr, host:port.
func (n *network) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	proxy, err := n.proxy(&url.URL{Scheme: "https", Host: addr})
	if err != nil {
		return nil, err
	}
	if proxy == nil {
		return n.direct(ctx, network, addr)
	}
	ctx, cancel := context.WithTimeout(ctx, tunnelTimeout)
	defer cancel()
	conn, err := n.direct(ctx, network, proxyAddr(proxy))
	if err != nil {
		return nil, fmt.Errorf("the proxy %s cannot be reached: %w", proxy.Host, err)
	}
	tunnel, err := n.tunnel(ctx, conn, proxy, addr)
	if err != nil {
		_ = conn.Close() // there is a better error
		return nil, fmt.Errorf("the proxy %s opens no tunnel to %s: %w", proxy.Host, addr, err)
	}
	return tunnel, nil
}

// proxyAddr gives host:port of a proxy.
func proxyAddr(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Host
	case u.Scheme == "https":
		return net.JoinHostPort(u.Hostname(), "443")
	default:
		return net.JoinHostPort(u.Hostname(), "80")
	}
}

// tunnel asks the proxy at the other end of conn for a tunnel to addr (RFC 9110, section 9.3.6).
func (n *network) tunnel(ctx context.Context, conn net.Conn, proxy *url.URL, addr string) (net.Conn, error) {
	if proxy.Scheme == "https" {
		config := n.tls.Clone()
		config.ServerName = proxy.Hostname()
		secured := tls.Client(conn, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, cmp.Or(untrusted(err), err)
		}
		conn = secured
	}
	quit := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // reads and writes fail at once
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: http.Header{}}
	if u := proxy.User; u != nil {
		password, _ := u.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	in := bufio.NewReader(conn)
	err := req.Write(conn)
	var res *http.Response
	if err == nil {
		res, err = http.ReadResponse(in, req) //nolint:bodyclose // the connection goes on or is closed by our caller
	}
	if !quit() { // too late
		return nil, context.Cause(ctx)
	}
	switch {
	case err != nil:
		return nil, err
	case res.StatusCode == http.StatusProxyAuthRequired:
		return nil, errors.New("it wants a user and a password (407 Proxy Authentication Required): give them in HTTPS_PROXY, by extraEnv from a Secret")
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("it answers %s: ask those who run it to let this address pass", res.Status)
	case in.Buffered() > 0:
		return nil, errors.New("it speaks before it was spoken to, which TLS does not do")
	}
	return conn, nil
}

// security is TLS for gRPC with errors that say whose certificate was not trusted: gRPC keeps only their text.
type security struct {
	credentials.TransportCredentials
}

// ClientHandshake is called by gRPC for each connection.
func (s security) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := s.TransportCredentials.ClientHandshake(ctx, authority, raw)
	return conn, info, cmp.Or(untrusted(err), err)
}

// Clone is called by gRPC for each client.
func (s security) Clone() credentials.TransportCredentials {
	return security{s.TransportCredentials.Clone()}
}
