package image

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"time"
)

// Dial opens a connection, as [net.Dialer.DialContext] does.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// NewClient gives a client that connects by dial and trusts the system's roots and trust, which may be nil. Certificates
// are judged by the time that now gives. Its connections are closed after each answer.
func NewClient(dial Dial, trust *x509.CertPool, now func() time.Time) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       dial,
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			host, _, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			conn, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			t := tls.Client(conn, &tls.Config{
				ServerName:         host,
				InsecureSkipVerify: true, // by the roots of one pool only: verify looks in two
				VerifyConnection:   func(s tls.ConnectionState) error { return verify(s, host, trust, now()) },
			})
			if err := t.HandshakeContext(ctx); err != nil {
				_ = conn.Close()
				return nil, err
			}
			return t, nil
		},
	}}
}

// verify checks a server's certificate as crypto/tls does, by trust and by the system's roots.
func verify(s tls.ConnectionState, host string, trust *x509.CertPool, now time.Time) error {
	o := x509.VerifyOptions{DNSName: host, Intermediates: x509.NewCertPool(), CurrentTime: now}
	for _, c := range s.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	var err error
	if trust != nil {
		o.Roots = trust
		if _, err = s.PeerCertificates[0].Verify(o); err == nil {
			return nil
		}
		if !errors.As(err, new(x509.UnknownAuthorityError)) {
			return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
		}
	}
	o.Roots = nil
	if _, err = s.PeerCertificates[0].Verify(o); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
	}
	return nil
}
