package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/sim"
)

// transport gives an HTTP transport that trusts roots and finds the simulator's names. It keeps no connection: a command may
// run in a process that goes on.
func transport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		DialContext:       dialLocalhost,
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
	}
}

// dialLocalhost resolves names under .localhost to loopback, as RFC 6761 (section 6.3) asks and Go's resolver does not.
func dialLocalhost(ctx context.Context, network, addr string) (net.Conn, error) {
	if host, port, err := net.SplitHostPort(addr); err == nil && strings.HasSuffix(host, ".localhost") {
		addr = net.JoinHostPort("localhost", port)
	}
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}

// rootsOf gives a pool of the certificates in pem, and the system's. what says where pem is from.
func rootsOf(pem []byte, what string) (*x509.CertPool, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // there are none on this system
	}
	if len(pem) > 0 && !roots.AppendCertsFromPEM(pem) {
		return nil, sim.Errorf(sim.Invalid, "%s holds no certificate", what).WithHelp("it must be PEM: -----BEGIN CERTIFICATE-----")
	}
	return roots, nil
}

// valuesHelp is the help of --values.
const valuesHelp = "act as the DPE whose values file this is, with its endpoints and credentials"

// valuesFile reads a values file, for what its DPE may do.
func (a *app) valuesFile(path string) (chart.Values, error) {
	text, err := os.ReadFile(a.path(path))
	if err != nil {
		return chart.Values{}, usage(sim.Errorf(sim.Invalid, "the values file cannot be read: %v", err).WithHelp("write one with 'dpesim dpe values ENVIRONMENT LABEL > values.yaml'"))
	}
	v, err := chart.ParseValues(text)
	if err != nil {
		return chart.Values{}, usage(err)
	}
	return v, nil
}
