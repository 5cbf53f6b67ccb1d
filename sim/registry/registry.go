// Package registry is the cloud's OCI registry: it holds the Helm charts that the portal's commands install and hands
// them to whoever brings a DPE's access token.
//
// go-containerregistry speaks the distribution protocol; authentication, the pull-only rule, events and the making of a
// chart artifact are ours. Only sim/stack imports it.
package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/sim/web"
)

// Options say what a registry works with. Dir, Listener and Clock are needed.
type Options struct {
	Dir      string       // folder of the blobs; made if missing
	Listener net.Listener // closed by the registry
	TLS      *tls.Config  // nil: plain HTTP
	Clock    *clock.Clock
	Bus      *event.Bus   // nil: silent
	Faults   *fault.Set   // nil: none
	Log      *slog.Logger // nil: discarded
}

// Registry is an OCI registry. It is safe for concurrent use. Open makes it, Close ends it.
//
// Blobs are files; manifests, and so tags, are in memory, as are tokens: after a restart charts are pushed and tokens
// put again.
type Registry struct {
	opt   Options
	blobs ggcr.BlobPutHandler
	oci   http.Handler
	web   *web.Server

	mu      sync.Mutex
	tokens  map[string]Token     // by user
	charts  map[string]*chart    // by digest of the archive
	refused map[string]time.Time // user -> when a refusal was told
}

// Open makes a registry over the folder opt.Dir. It returns Invalid if an option is missing. The listener is the
// caller's until Open succeeds.
func Open(ctx context.Context, opt Options) (*Registry, error) {
	if opt.Dir == "" || opt.Listener == nil || opt.Clock == nil {
		return nil, sim.Errorf(sim.Invalid, "the registry needs a folder, a listener and a clock").WithHelp("set Dir, Listener and Clock")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	if err := sweep(opt.Dir); err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	blobs := ggcr.NewDiskBlobHandler(opt.Dir)
	put, ok := blobs.(ggcr.BlobPutHandler)
	if !ok {
		return nil, sim.Errorf(sim.Internal, "the blob handler %T cannot store blobs", blobs)
	}
	r := &Registry{
		opt:     opt,
		blobs:   put,
		oci:     ggcr.New(ggcr.WithBlobHandler(blobs), ggcr.Logger(slog.NewLogLogger(opt.Log.Handler(), slog.LevelDebug))),
		tokens:  map[string]Token{},
		charts:  map[string]*chart{},
		refused: map[string]time.Time{},
	}
	r.web = web.New(r, opt.Listener, opt.TLS, opt.Log)
	return r, nil
}

// sweep removes what blob writes left that a crash cut short.
func sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "upload-*")) // go-containerregistry's name for temporary files
	for _, f := range left {
		err = errors.Join(err, os.Remove(f))
	}
	return err
}

// Serve answers requests until ctx is done and then returns nil.
func (r *Registry) Serve(ctx context.Context) error { return r.web.Serve(ctx) }

// Close stops listening, cuts the requests under way and waits for their handlers. It is idempotent, and right if Serve
// never ran.
func (r *Registry) Close() error { return r.web.Close() }
