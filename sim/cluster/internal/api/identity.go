package api

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/durable"
)

// headerTimeout is how long a client may take to send a request's header.
const headerTimeout = 10 * time.Second

// identity is what a kubeconfig refers to: the CA that clients trust and the tokens that people show. The server's own
// leaf is made anew at each start.
type identity struct {
	caPEM  []byte
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey
	tokens map[string]sim.Secret // by user
}

// openIdentity reads the identity in dir, or makes one and, unless dir is "", keeps it there.
func openIdentity(dir string) (*identity, error) {
	if dir == "" {
		_, id, err := newIdentity()
		return id, err
	}
	path := filepath.Join(dir, "identity.pem")
	kept, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		kept, id, err := newIdentity()
		if err != nil {
			return nil, err
		}
		return id, durable.WriteFile(path, kept, 0o600)
	}
	if err != nil {
		return nil, err
	}
	id, err := parseIdentity(kept)
	if err != nil {
		return nil, &sim.Error{
			Kind: sim.Invalid, Msg: path + " is damaged", Err: err,
			Help: "remove the file: a new identity is made at the next start, and kubeconfigs have to be written anew",
		}
	}
	if added := id.addTokens(); len(added) > 0 { // of a dpesim that knew fewer users
		return id, durable.WriteFile(path, append(kept, added...), 0o600)
	}
	return id, nil
}

// addTokens gives everybody in the kubeconfig who has none a token, and returns the new ones' PEM form.
func (id *identity) addTokens() []byte {
	var out []byte
	for _, name := range []string{Operator, Viewer} {
		if _, known := id.tokens[name]; known {
			continue
		}
		token := newToken()
		id.tokens[name] = token
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: tokenBlock, Headers: map[string]string{userHeader: name}, Bytes: []byte(token.Reveal())})...)
	}
	return out
}

// A token's PEM block names its user. The only token of old files, without a name, is the operator's.
const tokenBlock, userHeader = "TOKEN", "User"

// newIdentity makes an identity and its PEM form. Its certificates hold for a century around: clients judge them by the
// machine's time, the product's may be anywhere.
func newIdentity() ([]byte, *identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t, err := certificate("dpesim cluster CA")
	if err != nil {
		return nil, nil, err
	}
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	out = append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
	id, err := parseIdentity(out)
	if err != nil {
		return nil, nil, err
	}
	return append(out, id.addTokens()...), id, nil
}

// certificate gives what CA and leaf have in common.
func certificate(name string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC),
	}, err
}

// parseIdentity reads the PEM form: certificate, key, tokens.
func parseIdentity(in []byte) (*identity, error) {
	id := &identity{tokens: map[string]sim.Secret{}}
	for block, rest := pem.Decode(in); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, err
			}
			id.ca, id.caPEM = c, pem.EncodeToMemory(block)
		case "PRIVATE KEY":
			k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, err
			}
			key, ok := k.(*ecdsa.PrivateKey)
			if !ok {
				return nil, fmt.Errorf("a key of type %T where ECDSA is expected", k)
			}
			id.key = key
		case tokenBlock:
			name := block.Headers[userHeader]
			if name == "" {
				name = Operator
			}
			if len(block.Bytes) == 0 {
				return nil, fmt.Errorf("the token of %s is empty", name)
			}
			id.tokens[name] = sim.Secret(block.Bytes)
		}
	}
	if id.ca == nil || id.key == nil {
		return nil, errors.New("certificate or key is missing")
	}
	return id, nil
}

// serverTLS gives a configuration with a fresh leaf for addr and the names of loopback.
func (id *identity) serverTLS(addr net.Addr) (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t, err := certificate("dpesim cluster")
	if err != nil {
		return nil, err
	}
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	t.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
	t.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if tcp, ok := addr.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		t.IPAddresses = append(t.IPAddresses, tcp.IP)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, id.ca, key.Public(), id.key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}, nil
}

// listen binds addr. With port 0 it tries the port that the last run in dir had, and notes the one it got.
func listen(ctx context.Context, addr, dir string) (net.Listener, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	var lc net.ListenConfig
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, sim.Errorf(sim.Invalid, "%q is no address for the cluster's API: %v", addr, err).WithHelp("give host:port, as 127.0.0.1:0")
	}
	file := filepath.Join(dir, "port")
	if port == "0" && dir != "" {
		if last, err := os.ReadFile(file); err == nil {
			if ln, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, strings.TrimSpace(string(last)))); err == nil {
				return ln, nil
			}
		}
	}
	ln, err := lc.Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &sim.Error{
			Kind: sim.Unavailable, Msg: fmt.Sprintf("the cluster's API cannot listen on %s: the port is taken", addr),
			Help: "choose another port, or port 0 for any", Err: err,
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listen for the cluster's API: %w", err)
	}
	if tcp, ok := ln.Addr().(*net.TCPAddr); ok && dir != "" {
		if err := durable.WriteFile(file, []byte(strconv.Itoa(tcp.Port)+"\n"), 0o600); err != nil {
			return nil, errors.Join(err, ln.Close())
		}
	}
	return ln, nil
}
