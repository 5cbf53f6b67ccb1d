package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/cluster/internal/trail"
	"github.com/dpesim/dpesim/sim/conceal"
	"github.com/dpesim/dpesim/sim/draw"
	"github.com/dpesim/dpesim/sim/event"
)

// Options say how a server is opened. All but Addr, Dir, Bus, Acts and Logs are required.
type Options struct {
	// Addr is where to listen, "127.0.0.1:0" if empty. With port 0 the port of the last run in Dir is tried first, so
	// that kubeconfigs stay good.
	Addr string
	// Dir keeps objects, certificates, token and port over restarts; "" keeps nothing.
	Dir   string
	Clock *clock.Clock
	Draw  *draw.Source
	Log   *slog.Logger
	// Bus is told what people do, Acts remembers it for those who act upon it; either may be nil.
	Bus  *event.Bus
	Acts *trail.Acts
	// Conceal learns of tokens and of what Secrets hold; nil: nothing does.
	Conceal *conceal.Set
	// Logs opens the logs of containers; nil: pods/log is not served.
	Logs LogSource
}

// LogSource knows what containers have written.
type LogSource interface {
	// PodLog opens the log of a container. It honours every option of opts. The reader ends when the log does, or with
	// Follow when ctx is done.
	PodLog(ctx context.Context, namespace, pod, container string, opts *corev1.PodLogOptions) (io.ReadCloser, error)
}

// Server is an API server. It is safe for concurrent use.
type Server struct {
	log      *slog.Logger
	listener net.Listener
	http     *http.Server
	identity *identity
	users    *users
	ledger   *ledger

	stop    context.CancelFunc
	closing sync.Once
	closed  error

	mu       sync.Mutex
	refusing bool           // no request is let in any more
	requests sync.WaitGroup // those let in
}

// quiet keeps the libraries' own log, which is one for the whole process and prints to stderr, silent: what matters of it
// comes back as errors. It is done once, before the first server starts anything that logs.
var quiet = sync.OnceFunc(func() { klog.SetLogger(logr.Discard()) })

// Open reads what Dir holds, binds the address and builds the API. Nothing is answered before [Server.Serve].
func Open(ctx context.Context, o Options) (*Server, error) {
	quiet()
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("open the cluster's data: %w", err)
		}
	}
	id, err := openIdentity(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the cluster's identity: %w", err)
	}
	ln, err := listen(ctx, o.Addr, o.Dir)
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, o, id, ln)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return s, nil
}

func open(ctx context.Context, o Options, id *identity, ln net.Listener) (*Server, error) {
	stopped, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Server{log: o.Log, listener: ln, identity: id, users: newUsers(id.tokens), ledger: newLedger(stopped), stop: stop}
	for _, a := range s.users.byName {
		o.Conceal.Note(a.token)
	}
	var rows []row
	if o.Dir != "" {
		var err error
		if rows, err = openJournal(ctx, filepath.Join(o.Dir, "cluster.db"), s.ledger, o); err != nil {
			stop()
			return nil, fmt.Errorf("open the cluster's data: %w", err)
		}
	}
	reg, err := newRegistry(s.ledger, o)
	if err == nil {
		err = reg.load(ctx, rows)
	}
	var h http.Handler
	if err == nil {
		reg.expireEvents()
		h, err = newHandler(reg, ln.Addr().String())
	}
	if err != nil {
		stop()
		return nil, errors.Join(err, s.ledger.close())
	}
	config, err := id.serverTLS(ln.Addr())
	if err != nil {
		stop()
		return nil, errors.Join(err, s.ledger.close())
	}
	s.http = &http.Server{
		Handler:           s.counted(s.recovered(authenticated(h, s.users, reg.types))),
		TLSConfig:         config,
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return klog.NewContext(stopped, logr.Discard()) },
	}
	return s, nil
}

// URL gives the server's address, "https://127.0.0.1:41234".
func (s *Server) URL() string { return "https://" + s.listener.Addr().String() }

// Serve answers requests until ctx is done, and then returns nil once the server is closed. It fails if the database
// can no longer be written.
func (s *Server) Serve(ctx context.Context) error {
	var failed chan struct{} // nil: never
	if s.ledger.journal != nil {
		failed = s.ledger.journal.failed
	}
	done := make(chan struct{})
	var cause, served error // served is set once done is closed
	go func() {
		defer close(done)
		served = s.http.ServeTLS(s.listener, "", "")
	}()
	select {
	case <-ctx.Done():
	case <-failed:
		cause = s.ledger.journal.cause()
	case <-done:
		if !errors.Is(served, http.ErrServerClosed) {
			cause = fmt.Errorf("serve the cluster's API: %w", served)
		}
	}
	err := s.Close()
	<-done
	return errors.Join(cause, err)
}

// Close ends every request and watch, writes what was accepted and gives back address and files. It is idempotent.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.refusing = true
		s.mu.Unlock()
		s.stop()
		err := s.http.Close()
		if lerr := s.listener.Close(); !errors.Is(lerr, net.ErrClosed) {
			err = errors.Join(err, lerr)
		}
		s.requests.Wait()
		s.closed = errors.Join(err, s.ledger.close())
	})
	return s.closed
}

// counted lets Close wait for the requests that are under way, and lets none in after it.
func (s *Server) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		if s.refusing {
			s.mu.Unlock()
			http.Error(w, "the server is stopping", http.StatusServiceUnavailable)
			return
		}
		s.requests.Add(1)
		s.mu.Unlock()
		defer s.requests.Done()
		h.ServeHTTP(w, r)
	})
}

// recovered answers 500 where a handler panics, and logs it.
func (s *Server) recovered(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch p := recover(); {
			case p == nil:
			case p == http.ErrAbortHandler: //nolint:errorlint // a panic's value is compared as net/http does
				panic(p)
			default:
				s.log.Error("request failed", "err", fmt.Sprint(p), "method", r.Method, "path", r.URL.Path)
				http.Error(w, "This request caused apiserver to panic. Look in the logs for details.", http.StatusInternalServerError)
			}
		}()
		h.ServeHTTP(w, r)
	})
}
