package edge_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/dpesim/dpesim/sim/edge"
	"github.com/dpesim/dpesim/sim/fault"
)

// exchange sends b and gives all that comes back.
func (r *rig) exchange(tb testing.TB, addr string, b []byte) ([]byte, error) {
	tb.Helper()
	c, err := direct(tb.Context(), "tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(b); err != nil {
		tb.Fatal(err)
	}
	return io.ReadAll(c)
}

func TestUnknownAndMissingNamesAreToldToTheClient(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.echo(t, "a.localhost", "")
	for host, want := range map[string]edge.Reason{"b.localhost": edge.UnknownName, "": edge.NoName} {
		seq := r.bus.Last()
		_, _, _, err := r.client(t, direct, r.Addr().String(), host)
		if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%q: %v, want the alert unrecognized_name", host, err)
		}
		e := r.refused(t, seq, want)
		if e.Detail["source"] != "127.0.0.1" || e.Detail["name"] != host {
			t.Errorf("detail %v", e.Detail)
		}
	}
}

func TestPlainHTTPIsAnsweredWithASentence(t *testing.T) {
	t.Parallel()
	r := start(t)
	resp, err := http.Post("http://"+r.Addr().String()+"/x", "text/plain", strings.NewReader(strings.Repeat("body ", 2000)))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "https://") {
		t.Errorf("%d %q %v", resp.StatusCode, body, err)
	}
	r.refused(t, 0, edge.PlainHTTP)
}

func TestTheReasonOfWhatIsNoHello(t *testing.T) {
	t.Parallel()
	hello := helloOf(t, "a.localhost")
	for name, tc := range map[string]struct {
		sent []byte
		want edge.Reason
	}{
		"garbage":               {[]byte("\x00\x01garbage"), edge.BrokenHello},
		"SSH":                   {[]byte("SSH-2.0-OpenSSH_9.9\r\n"), edge.BrokenHello},
		"nothing":               {nil, edge.NoHello},
		"half a hello":          {hello[:len(hello)/2], edge.BrokenHello},
		"half a method":         {[]byte("GE"), edge.BrokenHello},
		"HTTP/2 in the clear":   {[]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), edge.PlainHTTP},
		"another handshake":     {append([]byte{0x16, 3, 1, 0, 4}, 2, 0, 0, 0), edge.BrokenHello},
		"records without end":   {bytes.Repeat(append([]byte{0x16, 3, 1, 0, 4}, 1, 0, 255, 255), 2000), edge.BrokenHello},
		"a record that is long": {append([]byte{0x16, 3, 1, 255, 255}, make([]byte, 20000)...), edge.BrokenHello},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			r.echo(t, "a.localhost", "")
			c, err := direct(t.Context(), "tcp", r.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, _ = c.Write(tc.sent) // may be reset under way
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, c)
			r.refused(t, 0, tc.want)
		})
	}
}

// advanceUntil moves the clock by steps of d until done says something: where the edge's timer starts cannot be seen.
func (r *rig) advanceUntil(tb testing.TB, d time.Duration, done <-chan error) (result error) {
	tb.Helper()
	eventually(tb, "the end", func() bool {
		if err := r.clock.Advance(tb.Context(), d); err != nil {
			tb.Fatal(err)
		}
		select {
		case result = <-done:
			return true
		default:
			return false
		}
	})
	return result
}

func TestASlowHelloIsCutByTheClock(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *edge.Options) { o.HelloTimeout = 5 * time.Second })
	r.echo(t, "a.localhost", "")
	for _, sent := range [][]byte{nil, helloOf(t, "a.localhost")[:20], []byte("GE")} {
		c, err := direct(t.Context(), "tcp", r.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(sent); err != nil {
			t.Fatal(err)
		}
		gone := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			gone <- err
		}()
		if err := r.advanceUntil(t, 5*time.Second, gone); err == nil {
			t.Error("an answer to half a hello")
		}
		_ = c.Close()
	}
	if n := r.Counters().Refused[edge.SlowHello]; n != 3 {
		t.Errorf("counted %d", n)
	}
}

