package portal_test

import (
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/dpesim/dpesim/portal"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/fault"
)

const js = "Content-Type: application/json"

func TestARequestWithAKeyIsDoneOnce(t *testing.T) { //nolint:tparallel // the second run follows the first
	t.Parallel()
	path := filepath.Join(t.TempDir(), "portal.db")
	const dpes = "/api/v1/environments/prod/dpes"
	var first answer
	t.Run("first run", func(t *testing.T) {
		s := startAt(t, path)
		s.environment(t, api.EnvironmentSpec{Name: "Prod"})
		first = s.send(t, http.MethodPost, dpes, `{"name":"Finance"}`, js, "Idempotency-Key: k1")
		if first.code != http.StatusCreated || first.header.Get("Idempotency-Replayed") != "" {
			t.Fatalf("first: %d %s", first.code, first.body)
		}
		if got := s.send(t, http.MethodPost, dpes, `{"name":"Sales"}`, js, "Idempotency-Key: k1"); got.code != http.StatusBadRequest || !strings.Contains(got.body, "another request") {
			t.Errorf("another body: %d %s", got.code, got.body)
		}
		if got := s.send(t, http.MethodPost, "/api/v1/users", `{"name":"Finance"}`, js, "Idempotency-Key: k1"); got.code != http.StatusBadRequest || !strings.Contains(got.body, "another request") {
			t.Errorf("another address: %d %s", got.code, got.body)
		}
		if got := s.send(t, http.MethodPost, dpes, `{"name":"Finance"}`, js, "Idempotency-Key: k1", "Dpesim-As: ada"); got.code != http.StatusConflict || !strings.Contains(got.body, "label finance") {
			t.Errorf("another user's key: %d %s", got.code, got.body)
		}
		for _, key := range []string{"a b", strings.Repeat("k", 129), "\u00e9"} {
			if got := s.send(t, http.MethodPost, dpes, `{"name":"X"}`, js, "Idempotency-Key: "+key); got.code != http.StatusBadRequest {
				t.Errorf("key %q: %d", key, got.code)
			}
		}
	})
	s := startAt(t, path) // the answer outlives the process
	again := s.send(t, http.MethodPost, dpes, `{"name":"Finance"}`, js, "Idempotency-Key: k1")
	if again.code != first.code || again.body != first.body || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("again: %d %v\n%s\nfirst\n%s", again.code, again.header, again.body, first.body)
	}
	for _, h := range []string{"Location", "ETag", "Content-Type"} {
		if again.header.Get(h) == "" || again.header.Get(h) != first.header.Get(h) {
			t.Errorf("%s is %q, was %q", h, again.header.Get(h), first.header.Get(h))
		}
	}
	if got := must(s.DPEs(t.Context(), "prod"))(t); len(got) != 1 {
		t.Errorf("%d DPEs were added", len(got))
	}
	if err := s.clock.Advance(t.Context(), 24*time.Hour+time.Second); err != nil {
		t.Fatal(err)
	}
	if got := s.send(t, http.MethodPost, dpes, `{"name":"Finance"}`, js, "Idempotency-Key: k1"); got.code != http.StatusConflict || !strings.Contains(got.body, "label finance") {
		t.Errorf("a day later: %d %s", got.code, got.body)
	}
}

func TestAKeyOfWhatFailedIsFree(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.environment(t, api.EnvironmentSpec{Name: "Prod", ReplicasAllowed: 1})
	const dpes, body = "/api/v1/environments/prod/dpes", `{"name":"Finance"}`
	must(s.AddDPE(t.Context(), "prod", api.DPESpec{Name: "Other"}))(t)
	if got := s.send(t, http.MethodPost, dpes, body, js, "Idempotency-Key: k"); got.code != http.StatusUnprocessableEntity {
		t.Fatalf("%d %s", got.code, got.body)
	}
	if err := s.RemoveDPE(t.Context(), "prod", "other", 0); err != nil {
		t.Fatal(err)
	}
	if got := s.send(t, http.MethodPost, dpes, body, js, "Idempotency-Key: k"); got.code != http.StatusCreated {
		t.Errorf("after room was made: %d %s", got.code, got.body)
	}
}

