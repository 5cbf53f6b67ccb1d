// Package objstore is ONE Object Storage of one environment: an S3 server that keeps what it acknowledged.
//
// gofakes3 speaks the S3 dialect; the rest is ours: blobs as files, metadata in SQLite, AWS Signature Version 4 enforced
// on every request, and a policy per credential. Only sim/stack imports it; everybody else speaks S3 to it.
package objstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/sim/web"
)

// DefaultRegion is the region that clients sign for unless [Options] say otherwise: MinIO's own default.
const DefaultRegion = "us-east-1"

// The buckets that mean something to this server: see [Credential].
const (
	ResultsBucket       = "results"        // where engines put what they made; the name is our choice
	CustomDriversBucket = "custom-drivers" // where engines fetch drivers; the product's name
)

// Options say what an object store works with. Dir, Path, Listener and Clock are needed.
type Options struct {
	Environment sim.EnvironmentID
	Dir         string       // folder of the blobs; made if missing; nothing else may live in it
	Path        string       // objects.db
	Listener    net.Listener // closed by the server
	TLS         *tls.Config  // nil: plain HTTP, where a body must be signed
	Region      string       // "" means DefaultRegion
	Clock       *clock.Clock
	Bus         *event.Bus   // nil: silent
	Faults      *fault.Set   // nil: none
	Log         *slog.Logger // nil: discarded
}

// Server is the object store of one environment. It is safe for concurrent use. Open makes it, Close ends it.
type Server struct {
	opt      Options
	store    *store
	keys     *keyring
	refusals *refusals
	web      *web.Server
	requests atomic.Uint64
	closing  func() error // Close's work, once
}

// Open opens or makes the store in opt.Dir and opt.Path and removes what unfinished uploads left there. It returns
// Invalid if an option is missing and Conflict if a newer dpesim wrote the database. The listener is the caller's
// until Open succeeds.
func Open(ctx context.Context, opt Options) (*Server, error) {
	if opt.Dir == "" || opt.Path == "" || opt.Listener == nil || opt.Clock == nil {
		return nil, sim.Errorf(sim.Invalid, "the object store needs a blob folder, a database path, a listener and a clock").
			WithHelp("set Dir, Path, Listener and Clock")
	}
	if opt.Region == "" {
		opt.Region = DefaultRegion
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	st, err := openStore(ctx, opt)
	if err != nil {
		return nil, fmt.Errorf("open object store: %w", err)
	}
	keys, err := openKeyring(ctx, st.db)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read credentials: %w", err), st.db.Close())
	}
	s := &Server{opt: opt, store: st, keys: keys, refusals: &refusals{clock: opt.Clock, seen: map[string]*refusal{}}}
	config := opt.TLS
	if config != nil {
		config = config.Clone()
		config.NextProtos = []string{"http/1.1"} // as S3 itself: no HTTP/2
	}
	s.web = web.New(s, opt.Listener, config, opt.Log)
	s.closing = sync.OnceValue(func() error { return errors.Join(s.web.Close(), s.store.db.Close()) })
	return s, nil
}

// Serve answers requests until ctx is done and then returns nil.
func (s *Server) Serve(ctx context.Context) error { return s.web.Serve(ctx) }

// Close stops listening, cuts the requests under way (what was not acknowledged is not kept), waits for their handlers
// and closes the database. It is idempotent, and right if Serve never ran.
func (s *Server) Close() error { return s.closing() }
