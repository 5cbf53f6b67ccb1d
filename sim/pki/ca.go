// Package pki is the certificate authority of a simulator: one self-signed CA that is kept in the data directory, and
// server certificates that it makes on demand for the host names it is told.
//
// Validity goes by product time, so that a moved clock lets certificates expire for real. It knows no service and no
// network.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/durable"
)

// Lifetimes. How long the product's own certificates live is not public: these are an assumption.
//
// They begin and end in product time. But helm, kubectl and browsers go by the machine's, and a certificate must be good for
// them too when product time has been moved: so each begins at the earlier of both, and ends so long after the later.
const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 90 * 24 * time.Hour
	// backdate lets a client whose clock is a little behind accept a fresh certificate.
	backdate = time.Hour
)

const (
	certFile = "ca.pem"
	keyFile  = "ca-key.pem"
)

// CA is a certificate authority. It is safe for concurrent use and holds nothing that needs closing.
type CA struct {
	clock *clock.Clock // product time
	wall  *clock.Clock // the machine's time
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	pem   []byte
	text  sim.Secret // of key

	mu     sync.Mutex
	leaves map[string]leaf
}

// Open reads the CA in dir, ca.pem and ca-key.pem (mode 0600), or makes it if neither file is there. A key without a
// certificate is what a crash during the first Open leaves: the certificate is made anew from that key.
//
// It returns Conflict, and changes nothing, if the files cannot be read as a CA or do not belong together. A CA that
// has expired by c is no error: it is for clients to refuse, as they would a real one. Two processes must not share dir.
func Open(dir string, c *clock.Clock) (*CA, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the CA's directory: %w", err)
	}
	certPath, keyPath := filepath.Join(dir, certFile), filepath.Join(dir, keyFile)
	certPEM, certErr := read(certPath)
	keyPEM, keyErr := read(keyPath)
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	if keyPEM == nil && certPEM != nil {
		return nil, broken(certPath, "there is a certificate but no key "+keyPath, nil)
	}
	ca := &CA{clock: c, wall: clock.New(), pem: certPEM, leaves: map[string]leaf{}}
	var err error
	if keyPEM == nil {
		ca.key, err = makeKey(keyPath)
	} else {
		ca.key, err = parseKey(keyPath, keyPEM)
	}
	if err != nil {
		return nil, err
	}
	text, err := encodeKey(ca.key)
	if err != nil {
		return nil, err
	}
	ca.text = sim.Secret(text)
	if certPEM == nil {
		if ca.pem, err = ca.makeCert(certPath); err != nil {
			return nil, err
		}
	}
	if ca.cert, err = parseCert(certPath, ca.pem, ca.key); err != nil {
		return nil, err
	}
	return ca, nil
}

// read gives nil for a file that is not there.
func read(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if b == nil && err == nil {
		b = []byte{} // an empty file is there, and broken
	}
	return b, err
}

func makeKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the CA's key: %w", err)
	}
	b, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return key, durable.WriteFile(path, b, 0o600)
}

// span gives a certificate's first and last moment when it is made now to live so long.
func (ca *CA) span(life time.Duration) (from, until time.Time) {
	from, until = ca.clock.Now(), ca.wall.Now()
	if until.Before(from) {
		from, until = until, from
	}
	return from.Add(-backdate), until.Add(life)
}

func (ca *CA) makeCert(path string) ([]byte, error) {
	from, until := ca.span(caLife)
	t := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "dpesim CA", Organization: []string{"dpesim"}},
		NotBefore:             from,
		NotAfter:              until,
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	} // no SerialNumber: x509 draws one of at most 20 bytes from the reader, as RFC 5280 4.1.2.2 wants
	der, err := x509.CreateCertificate(rand.Reader, t, t, ca.key.Public(), ca.key)
	if err != nil {
		return nil, fmt.Errorf("make the CA's certificate: %w", err)
	}
	b := encodeCert(der)
	return b, durable.WriteFile(path, b, 0o644)
}

// PEM gives the CA's certificate, for files and trust stores. The caller may change the copy.
func (ca *CA) PEM() []byte { return slices.Clone(ca.pem) }

// Secret gives the CA's private key, PEM, for who has to know it when it is shown.
func (ca *CA) Secret() sim.Secret { return ca.text }

// Pool gives a new pool with the CA's certificate alone, for clients.
func (ca *CA) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.cert)
	return p
}
