package dpe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/jwk"
)

const (
	// tokenTTL is how long a JWT of the engine is valid. A token is made for each call, so it need not last (assumption).
	tokenTTL = 5 * time.Minute
	// deadAfter is how long a connection may be silent before it is tried with a ping, in machine time (assumption).
	deadAfter = 30 * time.Second
)

// errRefused marks a DPM that wants nothing of this engine: its key was revoked, or it is not the key's label.
var errRefused = errors.New("refused by DPM")

// stayConnected holds a stream to DPM, one after the other, until ctx ends, or stopping ends and nothing is owed, or the
// time for draining is over.
//
// A DPM that refuses the engine is asked again like one that is away: removing a DPE in the portal does not reach the
// cluster, so its pods run on, not ready, until somebody uninstalls them (seed, "Remove a self-managed DPE").
func (e *engine) stayConnected(ctx, stopping context.Context) {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	defer context.AfterFunc(stopping, func() {
		t := e.Clock.AfterFunc(e.DrainTimeout, giveUp)
		context.AfterFunc(ctx, func() { t.Stop() })
	})()
	traced := ctx
	for failures := 1; ; failures++ {
		welcomed, err := e.session(traced, stopping)
		why := connectionLost(err)
		e.health.disconnected(why)
		if welcomed {
			failures = 1
			traced = event.WithCause(ctx, 0) // what made it start is not why it comes back
		}
		if e.over(ctx, stopping) {
			return
		}
		if errors.Is(err, errRefused) {
			e.ledger.clear() // nobody will take its results
		}
		pause := e.backoff("connect", failures)
		e.log.Warn("not connected to dpm", "err", why, "retry_in", pause.Round(time.Millisecond))
		timer, cancel := e.Clock.After(pause)
		select {
		case <-timer:
		case <-ctx.Done():
		case <-e.idleStop(stopping):
		}
		cancel()
		if e.over(ctx, stopping) {
			return
		}
	}
}

// over tells whether there is no reason to connect again, and logs what was left undone.
func (e *engine) over(ctx, stopping context.Context) bool {
	owed := e.ledger.jobs()
	if stopping.Err() != nil && len(owed) == 0 {
		return true
	}
	if ctx.Err() != nil && len(owed) > 0 {
		e.log.Warn("jobs left undone: dpm gives them to another replica", "jobs", owed)
	}
	return ctx.Err() != nil
}

// idleStop gives stopping's channel if nothing is owed, else one that blocks.
func (e *engine) idleStop(stopping context.Context) <-chan struct{} {
	if e.ledger.size() > 0 {
		return nil
	}
	return stopping.Done()
}

// dial prepares the connection of one stream. It does not wait for it.
func (e *engine) dial() (*grpc.ClientConn, error) {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(security{credentials.NewTLS(e.network.tls.Clone())}),
		grpc.WithPerRPCCredentials(token{e}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: deadAfter, Timeout: deadAfter / 3}),
		grpc.WithUserAgent("dpesim-dpe/" + string(e.Version)),
		// Our own dialler resolves names and knows the proxy; gRPC does neither.
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return e.network.dial(ctx, "tcp", addr) }),
	}
	conn, err := grpc.NewClient("passthrough:///"+hostPort(e.dpm), options...)
	if err != nil {
		return nil, fmt.Errorf("prepare the connection to DPM: %w", err)
	}
	return conn, nil
}

// token makes the JWT of each call.
type token struct{ *engine }

// GetRequestMetadata is called by gRPC for each call.
func (t token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	s, err := jwk.Sign(t.key, t.Label, t.dpm.Hostname(), t.Clock.Now(), tokenTTL)
	if err != nil {
		return nil, status.Error(codes.Internal, "the JWT cannot be signed")
	}
	return map[string]string{"authorization": "Bearer " + s}, nil
}

// RequireTransportSecurity keeps tokens off connections without TLS.
func (token) RequireTransportSecurity() bool { return true }

// connectionLost says in words for a person why there is no connection. The texts are DPM's or gRPC's; neither knows a secret.
func connectionLost(err error) string {
	switch {
	case err == nil:
		return "not connected"
	case errors.Is(err, errRefused):
		return err.Error() + "; uninstall it, or install the values that the portal has now"
	case errors.Is(err, io.EOF):
		return "DPM ended the stream"
	}
	switch s, _ := status.FromError(err); s.Code() { //nolint:exhaustive // the others speak for themselves
	case codes.Unauthenticated:
		return "DPM does not know this DPE: " + s.Message()
	case codes.FailedPrecondition:
		return "DPM does not work with this release: " + s.Message()
	case codes.Unavailable:
		return "DPM cannot be reached: " + s.Message()
	default:
		return err.Error()
	}
}
