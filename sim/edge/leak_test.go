package edge_test

import (
	"context"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/edge"
)

// Not parallel: it counts goroutines of the whole process.
func TestCloseLeavesNoGoroutine(t *testing.T) { //nolint:paralleltest // counts goroutines
	before := runtime.NumGoroutine()
	for range 5 {
		c := clock.NewFrozen(time.Unix(1e9, 0))
		e, err := edge.Open(t.Context(), edge.Options{Addr: "127.0.0.1:0", Clock: c})
		if err != nil {
			t.Fatal(err)
		}
		p, err := edge.OpenProxy(t.Context(), edge.ProxyOptions{Addr: "127.0.0.1:0", Edge: e})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 2)
		go func() { done <- e.Serve(ctx) }()
		go func() { done <- p.Serve(ctx) }()
		if _, err := e.Listen("a.localhost", ""); err != nil {
			t.Fatal(err)
		}
		for i, sent := range [][]byte{nil, helloOf(t, "a.localhost"), []byte("GET / HTTP/1.1\r\n"), helloOf(t, "b.localhost")} {
			dial, addr := direct, e.Addr().String()
			if i%2 == 1 {
				dial, addr = e.Egress(netip.MustParseAddr("203.0.113.1")).DialContext, "a.localhost:443"
			}
			conn, err := dial(t.Context(), "tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write(sent); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	eventually(t, "no more goroutines than before", func() bool { return runtime.NumGoroutine() <= before })
}
