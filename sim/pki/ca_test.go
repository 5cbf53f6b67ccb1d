package pki_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/pki"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string, c *clock.Clock) *pki.CA {
	t.Helper()
	ca, err := pki.Open(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// shake connects a client to a server on 127.0.0.1 and gives what the client saw and both errors.
func shake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error, error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Error(err)
		return tls.ConnectionState{}, err, err
	}
	defer ln.Close()
	b, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Error(err)
		return tls.ConnectionState{}, err, err
	}
	a, err := ln.Accept()
	if err != nil {
		t.Error(err)
		return tls.ConnectionState{}, err, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer a.Close()
		s := tls.Server(a, server)
		err := s.HandshakeContext(ctx)
		if err == nil {
			_, err = s.Write([]byte("hi"))
		}
		done <- err
	}()
	c := tls.Client(b, client)
	err = c.HandshakeContext(ctx)
	if err == nil {
		_, err = c.Read(make([]byte, 2))
	}
	_ = b.Close()
	return c.ConnectionState(), err, <-done
}

func client(ca *pki.CA, c *clock.Clock, host string) *tls.Config {
	return &tls.Config{RootCAs: ca.Pool(), ServerName: host, Time: c.Now}
}

func TestClientsThatTrustTheCAConnectToTheHostsItWasTold(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	ca := open(t, t.TempDir(), c)
	server := ca.ServerTLS("dpm-grpc-acme.dpesim.localhost", "LocalHost", "127.0.0.1", "::1")
	for _, host := range []string{"dpm-grpc-acme.dpesim.localhost", "DPM-grpc-ACME.dpesim.localhost", "localhost"} {
		st, err, serr := shake(t, server, client(ca, c, host))
		if err != nil || serr != nil {
			t.Fatalf("%s: %v / %v", host, err, serr)
		}
		if st.Version < tls.VersionTLS12 {
			t.Errorf("%s: version %x", host, st.Version)
		}
		if got := st.PeerCertificates[0].DNSNames; len(got) != 1 || !strings.EqualFold(got[0], host) {
			t.Errorf("%s: names %v", host, got)
		}
	}
}

func TestAClientThatDialsAnAddressGetsThatAddressesCertificate(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	ca := open(t, t.TempDir(), c)
	for _, tc := range []struct {
		hosts []string
		want  bool
	}{{[]string{"127.0.0.1"}, true}, {[]string{"localhost"}, false}} {
		_, err, _ := shake(t, ca.ServerTLS(tc.hosts...), client(ca, c, "127.0.0.1"))
		if got := err == nil; got != tc.want {
			t.Errorf("hosts %v: err %v", tc.hosts, err)
		}
	}
}

func TestOtherNamesAndOldProtocolsAreRefused(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	ca := open(t, t.TempDir(), c)
	server := ca.ServerTLS("a.example")
	_, err, _ := shake(t, server, client(ca, c, "b.example"))
	if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("foreign name: %v, want the alert unrecognized_name", err)
	}
	old := client(ca, c, "a.example")
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, err, _ = shake(t, server, old); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	stranger := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "a.example", Time: c.Now}
	if _, err, _ = shake(t, server, stranger); err == nil {
		t.Error("a client that does not trust the CA connected")
	}
}

func TestNextProtosOfTheConfigAndOfItsCloneAreNegotiated(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	ca := open(t, t.TempDir(), c)
	server := ca.ServerTLS("a.example")
	server.NextProtos = []string{"h2"}
	for _, cfg := range []*tls.Config{server, server.Clone()} {
		cl := client(ca, c, "a.example")
		cl.NextProtos = []string{"h2", "http/1.1"}
		st, err, _ := shake(t, cfg, cl)
		if err != nil || st.NegotiatedProtocol != "h2" {
			t.Errorf("%q, %v", st.NegotiatedProtocol, err)
		}
	}
}

func TestALeafIsKeptThenRenewedBeforeItExpiresByTheClock(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	ca := open(t, t.TempDir(), c)
	server := ca.ServerTLS("a.example")
	serial := func() string {
		st, err, _ := shake(t, server, client(ca, c, "a.example"))
		if err != nil {
			t.Fatalf("at %v: %v", c.Now(), err)
		}
		return st.PeerCertificates[0].SerialNumber.String()
	}
	move := func(d time.Duration) {
		if err := c.Set(t.Context(), c.Now().Add(d)); err != nil {
			t.Fatal(err)
		}
	}
	const day = 24 * time.Hour
	first := serial()
	move(59 * day)
	if serial() != first {
		t.Error("renewed before two thirds of its life were over")
	}
	move(2 * day)
	second := serial()
	if second == first {
		t.Error("not renewed after two thirds of its life")
	}
	move(400 * day)
	third := serial()
	if third == second {
		t.Error("not renewed after it expired")
	}
	move(-400 * day)
	if fourth := serial(); fourth == third {
		t.Error("a leaf that is not valid yet was shown after the clock was set back")
	}
	move(11 * 365 * day)
	if _, err, _ := shake(t, server, client(ca, c, "a.example")); err == nil {
		t.Error("the client accepted an expired CA")
	}
}

