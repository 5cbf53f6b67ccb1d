package dpe

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/dpesim/dpesim/sim"
)

// health is what the engine tells of itself at /actuator (product-facts, "Ports and health of the modules"). The JSON has
// the shape of Spring Boot's actuator; what stands in details is our choice.
type health struct {
	info   map[string]any
	server *http.Server
	ln     net.Listener

	mu       sync.Mutex
	parts    map[string]component
	draining bool
}

// component is the health of something that the engine depends on.
type component struct {
	Status  string            `json:"status"`
	Details map[string]string `json:"details,omitempty"`
}

// The statuses, as Spring Boot names them.
const (
	up           = "UP"
	down         = "DOWN"
	outOfService = "OUT_OF_SERVICE"
)

const (
	partDPM     = "dpm"
	partStorage = "objectStorage"
	partDrivers = "customDrivers" // only if there shall be any
)

func newHealth(c Config) *health {
	waiting := component{Status: down, Details: map[string]string{"reason": "not tried yet"}}
	h := &health{
		ln:    c.Health,
		parts: map[string]component{partDPM: waiting, partStorage: waiting},
		info: map[string]any{
			"version": c.Version, "environment": c.Environment, "label": c.Label, "replica": c.Replica, "drivers": append([]sim.Driver{}, c.Drivers...),
			"revision": c.Revision, "slots": c.Slots,
			"licence": map[string]any{"organisation": c.Licence.Organisation, "environment": c.Licence.Environment, "replicas": c.Licence.Replicas, "expires": c.Licence.Expires},
		},
	}
	if c.CustomDrivers.Enabled {
		h.parts[partDrivers] = waiting
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /actuator/info", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, h.info) })
	mux.HandleFunc("GET /actuator/health/liveness", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, component{Status: up})
	})
	for _, path := range []string{"GET /actuator/health", "GET /actuator/health/readiness"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			status, body := h.state()
			answer(w, status, body)
		})
	}
	h.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)}
	return h
}

// serve answers until close.
func (h *health) serve() error {
	if err := h.server.Serve(h.ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve health: %w", err)
	}
	return nil
}

// close ends serving, connections included.
func (h *health) close() { _ = h.server.Close() }

// state gives the HTTP status and the body of readiness: ready while connected to DPM, with the object storage in reach,
// and not draining.
func (h *health) state() (int, any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	status := up
	parts := map[string]component{}
	for name, p := range h.parts {
		parts[name] = p
		if p.Status != up {
			status = down
		}
	}
	if h.draining {
		status = outOfService
	}
	code := http.StatusOK
	if status != up {
		code = http.StatusServiceUnavailable
	}
	return code, struct {
		Status     string               `json:"status"`
		Components map[string]component `json:"components"`
	}{status, parts}
}

func (h *health) set(part, status, key, detail string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parts[part] = component{Status: status, Details: map[string]string{key: detail}}
}

func (h *health) connected(dpm sim.Release) { h.set(partDPM, up, "version", string(dpm)) }
func (h *health) disconnected(why string)   { h.set(partDPM, down, "reason", why) }

func (h *health) storageUp(bucket string) { h.set(partStorage, up, "bucket", bucket) }
func (h *health) storageDown(why string)  { h.set(partStorage, down, "reason", why) }

// drain marks the engine as stopping: it stays alive and is ready no more.
func (h *health) drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
}

// answer writes JSON.
func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the prober has gone: nobody is left to tell
}
