// Package web serves an HTTP handler on a listener that it is handed, with the verbs that every service has.
package web

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server serves one handler on one listener. It is safe for concurrent use.
type Server struct {
	listener net.Listener
	http     *http.Server

	mu       sync.Mutex
	closed   bool
	inflight sync.WaitGroup // handlers at work; added to under mu only
	closing  sync.Once
	closeErr error
}

// New makes a server; it takes over ln. config nil means plain HTTP. What clients do wrong before there is a request goes
// to log at debug level.
func New(h http.Handler, ln net.Listener, config *tls.Config, log *slog.Logger) *Server {
	s := &Server{listener: ln}
	if config != nil {
		config = config.Clone() // net/http adds its protocols to it
	}
	s.http = &http.Server{
		Handler:           s.count(h),
		TLSConfig:         config,
		ReadHeaderTimeout: 30 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s
}

// count lets requests in until the server closes.
func (s *Server) count(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		closed := s.closed
		if !closed {
			s.inflight.Add(1)
		}
		s.mu.Unlock()
		if closed {
			return // its connection is being cut
		}
		defer s.inflight.Done()
		h.ServeHTTP(w, r)
	})
}

// Serve answers requests until ctx is done and then returns nil.
func (s *Server) Serve(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	serve := func() error { return s.http.Serve(s.listener) }
	if s.http.TLSConfig != nil {
		serve = func() error { return s.http.ServeTLS(s.listener, "", "") }
	}
	if err := serve(); ctx.Err() == nil {
		return err
	}
	return s.Close()
}

// Close stops listening, cuts the requests under way and waits for their handlers. It is idempotent, and right if Serve
// never ran.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.closeErr = errors.Join(ignoreClosed(s.listener.Close()), ignoreClosed(s.http.Close()))
		s.inflight.Wait()
	})
	return s.closeErr
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
