package edge_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/draw"
	"github.com/dpesim/dpesim/sim/edge"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/sim/pki"
)

// rig is an edge that serves, on a frozen clock.
type rig struct {
	*edge.Edge
	clock  *clock.Clock
	bus    *event.Bus
	faults *fault.Set
	ca     *pki.CA
}

func start(tb testing.TB, change ...func(*edge.Options)) *rig {
	tb.Helper()
	c := clock.NewFrozen(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	r := &rig{clock: c, bus: event.New(c, 0), faults: fault.New(c, draw.New(1))}
	opt := edge.Options{Addr: "127.0.0.1:0", Flag: "--tls", Clock: c, Bus: r.bus, Faults: r.faults}
	for _, f := range change {
		f(&opt)
	}
	var err error
	if r.ca, err = pki.Open(tb.TempDir(), c); err != nil {
		tb.Fatal(err)
	}
	if r.Edge, err = edge.Open(tb.Context(), opt); err != nil {
		tb.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve(context.Background()) }()
	tb.Cleanup(func() {
		if err := r.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
		if err := <-served; err != nil {
			tb.Errorf("serve: %v", err)
		}
	})
	return r
}

func (r *rig) listen(tb testing.TB, host string, env sim.EnvironmentID) net.Listener {
	tb.Helper()
	ln, err := r.Listen(host, env)
	if err != nil {
		tb.Fatal(err)
	}
	return ln
}

// echo serves TLS for host: every connection gets the address it comes from as a line, then its own bytes back, and the end of
// them as an end.
func (r *rig) echo(tb testing.TB, host string, env sim.EnvironmentID) net.Listener {
	tb.Helper()
	ln := r.listen(tb, host, env)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				s := tls.Server(c, r.ca.ServerTLS(host))
				if _, err := fmt.Fprintln(s, c.RemoteAddr().(*net.TCPAddr).IP); err != nil {
					return
				}
				_, _ = io.Copy(s, s)
				_ = s.CloseWrite()
			})
		}
	})
	tb.Cleanup(func() {
		_ = r.Close()
		wg.Wait()
	})
	return ln
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

func direct(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// client makes a TLS connection for host and reads the line with the source address.
func (r *rig) client(tb testing.TB, dial dialFunc, addr, host string) (*tls.Conn, *bufio.Reader, string, error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	raw, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, "", err
	}
	c := tls.Client(raw, &tls.Config{RootCAs: r.ca.Pool(), ServerName: host, Time: r.clock.Now, InsecureSkipVerify: host == ""})
	tb.Cleanup(func() { _ = raw.Close() })
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, nil, "", err
	}
	br := bufio.NewReader(c)
	line, err := br.ReadString('\n')
	return c, br, strings.TrimSpace(line), err
}

// wait gives the next event of that name after seq.
func (r *rig) wait(tb testing.TB, after uint64, what string) sim.Event {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s := r.bus.Subscribe(after)
	for {
		e, err := s.Next(ctx)
		if err != nil {
			tb.Fatalf("no event %q: %v", what, err)
		}
		if e.What == what {
			return e
		}
	}
}

func (r *rig) refused(tb testing.TB, after uint64, want edge.Reason) sim.Event {
	tb.Helper()
	e := r.wait(tb, after, "connection refused")
	if e.Detail["reason"] != string(want) || e.Part != sim.PartEdge {
		tb.Fatalf("event %+v, want reason %q", e, want)
	}
	if r.Counters().Refused[want] == 0 {
		tb.Errorf("refusal %q was not counted: %+v", want, r.Counters())
	}
	return e
}

// eventually waits for a condition that no event tells.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for machine := clock.New(); !ok(); {
		if err := machine.Sleep(ctx, time.Millisecond); err != nil {
			tb.Fatalf("never: %s", what)
		}
	}
}