func TestSecretsAreNotKeptForWhoRepeats(t *testing.T) {
	t.Parallel()
	s := start(t)
	body := `{"name":"CI","scopes":["read"]}`
	if got := s.send(t, http.MethodPost, "/api/v1/tokens", body, js, "Idempotency-Key: k"); got.code != http.StatusCreated {
		t.Fatalf("%d %s", got.code, got.body)
	}
	if got := s.send(t, http.MethodPost, "/api/v1/tokens", body, js, "Idempotency-Key: k"); got.code != http.StatusConflict || !strings.Contains(got.body, "held a secret") {
		t.Errorf("again: %d %s", got.code, got.body)
	}
	if all := must(s.Tokens(t.Context()))(t); len(all) != 1 {
		t.Errorf("%d tokens were made", len(all))
	}
}

func TestARepetitionWaitsForNobody(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	hold, entered := make(chan struct{}), make(chan struct{})
	s.cloud.onSubmit(func() { close(entered); <-hold })
	const jobs, body = "/api/v1/environments/prod/jobs", `{"bucket":"b","key":"k"}`
	first := make(chan answer, 1)
	go func() { first <- s.send(t, http.MethodPost, jobs, body, js, "Idempotency-Key: k") }()
	<-entered
	if got := s.send(t, http.MethodPost, jobs, body, js, "Idempotency-Key: k"); got.code != http.StatusConflict || !strings.Contains(got.body, "under way") {
		t.Errorf("while the first is under way: %d %s", got.code, got.body)
	}
	close(hold)
	if got := <-first; got.code != http.StatusCreated {
		t.Errorf("first: %d %s", got.code, got.body)
	}
}

func TestWhatWasCutOffIsSaidToBe(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	s.cloud.onSubmit(func() { panic("broken") })
	const jobs, body = "/api/v1/environments/prod/jobs", `{"bucket":"b","key":"k"}`
	if got := s.send(t, http.MethodPost, jobs, body, js, "Idempotency-Key: k"); got.code != http.StatusInternalServerError {
		t.Fatalf("%d %s", got.code, got.body)
	}
	if got := s.send(t, http.MethodPost, jobs, body, js, "Idempotency-Key: k"); got.code != http.StatusConflict || !strings.Contains(got.body, "cut off") {
		t.Errorf("again: %d %s", got.code, got.body)
	}
}

// breaking loses the first answers to POSTs, as a connection does that breaks.
type breaking struct {
	http.RoundTripper
	lost atomic.Int32 // how many are still to be lost
	half bool         // after their first half
}

// half is an answer that breaks off.
type half struct {
	io.Reader
	io.Closer
}

func (b *breaking) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(r)
	if err == nil && r.Method == http.MethodPost && b.lost.Add(-1) >= 0 {
		reset := errors.New("connection reset by peer")
		if b.half {
			res.Body = half{io.MultiReader(io.LimitReader(res.Body, 20), iotest.ErrReader(reset)), res.Body}
			return res, nil
		}
		_ = res.Body.Close()
		return nil, reset
	}
	return res, err
}

func TestTheClientRepeatsWhatGotNoAnswer(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	b := &breaking{RoundTripper: s.HTTP.Transport}
	c := &api.Client{BaseURL: s.URL(), Token: operator, HTTP: &http.Client{Transport: b}}
	b.lost.Store(1)
	if d := must(c.AddDPE(ctx, "prod", api.DPESpec{Name: "Finance"}))(t); d.Label != "finance" || d.Revision != 1 {
		t.Errorf("added %+v", d)
	}
	b.half = true
	b.lost.Store(1)
	if u := must(c.AddUser(ctx, api.UserSpec{ID: "nina", Name: "Nina", Password: "long enough"}))(t); u.ID != "nina" {
		t.Errorf("added %+v", u)
	}
	b.half = false
	b.lost.Store(2)
	_, err := c.SubmitJob(ctx, "prod", api.JobSpec{Bucket: "b", Key: "k"})
	wantError(t, err, sim.Unavailable, "cannot be reached")
	if n := len(must(s.Jobs(ctx, "prod", api.JobFilter{}))(t)); n != 1 {
		t.Errorf("%d jobs were submitted", n)
	}
	if err := s.faults.Arm(fault.Fault{Name: "down", Point: portal.FaultRequest, Err: sim.Errorf(sim.Unavailable, "maintenance")}); err != nil {
		t.Fatal(err)
	}
	_, err = c.SubmitJob(ctx, "prod", api.JobSpec{Bucket: "b", Key: "other"})
	wantError(t, err, sim.Unavailable, "maintenance")
}
