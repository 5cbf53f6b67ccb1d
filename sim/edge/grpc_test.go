package edge_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

func TestGRPCWorksOverTheEdge(t *testing.T) {
	t.Parallel()
	const host = "dpm-grpc-acme.dpesim.localhost"
	r := start(t)
	from := make(chan net.Addr, 1)
	srv := grpc.NewServer(grpc.Creds(credentials.NewTLS(r.ca.ServerTLS(host))),
		grpc.StreamInterceptor(func(s any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			if p, ok := peer.FromContext(ss.Context()); ok {
				from <- p.Addr
			}
			return h(s, ss)
		}))
	hs := health.NewServer()
	healthpb.RegisterHealthServer(srv, hs)
	ln := r.listen(t, host, "acme")
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	egress := r.Egress(netip.MustParseAddr("203.0.113.5"))
	cc, err := grpc.NewClient("passthrough:///"+host+":443",
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: r.ca.Pool(), Time: r.clock.Now})),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return egress.DialContext(ctx, "tcp", addr) }))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	w, err := healthpb.NewHealthClient(cc).Watch(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []healthpb.HealthCheckResponse_ServingStatus{healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING} {
		m, err := w.Recv()
		if err != nil || m.GetStatus() != want {
			t.Fatalf("%v, %v", m, err)
		}
		hs.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	}
	if a, ok := (<-from).(*net.TCPAddr); !ok || a.IP.String() != "203.0.113.5" {
		t.Errorf("the server sees %v", a)
	}
	r.SetAllowlist(t.Context(), "acme", []netip.Prefix{})
	if _, err := w.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("after the cut: %v", err)
	}
}
