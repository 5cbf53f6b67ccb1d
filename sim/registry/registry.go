// Package registry is the cloud's OCI registry: it holds the Helm charts and the engine images that the portal's commands
// install and hands them to whoever brings a DPE's access token. Only sim/stack imports it.
package registry

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/sim/web"
)

// Options say what a registry works with. Listener and Clock are needed.
type Options struct {
	Listener net.Listener // closed by the registry
	TLS      *tls.Config  // nil: plain HTTP
	Clock    *clock.Clock
	Bus      *event.Bus   // nil: silent
	Faults   *fault.Set   // nil: none
	Log      *slog.Logger // nil: discarded
}

// Registry is an OCI registry. It is safe for concurrent use. Open makes it, Close ends it.
//
// What is published is in memory, as are tokens: after a restart both are put again.
type Registry struct {
	opt    Options
	vendor catalogue
	web    *web.Server

	mu      sync.Mutex
	tokens  map[string]Token     // by user
	refused map[string]time.Time // user -> when a refusal was told
}

// Open makes a registry. It returns Invalid if an option is missing. The listener is the
// caller's until Open succeeds.
func Open(ctx context.Context, opt Options) (*Registry, error) {
	if opt.Listener == nil || opt.Clock == nil {
		return nil, sim.Errorf(sim.Invalid, "the registry needs a listener and a clock").WithHelp("set Listener and Clock")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	r := &Registry{
		opt:     opt,
		vendor:  catalogue{repositories: map[string]map[string]*publication{}},
		tokens:  map[string]Token{},
		refused: map[string]time.Time{},
	}
	r.web = web.New(r, opt.Listener, opt.TLS, opt.Log)
	return r, nil
}

// Serve answers requests until ctx is done and then returns nil.
func (r *Registry) Serve(ctx context.Context) error { return r.web.Serve(ctx) }

// Close stops listening, cuts the requests under way and waits for their handlers. It is idempotent, and right if Serve
// never ran.
func (r *Registry) Close() error { return r.web.Close() }