func TestClientsThatGoByTheMachinesTimeConnectWhereverTheClockStands(t *testing.T) {
	t.Parallel()
	for _, years := range []int{-10, 5} {
		c := clock.New()
		if err := c.Set(t.Context(), c.Now().AddDate(years, 0, 0)); err != nil {
			t.Fatal(err)
		}
		ca := open(t, t.TempDir(), c)
		for _, step := range []int{0, 1} { // then the leaf is renewed
			if err := c.Set(t.Context(), c.Now().AddDate(step, 0, 0)); err != nil {
				t.Fatal(err)
			}
			for name, by := range map[string]*clock.Clock{"product": c, "machine": clock.New()} {
				if _, err, _ := shake(t, ca.ServerTLS("127.0.0.1"), client(ca, by, "127.0.0.1")); err != nil {
					t.Errorf("%d years away, %d years later, by %s time: %v", years, step, name, err)
				}
			}
		}
	}
}

func TestTheCAIsKeptInItsDirectory(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	dir := filepath.Join(t.TempDir(), "pki")
	one := open(t, dir, c)
	two := open(t, dir, c)
	if !bytes.Equal(one.PEM(), two.PEM()) {
		t.Fatal("the second Open made another CA")
	}
	if _, err, _ := shake(t, two.ServerTLS("a.example"), client(one, c, "a.example")); err != nil {
		t.Fatalf("the kept key does not fit the kept certificate: %v", err)
	}
	onDisk, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil || !bytes.Equal(onDisk, one.PEM()) {
		t.Errorf("ca.pem is not PEM(): %v", err)
	}
	one.PEM()[0] = 'X'
	if !bytes.Equal(onDisk, one.PEM()) {
		t.Error("PEM gives its own memory away")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("files left: %v, %v", entries, err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for path, want := range map[string]os.FileMode{".": 0o700, "ca.pem": 0o644, "ca-key.pem": 0o600} {
		st, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != want {
			t.Errorf("%s: mode %v, want %v", path, st.Mode().Perm(), want)
		}
	}
}

func TestBrokenFilesAreExplainedAndKept(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	other := t.TempDir()
	open(t, other, c)
	otherKey, err := os.ReadFile(filepath.Join(other, "ca-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(certPath, keyPath string) error{
		"empty certificate":   func(cert, _ string) error { return os.WriteFile(cert, nil, 0o600) },
		"garbage certificate": func(cert, _ string) error { return os.WriteFile(cert, []byte("garbage"), 0o600) },
		"key as certificate":  func(cert, _ string) error { return os.WriteFile(cert, otherKey, 0o600) },
		"key cut short":       func(_, key string) error { return os.Truncate(key, 60) },
		"key of another CA":   func(_, key string) error { return os.WriteFile(key, otherKey, 0o600) },
		"no key":              func(_, key string) error { return os.Remove(key) },
		"undecodable key block": func(_, key string) error {
			return os.WriteFile(key, []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			open(t, dir, c)
			certPath, keyPath := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca-key.pem")
			if err := spoil(certPath, keyPath); err != nil {
				t.Fatal(err)
			}
			certBefore, _ := os.ReadFile(certPath)
			keyBefore, _ := os.ReadFile(keyPath)
			_, err := pki.Open(dir, c)
			if sim.KindOf(err) != sim.Conflict {
				t.Fatalf("error %v of kind %v, want conflict", err, sim.KindOf(err))
			}
			msg, help := sim.Explain(err)
			if !strings.Contains(msg, dir) || help == "" {
				t.Errorf("message %q, help %q", msg, help)
			}
			certAfter, _ := os.ReadFile(certPath)
			keyAfter, _ := os.ReadFile(keyPath)
			if !bytes.Equal(certBefore, certAfter) || !bytes.Equal(keyBefore, keyAfter) {
				t.Error("the files were changed")
			}
		})
	}
}

func TestACrashBetweenKeyAndCertificateHeals(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	dir := t.TempDir()
	open(t, dir, c)
	keyPath := filepath.Join(dir, "ca-key.pem")
	before, err := os.ReadFile(keyPath)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	ca := open(t, dir, c)
	if _, err, _ := shake(t, ca.ServerTLS("a.example"), client(ca, c, "a.example")); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(keyPath); !bytes.Equal(before, after) {
		t.Error("the key was replaced")
	}
}

func TestManyClientsAtOnceShareOneLeafPerHost(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	ca := open(t, t.TempDir(), c)
	server := ca.ServerTLS("a.example", "b.example")
	var mu sync.Mutex
	serials := map[string]bool{}
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			st, err, _ := shake(t, server, client(ca, c, []string{"a.example", "b.example"}[i%2]))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			serials[st.PeerCertificates[0].SerialNumber.String()] = true
		})
	}
	wg.Wait()
	if len(serials) != 2 {
		t.Errorf("%d leaves for two hosts", len(serials))
	}
}
