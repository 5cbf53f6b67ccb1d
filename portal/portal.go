package portal

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/room"
	"github.com/dpesim/dpesim/portal/runs"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/clock/pace"
	"github.com/dpesim/dpesim/sim/conceal"
	"github.com/dpesim/dpesim/sim/draw"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/sim/residue"
)

// Cloud is what the portal sees of the services behind it. Its methods are safe for concurrent use. For an environment
// whose services do not exist (yet), Endpoints gives what is known and the others return Unavailable.
type Cloud interface {
	// Endpoints tells where an environment's services are reached.
	Endpoints(env sim.EnvironmentID) api.Endpoints
	// Engines lists the replicas connected to the environment's DPM now.
	Engines(ctx context.Context, env sim.EnvironmentID) ([]api.Engine, error)
	// Credentials lists what is really authorised now, without secrets.
	Credentials(ctx context.Context, env sim.EnvironmentID) ([]api.Credential, error)
	// SubmitJob stores a job; it is committed when SubmitJob returns.
	SubmitJob(ctx context.Context, env sim.EnvironmentID, s api.JobSpec) (api.Job, error)
	// Job gives one job, or NotFound.
	Job(ctx context.Context, env sim.EnvironmentID, id sim.JobID) (api.Job, error)
	// Jobs lists jobs, newest first. It returns NotFound if there is no job to list those before.
	Jobs(ctx context.Context, env sim.EnvironmentID, f api.JobFilter) ([]api.Job, error)
	// Buckets lists the buckets of the environment's object storage by name.
	Buckets(ctx context.Context, env sim.EnvironmentID) ([]api.Bucket, error)
	// Objects lists objects in the order of their keys. It returns NotFound if there is no such bucket.
	Objects(ctx context.Context, env sim.EnvironmentID, bucket string, f api.ObjectFilter) ([]api.StoredObject, error)
	// OpenObject opens an object for reading, or gives NotFound; the caller closes it.
	OpenObject(ctx context.Context, env sim.EnvironmentID, bucket, key string) (api.StoredObject, io.ReadSeekCloser, error)
	// Residue lists what installations have left on every side, without secrets.
	Residue(ctx context.Context, f residue.Filter) ([]residue.Entry, error)
	// RestartDPM stops the environment's DPM and starts it again; what is asked of it meanwhile gets Unavailable.
	RestartDPM(ctx context.Context, env sim.EnvironmentID) error
	// Health tells how the environment's own services are: whether each answers where engines connect to it.
	Health(ctx context.Context, env sim.EnvironmentID) []api.Check
	// Ready tells how each part of the simulator is.
	Ready(ctx context.Context) []api.Check
}

// Options are what [Open] needs.
type Options struct {
	Path        string       // of portal.db
	Listener    net.Listener // plain HTTP; the portal closes it
	TLSListener net.Listener // HTTPS, through the edge; nil: none; the portal closes it
	TLS         *tls.Config  // for TLSListener
	Token       sim.Secret   // of who runs the simulator: good for everything, in the name of any user; empty: none
	Hosts       []string     // names the portal answers to, beside localhost and loopback addresses; any other Host is refused
	Cloud       Cloud
	Simulator   room.Simulator
	Runner      runs.Runner // nil: no commands can be run here
	Clock       *clock.Clock
	Pace        *pace.Pace // moves Clock; nil: one of its own
	Bus         *event.Bus // nil: silent, and statuses are computed on demand only
	Draw        *draw.Source
	Faults      *fault.Set   // nil: none
	Conceal     *conceal.Set // learns of each secret that is made or taken; nil: nothing does
	Log         *slog.Logger
}

func (o Options) check() error {
	for _, c := range []struct {
		missing bool
		what    string
	}{
		{o.Path == "", "Path"},
		{o.Listener == nil, "Listener"},
		{o.TLSListener != nil && o.TLS == nil, "TLS"},
		{o.Cloud == nil, "Cloud"},
		{o.Simulator == nil, "Simulator"},
		{o.Clock == nil, "Clock"},
		{o.Draw == nil, "Draw"},
		{o.Log == nil, "Log"},
	} {
		if c.missing {
			return sim.Errorf(sim.Invalid, "the portal cannot be opened without %s", c.what).WithHelp("set it in portal.Options")
		}
	}
	return nil
}

