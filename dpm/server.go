package dpm

import (
	"cmp"
	"context"
	"crypto/tls"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/draw"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/sim/sqlite"
)

// Defaults of Options; assumptions, the product's figures are not public.
const (
	DefaultLease     = 15 * time.Second
	DefaultHeartbeat = 5 * time.Second
)

// grace is how long an engine may take to read its goodbye before its stream is cut. It is machine time: a network does
// not stand still when the product's clock does.
const grace = 500 * time.Millisecond

//go:embed migration/*.sql
var migrations embed.FS

// Options say what a DPM is and what it stands on.
type Options struct {
	Environment sim.EnvironmentID
	Release     sim.Release   // of the platform
	Oldest      sim.Release   // of an engine that it works with; empty: any
	Host        string        // its host name: the audience of tokens
	Path        string        // of its database
	Listener    net.Listener  // where engines arrive; the server closes it
	TLS         *tls.Config   // with the certificate of Host
	Lease       time.Duration // of a command, without renewal; 0: [DefaultLease]
	Heartbeat   time.Duration // between heartbeats of an engine, gone after three; 0: [DefaultHeartbeat]

	Clock  *clock.Clock
	Bus    *event.Bus // nil: silent
	Draw   *draw.Source
	Faults *fault.Set   // nil: none
	Log    *slog.Logger // nil: silent
}

func (o *Options) check() error {
	switch {
	case !o.Environment.Valid():
		return sim.Errorf(sim.Invalid, "%q is no environment id", string(o.Environment)).WithHelp("use letters a-z, digits and hyphens")
	case o.Host == "" || o.Path == "" || o.Listener == nil || o.TLS == nil || o.Clock == nil || o.Draw == nil:
		return sim.Errorf(sim.Invalid, "a DPM needs a host, a database, a listener, TLS, a clock and a source of draws").WithHelp("set them in dpm.Options")
	case o.Lease < 0 || o.Heartbeat < 0:
		return sim.Errorf(sim.Invalid, "lease %v and heartbeat %v of a DPM cannot be negative", o.Lease, o.Heartbeat).WithHelp("leave them 0 for the defaults")
	}
	o.Lease, o.Heartbeat = cmp.Or(o.Lease, DefaultLease), cmp.Or(o.Heartbeat, DefaultHeartbeat)
	if o.Lease <= o.Heartbeat {
		return sim.Errorf(sim.Invalid, "a lease of %v runs out before the next heartbeat, every %v", o.Lease, o.Heartbeat).WithHelp("make leases several heartbeats long")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	_, err := sim.ParseRelease(string(o.Release))
	return err
}

// Server is the DPM of one environment. It is safe for concurrent use. Open it with [Open].
type Server struct {
	dpmv1.UnimplementedEngineServiceServer
	opts    Options
	db      *sqlite.DB
	grpc    *grpc.Server
	health  *health.Server
	release atomic.Value // sim.Release
	oldest  atomic.Value // sim.Release; empty: any
	trust   trust
	streams sync.WaitGroup // goroutines of streams

	ctx     context.Context // ends when the server closes
	cancel  context.CancelFunc
	ops     chan *op
	stopped chan struct{} // closed when the state machine has stopped
	state   state         // belongs to the state machine's goroutine

	closing  sync.Once
	closeErr error
}

// Open checks the options, opens the database at Path and takes up the jobs in it. It accepts no connection before
// Serve. On an error the listener stays the caller's. ctx bounds opening only.
func Open(ctx context.Context, o Options) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	root, err := fs.Sub(migrations, "migration")
	if err != nil {
		return nil, fmt.Errorf("read the embedded migrations: %w", err)
	}
	db, err := sqlite.Open(ctx, o.Path, root, o.Clock)
	if err != nil {
		return nil, fmt.Errorf("open the database of the DPM: %w", err)
	}
	s := &Server{opts: o, db: db, ops: make(chan *op, maxBatch), stopped: make(chan struct{})}
	s.release.Store(o.Release)
	s.oldest.Store(o.Oldest)
	s.ctx, s.cancel = context.WithCancel(event.WithCause(context.WithoutCancel(ctx), 0)) // what happens later has causes of its own
	if err := s.load(ctx); err != nil {
		s.cancel()
		return nil, errors.Join(fmt.Errorf("read the database of the DPM: %w", err), db.Close())
	}
	s.grpc = grpc.NewServer(
		grpc.Creds(credentials.NewTLS(o.TLS)),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.StreamInterceptor(s.interceptStream),
		grpc.UnaryInterceptor(s.interceptUnary),
		grpc.WaitForHandlers(true),
	)
	s.health = health.NewServer()
	dpmv1.RegisterEngineServiceServer(s.grpc, s)
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	s.health.SetServingStatus(dpmv1.EngineService_ServiceDesc.ServiceName, grpc_health_v1.HealthCheckResponse_SERVING)
	go s.work()
	return s, nil
}

