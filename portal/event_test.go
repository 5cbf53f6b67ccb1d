package portal_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dpesim/dpesim/portal"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/event"
)

func TestFollowResumesAfterTheLastEvent(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	s.environment(t, api.EnvironmentSpec{Name: "One"})
	s.environment(t, api.EnvironmentSpec{Name: "Two"})
	var got []uint64
	err := s.Follow(ctx, api.EventFilter{After: 1, Environment: "two"}, func(e sim.Event) error {
		got = append(got, e.Seq)
		if len(got) == 2 {
			return api.ErrStop
		}
		return nil
	})
	if err != nil || !slices.Equal(got, []uint64{3, 4}) {
		t.Errorf("followed %v, %v", got, err)
	}
	if all := must(s.Events(ctx, api.EventFilter{After: 2}))(t); len(all) != 2 || all[0].Seq != 3 {
		t.Errorf("events after 2 are %+v", all)
	}

	req := must(http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/api/v1/events?after=1", nil))(t)
	req.Header.Set("Authorization", "Bearer "+operator.Reveal())
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Last-Event-ID", "3")
	res := must(s.HTTP.Do(req))(t)
	defer res.Body.Close()
	b := make([]byte, 6)
	if _, err := io.ReadFull(res.Body, b); err != nil || string(b) != "id: 4\n" {
		t.Errorf("a browser that saw event 3 reads %q, %v", b, err)
	}
}

func TestStreamSaysThatItLivesAndEndsWithThePortal(t *testing.T) {
	t.Parallel()
	o, s := options(t, filepath.Join(t.TempDir(), "portal.db"))
	p := must(portal.Open(t.Context(), o))(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Serve(ctx) }()
	req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL()+"/api/v1/events", nil))(t)
	req.Header.Set("Authorization", "Bearer "+operator.Reveal())
	req.Header.Set("Accept", "text/event-stream")
	res := must(http.DefaultClient.Do(req))(t)
	defer res.Body.Close()
	first := make(chan byte, 1)
	go func() {
		b := make([]byte, 1)
		_, _ = res.Body.Read(b)
		first <- b[0]
	}()
	for alive := false; !alive; { // the handler may not wait yet when time is moved
		select {
		case c := <-first:
			if alive = true; c != ':' {
				t.Errorf("the silent stream begins with %q", c)
			}
		default:
			if err := s.clock.Advance(ctx, 15*time.Second); err != nil {
				t.Fatal(err)
			}
		}
	}
	begin := time.Now()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(res.Body); err != nil {
		t.Errorf("the stream did not end cleanly: %v", err)
	}
	if d := time.Since(begin); d > time.Second {
		t.Errorf("stopping took %v", d)
	}
	for range 2 {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestSlowReaderIsToldThatEventsAreMissed(t *testing.T) {
	t.Parallel()
	o, s := options(t, filepath.Join(t.TempDir(), "portal.db"))
	o.Bus = event.New(s.clock, 2)
	for range 5 {
		o.Bus.Publish(t.Context(), sim.Event{Part: sim.PartSim, What: "something happened"})
	}
	p := must(portal.Open(t.Context(), o))(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Serve(ctx) }()
	defer func() { cancel(); <-done; _ = p.Close() }()
	req := must(http.NewRequestWithContext(ctx, http.MethodGet, p.URL()+"/api/v1/events?after=1", nil))(t)
	req.Header.Set("Authorization", "Bearer "+operator.Reveal())
	req.Header.Set("Accept", "text/event-stream")
	res := must(http.DefaultClient.Do(req))(t)
	defer res.Body.Close()
	want := "event: missed\ndata: {\"missed\":2}\n\nid: 4\n"
	b := make([]byte, len(want))
	if _, err := io.ReadFull(res.Body, b); err != nil || string(b) != want {
		t.Errorf("read %q, %v", b, err)
	}
}

// TestStreamTellsTheNewestOfATime: a page that is to be drawn again is told once, and of the last.
func TestStreamTellsTheNewestOfATime(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	publish := func(part sim.Part, n int) {
		for range n {
			s.bus.Publish(ctx, sim.Event{Part: part, What: "something happened"})
		}
	}
	publish(sim.PartDPM, 1000)
	publish(sim.PartEdge, 1)
	req := must(http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/api/v1/events?part=dpm&every=10ms", nil))(t)
	req.Header.Set("Authorization", "Bearer "+operator.Reveal())
	req.Header.Set("Accept", "text/event-stream")
	res := must(s.HTTP.Do(req))(t)
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	id := func() string {
		for lines.Scan() {
			if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
				return id
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return ""
	}
	if got := id(); got != "1000" {
		t.Errorf("first %s is told", got)
	}
	publish(sim.PartDPM, 500)
	n, last := 0, ""
	for ; last != "1501"; n++ {
		last = id()
	}
	if n >= 500 {
		t.Errorf("%d events are told of 500", n)
	}
	for _, wrong := range []string{"soon", "-1s", "2m"} {
		if got := s.send(t, http.MethodGet, "/api/v1/events?every="+wrong, ""); got.code != http.StatusBadRequest {
			t.Errorf("every %s: %d", wrong, got.code)
		}
	}
}
