// Package registry is the cloud's OCI registry: it holds the Helm charts and the engine images that the portal's commands
// install and hands them to whoever brings a DPE's access token. Only sim/stack imports it.
package registry

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/sim/jwk"
	"github.com/dpesim/dpesim/sim/registry/internal/store"
	"github.com/dpesim/dpesim/sim/web"
)

// Options say what a registry works with. Dir, Service, Listener and Clock are needed.
type Options struct {
	Dir      string       // folder of what clients push; made if missing
	Service  string       // what the registry calls itself in tokens, by custom its host name
	Listener net.Listener // closed by the registry
	TLS      *tls.Config  // nil: plain HTTP
	Clock    *clock.Clock
	Bus      *event.Bus   // nil: silent
	Faults   *fault.Set   // nil: none
	Log      *slog.Logger // nil: discarded
}

// Registry is an OCI registry. It is safe for concurrent use. Open makes it, Close ends it.
//
// What clients push is in Dir. What is published is in memory, as are tokens: after a restart both are put again.
type Registry struct {
	opt    Options
	vendor catalogue
	kept   kept
	key    *ecdsa.PrivateKey // of bearer tokens; of this run: clients get other ones after a restart
	web    *web.Server

	closing func() error // Close's work, once

	mu      sync.Mutex
	serial  uint64                // of the last secret
	uploads map[string]*upload    // by id
	tokens  map[string]Token      // by user
	refused map[refused]time.Time // when a refusal was told
}

// Open makes a registry over the folder opt.Dir. It returns Invalid if an option is missing. The listener is the
// caller's until Open succeeds.
func Open(ctx context.Context, opt Options) (*Registry, error) {
	if opt.Dir == "" || opt.Service == "" || opt.Listener == nil || opt.Clock == nil {
		return nil, sim.Errorf(sim.Invalid, "the registry needs a folder, a name, a listener and a clock").WithHelp("set Dir, Service, Listener and Clock")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	key, err := jwk.Generate()
	if err != nil {
		return nil, err
	}
	content, err := store.Open(ctx, opt.Dir, opt.Clock)
	if err != nil {
		return nil, err
	}
	r := &Registry{
		opt:     opt,
		vendor:  catalogue{repositories: map[string]map[string]*publication{}},
		kept:    kept{content},
		key:     key,
		uploads: map[string]*upload{},
		tokens:  map[string]Token{},
		refused: map[refused]time.Time{},
	}
	r.web = web.New(r, opt.Listener, opt.TLS, opt.Log)
	r.closing = sync.OnceValue(r.close)
	return r, nil
}

// Serve answers requests until ctx is done and then returns nil.
func (r *Registry) Serve(ctx context.Context) error { return r.web.Serve(ctx) }

// Close stops listening, cuts the requests under way, waits for their handlers and closes the store. It is idempotent,
// and right if Serve never ran.
func (r *Registry) Close() error { return r.closing() }

func (r *Registry) close() error {
	errs := []error{r.web.Close()}
	for _, u := range r.uploads { // no handler is left
		errs = append(errs, u.discard())
	}
	return errors.Join(append(errs, r.kept.Close())...)
}