func (s *Server) load(ctx context.Context) error {
	if err := s.loadTrust(ctx); err != nil {
		return err
	}
	return s.loadJobs(ctx)
}

// Serve accepts engines until ctx is done, then closes the server and returns nil.
func (s *Server) Serve(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	err := s.grpc.Serve(s.opts.Listener)
	if ctx.Err() != nil {
		return s.Close()
	}
	if err != nil {
		return fmt.Errorf("serve the DPM of %s: %w", s.opts.Environment, err)
	}
	return nil
}

// Close says goodbye to the engines, cuts those that do not take it, and closes the database. Jobs that engines hold
// stay theirs until their leases run out. It is idempotent.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.health.Shutdown()
		_ = s.do(s.ctx, func(t *turn) error { t.endAll(); return nil }) // fails only if it has stopped
		ctx, cancel := context.WithTimeout(s.ctx, grace)
		defer cancel()
		cut := context.AfterFunc(ctx, s.grpc.Stop)
		s.grpc.GracefulStop()
		cut()
		s.streams.Wait()
		s.cancel()
		<-s.stopped
		s.state.alarm.stop()
		err := s.opts.Listener.Close() // it is open still if Serve never ran
		if errors.Is(err, net.ErrClosed) {
			err = nil
		}
		s.closeErr = errors.Join(err, s.db.Close())
	})
	return s.closeErr
}

// SetRelease says that the platform was upgraded: engines that connect from now on are told this release, and those that are
// older than oldest (empty: none) are refused; what of them is connected is sent away.
func (s *Server) SetRelease(ctx context.Context, r, oldest sim.Release) error {
	s.release.Store(r)
	s.oldest.Store(oldest)
	cause := event.Cause(ctx)
	return s.do(ctx, func(t *turn) error {
		for _, e := range t.connected() {
			if err := s.checkVersion(e.Version); err != nil {
				msg, _ := sim.Explain(err)
				t.leave(e, departure{why: msg, cause: func() uint64 { return cause }, err: err})
			}
		}
		return nil
	})
}

// errTooOld marks the refusal of an engine for its release: FailedPrecondition.
var errTooOld = errors.New("the engine is too old")

// checkVersion returns Conflict for an engine that is older than the platform works with.
func (s *Server) checkVersion(v sim.Release) error {
	oldest := s.oldest.Load().(sim.Release)
	if v.Compare(oldest) >= 0 {
		return nil
	}
	return &sim.Error{
		Kind: sim.Conflict, Err: errTooOld,
		Msg:  fmt.Sprintf("upgrade required: the engine has release %s, and platform %s works with %s and newer only", v, s.Release(), oldest),
		Help: "upgrade the DPE with the upgrade steps of the portal",
	}
}

// Release gives the platform's release.
func (s *Server) Release() sim.Release { return s.release.Load().(sim.Release) }

// publish tells the bus and the log that something changed, caused by the event with Seq cause (0: unknown).
func (s *Server) publish(cause uint64, label sim.Label, what string, detail map[string]string) uint64 {
	return s.opts.Bus.Publish(s.ctx, sim.Event{
		Part: sim.PartDPM, Environment: s.opts.Environment, DPE: label, What: what, Detail: detail, Cause: cause,
	}).Seq
}

func (s *Server) scope(label sim.Label) fault.Scope {
	return fault.Scope{Environment: s.opts.Environment, DPE: label}
}
