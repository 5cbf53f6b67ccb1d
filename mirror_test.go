package main

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// mirror is a registry of the organisation's own: none of ours, and with a certificate that nobody trusts by himself.
type mirror struct {
	host        string
	certificate string // PEM
	file        string // where certificate is
}

func startMirror(t *testing.T) mirror {
	t.Helper()
	signer := httptest.NewTLSServer(nil) // for its certificate
	defer signer.Close()
	silent := log.New(io.Discard, "", 0)
	server := httptest.NewUnstartedServer(registry.New(registry.Logger(silent)))
	server.Listener = mayBeTLS{server.Listener, &tls.Config{Certificates: signer.TLS.Certificates, MinVersion: tls.VersionTLS12}}
	server.Config.ErrorLog = silent // clients that do not trust the certificate
	server.Start()
	t.Cleanup(server.Close)
	m := mirror{
		host:        server.Listener.Addr().String(),
		certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signer.Certificate().Raw})),
		file:        filepath.Join(t.TempDir(), "mirror-ca.pem"),
	}
	if err := os.WriteFile(m.file, []byte(m.certificate), 0o600); err != nil {
		t.Fatal(err)
	}
	return m
}

// mayBeTLS is a listener for HTTP with and without TLS: Helm 3.13 speaks plain HTTP to every registry on loopback,
// whatever its flags.
type mayBeTLS struct {
	net.Listener
	config *tls.Config
}

func (l mayBeTLS) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	read := bufio.NewReader(c)
	const handshake = 0x16 // RFC 8446, section 5.1
	if first, err := read.Peek(1); err == nil && first[0] == handshake {
		return tls.Server(peeked{c, read}, l.config), nil
	}
	return peeked{c, read}, nil
}

// peeked is a connection of which a byte has been looked at.
type peeked struct {
	net.Conn
	read *bufio.Reader
}

func (c peeked) Read(b []byte) (int, error) { return c.read.Read(b) }
