package edge_test

import (
	"io"
	"net/netip"
	"testing"
	"time"
)

func TestOpenConnectionsAreListedWithTheirBytes(t *testing.T) {
	t.Parallel()
	r := start(t)
	const host = "dpm-grpc-prod.dpesim.localhost"
	r.echo(t, host, "prod")
	opened := r.clock.Now()
	egress := r.Egress(netip.MustParseAddr("203.0.113.10"))
	c, br, _, err := r.client(t, egress.DialContext, host+":443", host)
	if err != nil {
		t.Fatal(err)
	}
	before := r.Connections()
	if len(before) != 1 {
		t.Fatalf("connections are %+v", before)
	}
	got := before[0]
	if got.Host != host || got.Environment != "prod" || got.Source.Addr().String() != "203.0.113.10" || !got.Opened.Equal(opened) {
		t.Errorf("the connection is %+v", got)
	}
	if err := r.clock.Advance(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	const payload = 100_000
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, payload))
		sent <- err
	}()
	if _, err := io.CopyN(io.Discard, br, payload); err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	got = r.Connections()[0]
	if in, out := got.In-before[0].In, got.Out-before[0].Out; in < payload || in > payload*11/10 || out < payload || out > payload*11/10 {
		t.Errorf("%d bytes in and %d out are counted of %d each", in, out, payload)
	}
	if !got.Active.Equal(opened.Add(time.Minute)) {
		t.Errorf("last active at %v", got.Active)
	}
}