// Portal is an open portal. It is safe for concurrent use.
type Portal struct {
	opts    Options
	store   *store.DB
	room    *room.Room
	wall    *clock.Clock // the machine's time, for what is no part of the product: sessions
	http    *http.Server
	changed chan struct{} // of capacity 1: an intent may have changed
	closing func() error  // Close's work, once

	runs     *runs.Runs
	failures failures
	progress progress
	made     made

	stopping context.Context // done when the server stops: ends event streams
	stop     context.CancelFunc

	mu       sync.Mutex
	owners   map[sim.EnvironmentID]ownership // whose events are whose; of environments that were asked for
	underWay map[request]bool                // with idempotency keys
	causes   map[sim.EnvironmentID]uint64    // Seq of the last event that changed an environment's intent; of this run, so not stored
}

// shutdownGrace is how long requests under way may take to end when the portal stops.
const shutdownGrace = 500 * time.Millisecond

// Open checks the options, opens the database and makes the portal ready to serve. It takes over the listeners, also
// when it returns an error.
func Open(ctx context.Context, o Options) (*Portal, error) {
	p, err := open(ctx, o)
	if err != nil {
		for _, l := range []net.Listener{o.Listener, o.TLSListener} {
			if l != nil {
				_ = l.Close() // err below has what matters
			}
		}
		return nil, fmt.Errorf("open portal: %w", err)
	}
	return p, nil
}

func open(ctx context.Context, o Options) (*Portal, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, o.Path, o.Clock)
	if err != nil {
		return nil, err
	}
	p := &Portal{opts: o, store: db, wall: clock.New(), changed: make(chan struct{}, 1), causes: map[sim.EnvironmentID]uint64{}, underWay: map[request]bool{}, owners: map[sim.EnvironmentID]ownership{}}
	p.room = &room.Room{Simulator: o.Simulator, Product: product{p}, Clock: o.Clock, Pace: cmp.Or(o.Pace, pace.New(o.Clock)), Bus: o.Bus, Faults: o.Faults}
	p.runs = runs.New(o.Runner, o.Clock)
	p.stopping, p.stop = context.WithCancel(context.Background())
	p.signal() // whatever was wanted before the last end may not have been done
	p.http = &http.Server{
		Handler:           newRouter(p).e,
		TLSConfig:         o.TLS.Clone(), // the server adds HTTP/2 to it
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug), // broken handshakes and the like: the caller's fault
	}
	p.http.RegisterOnShutdown(p.stop)
	p.closing = sync.OnceValue(p.close)
	return p, nil
}

// URL gives the address of the plain HTTP face.
func (p *Portal) URL() string { return "http://" + p.opts.Listener.Addr().String() }

// Serve answers requests and watches statuses until ctx is done, and then returns nil.
func (p *Portal) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	failed := make(chan error, 2) // one for each listener
	serve := func(name string, f func() error) {
		wg.Go(func() {
			if err := f(); ctx.Err() == nil && !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", name, err)
			}
		})
	}
	wg.Go(func() { p.watch(ctx) })
	serve("HTTP", func() error { return p.http.Serve(p.opts.Listener) })
	if p.opts.TLSListener != nil {
		serve("HTTPS", func() error { return p.http.ServeTLS(p.opts.TLSListener, "", "") })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	cancel()
	err = errors.Join(err, p.shutdown())
	p.runs.Close()
	return err
}

// shutdown stops answering: streams end at once, other requests within [shutdownGrace].
func (p *Portal) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace) // the machine's time: it bounds a person's wait
	defer cancel()
	if err := p.http.Shutdown(ctx); err != nil {
		return p.http.Close()
	}
	return nil
}

// Close closes listeners and database, after Serve has returned or instead of it. It is idempotent.
func (p *Portal) Close() error { return p.closing() }

func (p *Portal) close() error {
	p.stop()
	err := p.shutdown()
	p.runs.Close()
	for _, l := range []net.Listener{p.opts.Listener, p.opts.TLSListener} {
		if l == nil {
			continue
		}
		if e := l.Close(); e != nil && !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	return errors.Join(err, p.store.Close())
}