func TestConnectionsReachTheRouteOfTheirServerName(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.echo(t, "a.dpesim.localhost", "a")
	r.echo(t, "B.dpesim.localhost", "b")
	for _, host := range []string{"a.dpesim.localhost", "A.DPEsim.localhost", "b.dpesim.localhost"} {
		c, br, source, err := r.client(t, direct, r.Addr().String(), host)
		if err != nil || source != "127.0.0.1" {
			t.Fatalf("%s: from %q, %v", host, source, err)
		}
		if !strings.EqualFold(c.ConnectionState().PeerCertificates[0].DNSNames[0], host) {
			t.Errorf("%s reached %v", host, c.ConnectionState().PeerCertificates[0].DNSNames)
		}
		if _, err := io.WriteString(c, "ping\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := br.ReadString('\n'); line != "ping\n" {
			t.Errorf("%s: %q, %v", host, line, err)
		}
	}
	if n := r.Counters(); n.Accepted != 3 || len(n.Refused) != 0 {
		t.Errorf("counters %+v", n)
	}
}

func TestTheEndOfOneWayIsPassedOnAndTheOtherGoesOn(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.echo(t, "a.localhost", "")
	c, br, _, err := r.client(t, direct, r.Addr().String(), "a.localhost")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "last words"); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(br)
	if err != nil || string(got) != "last words" {
		t.Errorf("%q, %v", got, err)
	}
	eventually(t, "the connection is given back", func() bool { return r.Counters().Open == 0 })
}

