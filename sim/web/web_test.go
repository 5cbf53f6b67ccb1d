package web_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/dpesim/dpesim/sim/web"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func TestCloseCutsRequestsAndWaitsForTheirHandlers(t *testing.T) {
	t.Parallel()
	ln := listen(t)
	began, ended := make(chan struct{}), false
	s := web.New(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		ended = true
	}), ln, nil, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	answered := make(chan error, 1)
	go func() {
		res, err := http.Get("http://" + ln.Addr().String())
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		answered <- err
	}()
	<-began
	stop()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if !ended {
		t.Error("Close did not wait for the handler")
	}
	if err := <-answered; err == nil {
		t.Error("the request under way was answered")
	}
}

func TestCloseIsRightWithoutServe(t *testing.T) {
	t.Parallel()
	ln := listen(t)
	s := web.New(http.NotFoundHandler(), ln, nil, slog.New(slog.DiscardHandler))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if _, err := ln.Accept(); err == nil {
		t.Error("the listener is open")
	}
}
