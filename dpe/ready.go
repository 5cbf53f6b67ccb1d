package dpe

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
)

// readyTimeout bounds the question of [Ready] (assumption).
const readyTimeout = 10 * time.Second

// Ready asks the engine behind address, the URL of its readiness, whether it is ready, and gives one line that says so.
// It asks once, and never through a proxy. It returns Invalid for what is not a URL, and Unavailable, with the reason,
// if nobody answers, if something else than an engine answers, or if the engine is not ready. Without dial it uses the
// machine's network.
func Ready(ctx context.Context, c *clock.Clock, dial DialFunc, address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return "", sim.Errorf(sim.Invalid, "the address is not the URL of an engine's readiness").
			WithHelp("give one like http://finance.ataccama.svc:8034/actuator/health/readiness")
	}
	ctx, cancel := c.WithTimeout(ctx, readyTimeout)
	defer cancel()
	transport := &http.Transport{DialContext: dial}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return "", sim.Errorf(sim.Invalid, "%s cannot be asked", address)
	}
	res, err := client.Do(req)
	if err != nil {
		return "", notReady(err, "no engine answers at %s: %v", address, reason(err)).
			WithHelp("see whether its pods run and are ready: kubectl get pods")
	}
	defer res.Body.Close() //nolint:errcheck // what was read has been read
	var state struct {
		Status     string               `json:"status"`
		Components map[string]component `json:"components"`
	}
	const longest = 1 << 20 // bytes: an engine answers with a few hundred
	if err := json.NewDecoder(io.LimitReader(res.Body, longest)).Decode(&state); err != nil || state.Status == "" {
		return "", notReady(err, "what answers at %s is no engine: HTTP status %s", address, res.Status).
			WithHelp("check the address")
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(state.Components)) {
		part := name + " is " + state.Components[name].Status
		if why := state.Components[name].Details["reason"]; why != "" {
			part += " (" + why + ")"
		}
		parts = append(parts, part)
	}
	about := strings.Join(parts, ", ")
	if res.StatusCode != http.StatusOK || state.Status != up {
		return "", notReady(nil, "the engine is not ready, it says %s: %s", state.Status, about).
			WithHelp("read its log: kubectl logs")
	}
	return "the engine is ready: " + about, nil
}

func notReady(cause error, format string, args ...any) *sim.Error {
	e := sim.Errorf(sim.Unavailable, format, args...)
	e.Err = cause
	return e
}

// reason gives the cause of a failed request without the method and URL that net/http puts before it.
func reason(err error) error {
	if u, ok := err.(*url.Error); ok { //nolint:errorlint // http.Client returns exactly this type
		return u.Err
	}
	return err
}
