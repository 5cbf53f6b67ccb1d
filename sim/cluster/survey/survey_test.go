package survey_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster/survey"
)

// A cluster whose API server is not up yet is asked again, and who waits for the survey is told why there is none.
func TestAClusterThatDoesNotAnswerIsAskedAgain(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !up.Load() {
			http.Error(w, "the server is starting", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		kind := map[string]string{"/api": "APIVersions", "/apis": "APIGroupList"}[r.URL.Path]
		_, _ = io.WriteString(w, `{"kind":"`+kind+`","apiVersion":"v1"}`)
	}))
	defer server.Close()
	var log bytes.Buffer
	s := survey.New(&rest.Config{Host: server.URL}, nil, slog.New(slog.NewTextHandler(&log, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()

	err := s.Wait(t.Context())
	if sim.KindOf(err) != sim.Unavailable || !strings.Contains(err.Error(), "the cluster cannot be surveyed: ") {
		t.Errorf("while it is down: %v", err)
	}
	up.Store(true)
	<-s.Synced()
	if err := s.Wait(t.Context()); err != nil {
		t.Errorf("once it is up: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("serve: %v", err)
	}
	if n := strings.Count(log.String(), "cluster not surveyed, trying again"); n != 1 {
		t.Errorf("said %d times:\n%s", n, &log)
	}
}
