package edge_test

import (
	"net/netip"
	"runtime"
	"strconv"
	"testing"

	"github.com/dpesim/dpesim/sim/edge"
)

func TestWhoComesInByTheEntranceHasItsSourceAddress(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		t.Skip("this system has one loopback address; the test needs two")
	}
	at, source := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("203.0.113.10")
	r := start(t, func(o *edge.Options) {
		o.Entrance = edge.Entrance{Addr: at, Source: source, Closed: []string{"portal.dpesim.localhost"}}
	})
	r.echo(t, "a.dpesim.localhost", "a")
	r.echo(t, "portal.dpesim.localhost", "")
	entrance := netip.AddrPortFrom(at, uint16(r.Port())).String()
	for addr, want := range map[string]string{r.Addr().String(): "127.0.0.1", entrance: source.String()} {
		if _, _, from, err := r.client(t, direct, addr, "a.dpesim.localhost"); err != nil || from != want {
			t.Errorf("at %s: from %q, %v; want %s", addr, from, err, want)
		}
	}
	before := r.bus.Last()
	if _, _, _, err := r.client(t, direct, entrance, "portal.dpesim.localhost"); err == nil {
		t.Error("what is closed was reached")
	}
	if e := r.refused(t, before, edge.UnknownName); e.Detail["source"] != source.String() {
		t.Errorf("%+v", e)
	}
	if _, _, _, err := r.client(t, direct, "127.0.0.1:"+strconv.Itoa(r.Port()), "portal.dpesim.localhost"); err != nil {
		t.Errorf("at the edge's own address: %v", err)
	}
	r.SetAllowlist(t.Context(), "a", []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")})
	if _, _, _, err := r.client(t, direct, entrance, "a.dpesim.localhost"); err == nil {
		t.Error("the allowlist does not see the source")
	}
}