func TestARoutesConnectionIsAWholeConnection(t *testing.T) {
	t.Parallel()
	r := start(t)
	ln := r.listen(t, "a.localhost", "")
	if ln.Addr().String() != r.Addr().String() {
		t.Errorf("listener's address %v", ln.Addr())
	}
	raw, err := r.Egress(netip.MustParseAddr("203.0.113.7")).DialContext(t.Context(), "tcp", "a.localhost:443")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	hello := helloOf(t, "a.localhost")
	if _, err := raw.Write(append(hello, "tail"...)); err != nil {
		t.Fatal(err)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.LocalAddr().String() != r.Addr().String() || !strings.HasPrefix(c.RemoteAddr().String(), "203.0.113.7:") {
		t.Errorf("local %v, remote %v", c.LocalAddr(), c.RemoteAddr())
	}
	got := make([]byte, len(hello)+4)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != string(hello)+"tail" {
		t.Fatalf("bytes were touched: %v", err)
	}
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := c.Read(got); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("a read past its deadline: %v", err)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Read(got); !errors.Is(err, io.EOF) {
		t.Errorf("the client does not see the half-close: %v", err)
	}
	if _, err := raw.Write([]byte("more")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got[:4]); err != nil || string(got[:4]) != "more" {
		t.Errorf("the other way does not go on: %q, %v", got[:4], err)
	}
}

func TestCopyingFromAConnectionStartsWithTheHello(t *testing.T) {
	t.Parallel()
	r := start(t)
	ln := r.listen(t, "a.localhost", "")
	raw, err := direct(t.Context(), "tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	hello := helloOf(t, "a.localhost")
	if _, err := raw.Write(hello); err != nil {
		t.Fatal(err)
	}
	_ = raw.Close()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var got strings.Builder
	if _, err := io.Copy(&got, c); err != nil || got.String() != string(hello) {
		t.Errorf("%d of %d bytes, %v", got.Len(), len(hello), err)
	}
}

func TestTwoHundredConnectionsAtOnce(t *testing.T) {
	t.Parallel()
	r := start(t)
	for i := range 4 {
		r.echo(t, fmt.Sprintf("h%d.localhost", i), "")
	}
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range 200 {
		wg.Go(func() {
			c, br, _, err := r.client(t, direct, r.Addr().String(), fmt.Sprintf("h%d.localhost", i%4))
			if err != nil {
				t.Error(err)
				return
			}
			<-gate
			want := fmt.Sprintf("message %d\n", i)
			if _, err := io.WriteString(c, want); err != nil {
				t.Error(err)
			}
			if line, err := br.ReadString('\n'); line != want {
				t.Errorf("%q, %v", line, err)
			}
			_ = c.Close()
		})
	}
	eventually(t, "200 open", func() bool { return r.Counters().Open == 200 })
	close(gate)
	wg.Wait()
	eventually(t, "none open", func() bool { return r.Counters().Open == 0 })
	if n := r.Counters(); n.Accepted != 200 {
		t.Errorf("%+v", n)
	}
}

func TestClosingARouteEndsWhatWaitsAndLeavesWhatWasAccepted(t *testing.T) {
	t.Parallel()
	r := start(t)
	ln := r.listen(t, "a.localhost", "")
	dial := func() net.Conn {
		raw, err := direct(t.Context(), "tcp", r.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = raw.Close() })
		if _, err := raw.Write(helloOf(t, "a.localhost")); err != nil {
			t.Fatal(err)
		}
		return raw
	}
	first := dial()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	second := dial()
	eventually(t, "the second waits", func() bool { return r.Counters().Open == 2 })
	if err := errors.Join(ln.Close(), ln.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	if _, err := second.Read(make([]byte, 1)); err == nil {
		t.Error("the waiting connection was not ended")
	}
	if _, err := accepted.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := first.Read(make([]byte, 1)); err != nil {
		t.Errorf("the accepted connection was ended: %v", err)
	}
	_ = accepted.Close()
	third := dial()
	if b, _ := io.ReadAll(third); len(b) == 0 || b[len(b)-1] != 112 {
		t.Errorf("after Close the name still has a route: % x", b)
	}
	if _, err := r.Listen("a.localhost", ""); err != nil {
		t.Errorf("the name is not free again: %v", err)
	}
}

func TestListenRefusesWhatCannotBeRouted(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.listen(t, "a.localhost", "")
	for host, want := range map[string]sim.Kind{
		"": sim.Invalid, "127.0.0.1": sim.Invalid, "a b": sim.Invalid, "a/b": sim.Invalid, strings.Repeat("a", 300): sim.Invalid,
		"A.localhost.": sim.Conflict,
	} {
		if _, err := r.Listen(host, ""); sim.KindOf(err) != want {
			t.Errorf("%q: %v", host, err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Listen("b.localhost", ""); sim.KindOf(err) != sim.Unavailable {
		t.Errorf("after Close: %v", err)
	}
}

func TestCloseEndsRoutesAndConnectionsAndIsIdempotent(t *testing.T) {
	t.Parallel()
	r := start(t)
	ln := r.echo(t, "a.localhost", "")
	c, _, _, err := r.client(t, direct, r.Addr().String(), "a.localhost")
	if err != nil {
		t.Fatal(err)
	}
	silent, err := direct(t.Context(), "tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("an open connection survived")
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("a connection without a hello survived")
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if _, err := direct(t.Context(), "tcp", r.Addr().String()); err == nil {
		t.Error("the port is still open")
	}
}

func TestCloseIsRightIfServeNeverRan(t *testing.T) {
	t.Parallel()
	c := clock.New()
	e, err := edge.Open(t.Context(), edge.Options{Addr: "127.0.0.1:0", Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Serve(t.Context()); err != nil {
		t.Errorf("Serve after Close: %v", err)
	}
}

func TestServeReturnsNilWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	e, err := edge.Open(t.Context(), edge.Options{Addr: "127.0.0.1:0", Clock: clock.New()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Serve(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// helloOf gives the bytes of a real client's hello.
func helloOf(tb testing.TB, host string) []byte {
	tb.Helper()
	a, b := net.Pipe()
	defer a.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		cfg := &tls.Config{ServerName: host, RootCAs: x509.NewCertPool(), InsecureSkipVerify: host == ""}
		_ = tls.Client(b, cfg).HandshakeContext(context.Background())
		_ = b.Close()
	}()
	head := make([]byte, 5)
	if _, err := io.ReadFull(a, head); err != nil {
		tb.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(a, body); err != nil {
		tb.Fatal(err)
	}
	_ = a.Close()
	<-done
	return append(head, body...)
}
