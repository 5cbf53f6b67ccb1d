package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/dpesim/dpesim/sim"
)

const (
	certBlock = "CERTIFICATE"
	keyBlock  = "PRIVATE KEY" // PKCS #8
)

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certBlock, Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the CA's key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), nil
}

// parseKey never puts bytes of the file into an error.
func parseKey(path string, b []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != keyBlock {
		return nil, broken(path, "it holds no PEM block "+keyBlock, nil)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, broken(path, "its key cannot be read", err)
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, broken(path, "its key is not an ECDSA key of curve P-256", nil)
	}
	return key, nil
}

func parseCert(path string, b []byte, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != certBlock {
		return nil, broken(path, "it holds no PEM block "+certBlock, nil)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, broken(path, "its certificate cannot be read", err)
	}
	if !cert.IsCA {
		return nil, broken(path, "its certificate is not that of a CA", nil)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, broken(path, "its certificate belongs to another key than "+keyFile, nil)
	}
	if err := cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
		return nil, broken(path, "its certificate is not signed by its own key", err)
	}
	return cert, nil
}

func broken(path, why string, err error) error {
	return &sim.Error{
		Op: "sim/pki.Open", Kind: sim.Conflict, Err: err,
		Msg: fmt.Sprintf("the CA in %s cannot be used: %s", path, why),
		Help: fmt.Sprintf("put %s and %s back as they were, or move both away to let a new CA be made (clients must then trust the new one)",
			certFile, keyFile),
	}
}