func TestRepeatedRefusalsAreSummarised(t *testing.T) {
	t.Parallel()
	r := start(t)
	for range 20 {
		if _, err := r.exchange(t, r.Addr().String(), helloOf(t, "nobody.localhost")); err != nil {
			t.Fatal(err)
		}
	}
	if e := r.refused(t, 0, edge.UnknownName); e.Detail["count"] != "1" {
		t.Errorf("%v", e.Detail)
	}
	eventually(t, "20 counted", func() bool { return r.Counters().Refused[edge.UnknownName] == 20 })
	if n := len(r.bus.Since(0)); n != 1 {
		t.Fatalf("%d events before the clock moved", n)
	}
	if err := r.clock.Advance(t.Context(), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	events := r.bus.Since(0)
	if len(events) != 2 || events[1].Detail["count"] != "19" {
		t.Fatalf("%+v", events)
	}
	if err := r.clock.Advance(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := r.exchange(t, r.Addr().String(), helloOf(t, "nobody.localhost")); err != nil {
		t.Fatal(err)
	}
	if e := r.refused(t, events[1].Seq, edge.UnknownName); e.Detail["count"] != "1" {
		t.Errorf("after a quiet hour: %v", e.Detail)
	}
	if _, err := r.exchange(t, r.Addr().String(), helloOf(t, "nobody.localhost")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "22 counted", func() bool { return r.Counters().Refused[edge.UnknownName] == 22 })
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(r.bus.Since(0)); n != 4 {
		t.Errorf("Close did not tell the rest: %+v", r.bus.Since(0))
	}
}

func TestAFullRouteRefuses(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *edge.Options) { o.Backlog = 2 })
	r.listen(t, "a.localhost", "acme")
	for range 2 {
		c, err := direct(t.Context(), "tcp", r.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write(helloOf(t, "a.localhost")); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "two wait", func() bool { return r.Counters().Open == 2 })
	if _, err := r.exchange(t, r.Addr().String(), helloOf(t, "a.localhost")); err == nil {
		t.Error("the third was not reset")
	}
	if e := r.refused(t, 0, edge.TooMany); e.Environment != "acme" {
		t.Errorf("%+v", e)
	}
}

func TestAFaultCutsOrDelaysTheConnectionsOfItsEnvironment(t *testing.T) {
	t.Parallel()
	// The clock is moved on before the hello may have been read, too: only the fault may keep it waiting.
	r := start(t, func(o *edge.Options) { o.HelloTimeout = 100 * 365 * 24 * time.Hour })
	r.echo(t, "a.localhost", "a")
	r.echo(t, "b.localhost", "b")
	arm := func(f fault.Fault) {
		t.Helper()
		f.Point, f.Match = edge.FaultAccept, fault.Scope{Environment: "a"}
		if err := r.faults.Arm(f); err != nil {
			t.Fatal(err)
		}
	}
	arm(fault.Fault{Name: "cut", Err: errors.New("cable")})
	if _, _, _, err := r.client(t, direct, r.Addr().String(), "a.localhost"); err == nil {
		t.Error("not cut")
	}
	r.refused(t, 0, edge.Injected)
	if _, _, _, err := r.client(t, direct, r.Addr().String(), "b.localhost"); err != nil {
		t.Errorf("another environment: %v", err)
	}
	if err := r.faults.Disarm("cut"); err != nil {
		t.Fatal(err)
	}
	arm(fault.Fault{Name: "slow", Delay: time.Hour})
	done := make(chan error, 1)
	go func() {
		_, _, _, err := r.client(t, direct, r.Addr().String(), "a.localhost")
		done <- err
	}()
	if err := r.advanceUntil(t, time.Hour, done); err != nil {
		t.Error(err)
	}
}

func TestADelayEndsWithTheEdge(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.listen(t, "a.localhost", "a")
	if err := r.faults.Arm(fault.Fault{Name: "slow", Point: edge.FaultAccept, Delay: time.Hour}); err != nil {
		t.Fatal(err)
	}
	c, err := direct(t.Context(), "tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(helloOf(t, "a.localhost")); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil { // hangs if the delay did not end
		t.Fatal(err)
	}
}

func TestTheAllowlistKnowsTheSourceAddress(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.echo(t, "a.localhost", "a")
	r.echo(t, "b.localhost", "b")
	allow := func(p ...string) {
		list := []netip.Prefix{}
		for _, s := range p {
			list = append(list, netip.MustParsePrefix(s))
		}
		r.SetAllowlist(t.Context(), "a", list)
	}
	try := func(source, host string) (string, error) {
		t.Helper()
		dial := direct
		addr := r.Addr().String()
		if source != "" {
			dial, addr = r.Egress(netip.MustParseAddr(source)).DialContext, host+":443"
		}
		_, _, from, err := r.client(t, dial, addr, host)
		return from, err
	}
	for _, tc := range []struct {
		allow  []string
		source string
		want   bool
	}{
		{[]string{"203.0.113.0/24"}, "203.0.113.7", true},
		{[]string{"203.0.113.0/24"}, "203.0.114.7", false},
		{[]string{"203.0.113.0/24"}, "", false},
		{[]string{"127.0.0.0/8"}, "", true},
		{[]string{"10.0.0.0/8", "2001:db8::/32"}, "2001:db8::1", true},
		{[]string{"10.0.0.0/8", "2001:db8::/32"}, "2001:db9::1", false},
		{[]string{"::ffff:203.0.113.0/120"}, "203.0.113.9", true},
		{[]string{"203.0.113.0/24"}, "::ffff:203.0.113.9", true},
		{[]string{"::/0"}, "203.0.113.9", false},
		{nil, "203.0.113.9", false},
	} {
		allow(tc.allow...)
		from, err := try(tc.source, "a.localhost")
		if got := err == nil; got != tc.want {
			t.Errorf("allow %v, source %q: %v", tc.allow, tc.source, err)
		}
		want := netip.MustParseAddr("127.0.0.1")
		if tc.source != "" {
			want = netip.MustParseAddr(tc.source).Unmap()
		}
		if err == nil && from != want.String() {
			t.Errorf("the service sees %q, want %v", from, want)
		}
	}
	if _, err := try("203.0.113.9", "b.localhost"); err != nil {
		t.Errorf("another environment's allowlist: %v", err)
	}
	r.SetAllowlist(t.Context(), "a", nil)
	if _, err := try("198.51.100.1", "a.localhost"); err != nil {
		t.Errorf("nil should admit everybody: %v", err)
	}
	if e := r.refused(t, 0, edge.NotAllowed); e.Environment != "a" {
		t.Errorf("%+v", e)
	}
}

func TestAnAllowlistCutsOpenConnectionsThatFallOut(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.echo(t, "a.localhost", "a")
	dial := func(source string) *tls.Conn {
		t.Helper()
		c, _, _, err := r.client(t, r.Egress(netip.MustParseAddr(source)).DialContext, "a.localhost:443", "a.localhost")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	stays, falls, falls6 := dial("203.0.113.1"), dial("203.0.113.2"), dial("2001:db8::2")
	seq := r.bus.Last()
	r.SetAllowlist(t.Context(), "a", []netip.Prefix{netip.MustParsePrefix("203.0.113.1/32")})
	for _, c := range []*tls.Conn{falls, falls6} {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("not cut")
		}
	}
	if _, err := io.WriteString(stays, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := stays.Read(make([]byte, 1)); err != nil {
		t.Errorf("cut although allowed: %v", err)
	}
	set := r.wait(t, seq, "allowlist set")
	cut := r.wait(t, set.Seq, "connection cut")
	if cut.Cause != set.Seq || cut.Environment != "a" || cut.Detail["source"] != "203.0.113.2" || cut.Detail["count"] != "1" {
		t.Errorf("%+v", cut)
	}
	if n := r.Counters(); n.Cut != 2 || n.Open != 1 {
		t.Errorf("%+v", n)
	}
}

func TestOnlyTheEgressMayNameASource(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.echo(t, "a.localhost", "a")
	r.SetAllowlist(t.Context(), "a", []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")})
	// What the egress dials first tells where the internal listener is: anybody on the machine could find it.
	probe, err := r.Egress(netip.MustParseAddr("203.0.113.1")).DialContext(t.Context(), "tcp", "a.localhost:443")
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	internal := probe.RemoteAddr().String()
	header, err := proxyproto.HeaderProxyFromAddrs(2,
		&net.TCPAddr{IP: net.IPv4(203, 0, 113, 9), Port: 4000}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443}).Format()
	if err != nil {
		t.Fatal(err)
	}
	hello := helloOf(t, "a.localhost")
	for name, b := range map[string][]byte{"a forged header": append(header, hello...), "no header": hello} {
		if got, err := r.exchange(t, internal, b); err == nil {
			t.Errorf("%s: answered % x", name, got)
		}
	}
	if _, err := r.exchange(t, r.Addr().String(), append(header, hello...)); err == nil {
		t.Error("a header on the public port was taken")
	}
	eventually(t, "two spoofs counted", func() bool { return r.Counters().Refused[edge.Spoofed] == 2 })
	if n := r.Counters(); n.Accepted != 0 {
		t.Errorf("%+v", n)
	}
}

func TestTheEgressRefusesClosedPortsAndDialsOtherHostsAsUsual(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.echo(t, "a.localhost", "a")
	g := r.Egress(netip.MustParseAddr("203.0.113.1"))
	_, port, _ := net.SplitHostPort(r.Addr().String())
	for _, p := range []string{"443", "https", port} {
		if _, _, from, err := r.client(t, g.DialContext, "A.localhost:"+p, "a.localhost"); err != nil || from != "203.0.113.1" {
			t.Errorf("port %s: from %q, %v", p, from, err)
		}
	}
	var op *net.OpError
	if _, err := g.DialContext(t.Context(), "tcp", "a.localhost:22"); !errors.As(err, &op) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("port 22: %v", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := g.DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if _, err := r.Egress(netip.Addr{}).DialContext(t.Context(), "tcp", "a.localhost:443"); err == nil {
		t.Error("an egress without an address dialled")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.DialContext(ctx, "tcp", "a.localhost:443"); err == nil {
		t.Error("dialled on a done context")
	}
}
