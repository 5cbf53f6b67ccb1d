package dpe_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/dpe"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
)

const readiness = "/actuator/health/readiness"

func TestReadySaysWhatTheEngineSays(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.run()
	address := "http://" + c.config.Health.Addr().String() + readiness
	s, _ := c.stream()
	_, err := dpe.Ready(t.Context(), c.config.Clock, nil, address)
	msg, help := sim.Explain(err)
	if sim.KindOf(err) != sim.Unavailable || !strings.Contains(msg, "the engine is not ready, it says DOWN: dpm is DOWN (not tried yet), objectStorage is ") || help == "" {
		t.Errorf("before welcome: %v", err)
	}
	s.welcome()
	c.eventually(readiness, http.StatusOK, "UP")
	got, err := dpe.Ready(t.Context(), c.config.Clock, nil, address)
	if want := "the engine is ready: dpm is UP, objectStorage is UP"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestReadyTellsEnginesFromOthers(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/up", http.StatusFound)
		case "/up":
			fmt.Fprint(w, `{"status":"UP"}`)
		case "/shy":
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"status":"UP"}`)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for address, want := range map[string]string{
		server.URL + "/other":    "is no engine: HTTP status 404 Not Found",
		server.URL + "/redirect": "is no engine: HTTP status 302 Found",
		server.URL + "/shy":      "the engine is not ready",
		gone.URL:                 "no engine answers at " + gone.URL + ": dial tcp",
		"finance:8034":           "is not the URL of an engine's readiness",
		"ftp://finance/":         "is not the URL of an engine's readiness",
		"http://u:secret@x/":     "is not the URL",
		"http://":                "is not the URL",
	} {
		if got, err := dpe.Ready(t.Context(), clock.New(), nil, address); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, %v, want %q", address, got, err, want)
		}
	}
}
