package dpm

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/fault"
)

// ErrorDomain marks the ErrorInfo detail of a status: reason is the [sim.Kind]'s name, metadata "help" what to do next.
// A client reads the Kind back with [sim.KindFromString].
const ErrorDomain = "dpesim"

// Code gives the gRPC code of a kind: the one table of this edge.
func Code(k sim.Kind) codes.Code {
	switch k {
	case sim.Internal:
		return codes.Internal
	case sim.Invalid:
		return codes.InvalidArgument
	case sim.NotFound:
		return codes.NotFound
	case sim.Conflict:
		return codes.AlreadyExists
	case sim.Unauthenticated:
		return codes.Unauthenticated
	case sim.Forbidden:
		return codes.PermissionDenied
	case sim.Exhausted:
		return codes.ResourceExhausted
	case sim.Unavailable:
		return codes.Unavailable
	}
	return codes.Unknown
}

// toStatus gives err as a gRPC status with the words that a user may see. A status, as a fault may ask for, stays one.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	if _, classified := errors.AsType[*sim.Error](err); !classified {
		if st, ok := status.FromError(err); ok {
			return st.Err()
		}
	}
	k := sim.KindOf(err)
	msg, help := sim.Explain(err)
	info := &errdetails.ErrorInfo{Reason: k.String(), Domain: ErrorDomain, Metadata: map[string]string{}}
	if help != "" {
		info.Metadata["help"] = help
	}
	code := Code(k)
	if errors.Is(err, errTooOld) {
		code = codes.FailedPrecondition
	}
	st := status.New(code, msg)
	if detailed, err := st.WithDetails(info); err == nil {
		st = detailed
	}
	return st.Err()
}

// open tells whether a method may be called without a token: health and reflection.
func open(method string) bool {
	return strings.HasPrefix(method, "/grpc.health.v1.Health/") || strings.HasPrefix(method, "/grpc.reflection.")
}

// interceptStream lets in who may call, and turns errors into statuses.
func (s *Server) interceptStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if open(info.FullMethod) {
		return next(srv, stream)
	}
	c, err := s.authenticate(stream.Context())
	if err == nil {
		err = next(srv, &callerStream{ServerStream: stream, ctx: context.WithValue(stream.Context(), callerKey{}, c)})
	} else {
		s.refused(stream.Context(), c, err)
	}
	return s.answer(info.FullMethod, err)
}

// interceptUnary does the same for calls without a stream.
func (s *Server) interceptUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if open(info.FullMethod) {
		return next(ctx, req)
	}
	c, err := s.authenticate(ctx)
	if err != nil {
		return nil, s.answer(info.FullMethod, err)
	}
	resp, err := next(context.WithValue(ctx, callerKey{}, c), req)
	return resp, s.answer(info.FullMethod, err)
}

// answer logs what is our fault and gives the status.
func (s *Server) answer(method string, err error) error {
	st := toStatus(err)
	if status.Code(st) == codes.Internal {
		s.opts.Log.Error("call failed", "environment", s.opts.Environment, "method", method, "err", err, "injected", errors.Is(err, fault.ErrInjected))
	}
	return st
}

type callerKey struct{}

// caller gives the component whose token the call carries.
func caller(ctx context.Context) Component {
	c, _ := ctx.Value(callerKey{}).(Component)
	return c
}

// callerStream is a stream whose context knows the caller.
type callerStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context gives the stream's context.
func (s *callerStream) Context() context.Context { return s.ctx }
