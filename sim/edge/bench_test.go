package edge_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"
)

// serveBytes answers each TLS connection of ln: n bytes read, then one byte sent.
func serveBytes(b *testing.B, ln net.Listener, cfg *tls.Config, n int64) {
	b.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s := tls.Server(c, cfg)
			if _, err := io.CopyN(io.Discard, s, n); err == nil {
				_, _ = s.Write([]byte{1})
			}
			_ = s.Close()
		}
	}()
	b.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
}

// once is a whole connection: dial, handshake, send, answer.
func once(b *testing.B, addr string, cfg *tls.Config, payload []byte, n int64) {
	b.Helper()
	raw, err := direct(context.Background(), "tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	c := tls.Client(raw, cfg)
	for sent := int64(0); sent < n; sent += int64(len(payload)) {
		if _, err := c.Write(payload); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
	_ = c.Close()
}

// benchmarkRatio alternates between the edge and a plain TLS listener and reports how much longer the edge takes (x/direct, 1 is
// no difference), so that the machine's noise hits both.
func benchmarkRatio(b *testing.B, n int64, chunk int) {
	b.Helper()
	const host = "a.localhost"
	r := start(b)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	serveBytes(b, plain, r.ca.ServerTLS(host), n)
	serveBytes(b, r.listen(b, host, ""), r.ca.ServerTLS(host), n)
	cfg := &tls.Config{RootCAs: r.ca.Pool(), ServerName: host, Time: r.clock.Now}
	payload := make([]byte, chunk)
	var spent [2]time.Duration
	for b.Loop() {
		for i, addr := range []string{r.Addr().String(), plain.Addr().String()} {
			t := time.Now()
			once(b, addr, cfg, payload, n)
			spent[i] += time.Since(t)
		}
	}
	b.ReportMetric(spent[0].Seconds()/spent[1].Seconds(), "x/direct")
	b.ReportMetric(float64(b.N)/spent[0].Seconds(), "conn/s")
	b.ReportMetric(float64(n)*float64(b.N)/spent[0].Seconds()/1e6, "MB/s")
	b.ReportMetric(0, "ns/op") // the sum of both says nothing
}

func BenchmarkConnections(b *testing.B) { benchmarkRatio(b, 1, 1) }

func BenchmarkThroughput(b *testing.B) { benchmarkRatio(b, 64<<20, 64<<10) }
