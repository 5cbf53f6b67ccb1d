package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// leaf is a server certificate and the product time at which it was made.
type leaf struct {
	cert *tls.Certificate
	made time.Time
}

// fresh tells whether the leaf may be shown at t: two thirds of its life are the most it serves, and none before it
// begins (the clock may be set back).
func (l leaf) fresh(t time.Time) bool {
	return l.cert != nil && t.Before(l.made.Add(leafLife*2/3)) && !t.Before(l.made.Add(-backdate))
}

// ServerTLS gives a configuration (TLS 1.2 and later) that serves a certificate for each of hosts, DNS names or IP
// addresses, made when first asked for. A client that names another host is refused with the alert unrecognized_name;
// one that names none gets the certificate of the IP address that it dialled, if that is among hosts, else, since a NAT may be
// between, of the first address among them.
//
// The configuration is the caller's own: set NextProtos and the like, or clone it.
func (ca *CA) ServerTLS(hosts ...string) *tls.Config {
	known := make(map[string]bool, len(hosts))
	address := "" // the first address among hosts
	for _, h := range hosts {
		known[normal(h)] = true
		if _, err := netip.ParseAddr(h); err == nil && address == "" {
			address = normal(h)
		}
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		Time:       ca.clock.Now,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			host := normal(hello.ServerName)
			if host == "" {
				if host = dialled(hello.Conn); !known[host] { // behind a NAT the client dialled another than the server's own
					host = address
				}
			}
			if !known[host] {
				return nil, nil // not an error: crypto/tls answers unrecognized_name only if there is no certificate
			}
			return ca.leaf(host)
		},
	}
}

// normal is the one spelling of a host under which it is kept.
func normal(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// dialled gives the IP address of the server's end of c, "" if it has none.
func dialled(c net.Conn) string {
	if c == nil || c.LocalAddr() == nil {
		return ""
	}
	a, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		return ""
	}
	return a.Addr().Unmap().WithZone("").String()
}

// leaf gives the certificate of host, made now if there is none that is fresh.
func (ca *CA) leaf(host string) (*tls.Certificate, error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	now := ca.clock.Now()
	if l := ca.leaves[host]; l.fresh(now) {
		return l.cert, nil
	}
	cert, err := ca.issue(host)
	if err != nil {
		return nil, fmt.Errorf("make a certificate for %s: %w", host, err)
	}
	ca.leaves[host] = leaf{cert: cert, made: now}
	return cert, nil
}

func (ca *CA) issue(host string) (*tls.Certificate, error) {
	from, until := ca.span(leafLife)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		Subject:     pkix.Name{Organization: []string{"dpesim"}}, // the name is in the SAN: a CN holds 64 characters only
		NotBefore:   from,
		NotAfter:    until,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		t.IPAddresses = []net.IP{ip}
	} else {
		t.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, ca.cert, key.Public(), ca.key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: parsed}, nil
}
