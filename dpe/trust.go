package dpe

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// CAFile is a file of certificates (PEM) that the engine trusts.
type CAFile struct {
	Name string // for messages: "/etc/dpe/config/ca.pem"
	PEM  []byte // one certificate at least; text between them is not looked at
}

// roots gives the certificates that the engine trusts. A machine without roots of its own is fine. It returns Invalid,
// naming the file, for one that is not what it should be.
func roots(files []CAFile) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, f := range files {
		if err := f.addTo(pool); err != nil {
			return nil, cannotStart(fmt.Sprintf("the CA file %s %v", f.Name, err)).
				WithHelp("put certificates in PEM there: the values ca and extraCaCertificates, or the Secret or ConfigMap that caDirectory names")
		}
	}
	return pool, nil
}

// addTo adds every certificate of the file to pool. Its errors go on where "the file" ends.
func (f CAFile) addTo(pool *x509.CertPool) error {
	blocks := bytes.Count(f.PEM, []byte("-----BEGIN "))
	if blocks == 0 {
		return errors.New("holds no certificate")
	}
	rest := f.PEM
	for n := 1; n <= blocks; n++ {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil { // Decode skips what it cannot read
			return errors.New("holds a block that is cut off or damaged")
		}
		if b.Type != "CERTIFICATE" {
			return fmt.Errorf("holds a %s where only certificates belong", b.Type)
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return fmt.Errorf("holds something else than a certificate in block %d (%w)", n, err)
		}
		pool.AddCert(c)
	}
	return nil
}

// untrusted says in words whose certificate was not trusted, and why, if that is what err is about; else it is nil.
func untrusted(err error) error {
	e, ok := errors.AsType[*tls.CertificateVerificationError](err)
	if !ok || len(e.UnverifiedCertificates) == 0 {
		return nil
	}
	out := fmt.Errorf("the certificate that answers there, issued by %q, is not trusted: %w", e.UnverifiedCertificates[0].Issuer.String(), e.Err)
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		out = fmt.Errorf("%w: if a proxy ends TLS on the way, put its CA into extraCaCertificates", out)
	}
	return out
}
