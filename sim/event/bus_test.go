package event_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/event"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func publish(b *event.Bus, n int) {
	for range n {
		b.Publish(context.Background(), sim.Event{Part: sim.PartSim, What: "ticked"})
	}
}

func seqs(events []sim.Event) []uint64 {
	out := []uint64{}
	for _, e := range events {
		out = append(out, e.Seq)
	}
	return out
}

func TestEventsAreStampedAndReadInOrder(t *testing.T) {
	t.Parallel()
	c := clock.NewFrozen(noon)
	b := event.New(c, 8)
	s := b.Subscribe(0)
	first := b.Publish(t.Context(), sim.Event{Part: sim.PartDPM, Environment: "acme", DPE: "fin", What: "engine connected"})
	if err := c.Advance(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	second := b.Publish(t.Context(), sim.Event{What: "job started", Detail: map[string]string{"job": "1"}})
	want := []sim.Event{
		{Seq: 1, Time: noon, Part: sim.PartDPM, Environment: "acme", DPE: "fin", What: "engine connected"},
		{Seq: 2, Time: noon.Add(time.Second), What: "job started", Detail: map[string]string{"job": "1"}},
	}
	if d := cmp.Diff(want, []sim.Event{first, second}); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(want, b.Since(0)); d != "" {
		t.Error(d)
	}
	for _, w := range want {
		if e, err := s.Next(t.Context()); err != nil || !cmp.Equal(e, w) {
			t.Errorf("%+v, %v", e, err)
		}
	}
}

func TestSinceGivesWhatIsRemembered(t *testing.T) {
	t.Parallel()
	b := event.New(clock.NewFrozen(noon), 4)
	if got := b.Since(0); len(got) != 0 || b.Last() != 0 {
		t.Errorf("%v", got)
	}
	publish(b, 6)
	for after, want := range map[uint64][]uint64{0: {3, 4, 5, 6}, 2: {3, 4, 5, 6}, 4: {5, 6}, 6: {}, 99: {}, math.MaxUint64: {}} {
		if got := seqs(b.Since(after)); !cmp.Equal(got, want) {
			t.Errorf("since %d: %v, want %v", after, got, want)
		}
	}
}

func TestASlowSubscriberIsToldWhatItMissedOnceAndGoesOn(t *testing.T) {
	t.Parallel()
	b := event.New(clock.NewFrozen(noon), 4)
	s := b.Subscribe(0)
	publish(b, 1)
	if e, err := s.Next(t.Context()); err != nil || e.Seq != 1 {
		t.Fatal(e, err)
	}
	publish(b, 9) // 2..10, of which 7..10 are left
	_, err := s.Next(t.Context())
	missed, ok := errors.AsType[*event.MissedError](err)
	if !ok || missed.Missed != 5 {
		t.Fatalf("%v, want 5 missed", err)
	}
	for want := uint64(7); want <= 10; want++ {
		if e, err := s.Next(t.Context()); err != nil || e.Seq != want {
			t.Fatalf("%d, %v, want %d", e.Seq, err, want)
		}
	}
}

func TestPublishersNeverWaitForASubscriberThatNeverReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // a publisher that waits would deadlock the bubble, which fails
		b := event.New(clock.New(), 16)
		_ = b.Subscribe(0)
		publish(b, 10_000)
		if b.Last() != 10_000 || len(b.Since(0)) != 16 {
			t.Errorf("last %d, kept %d", b.Last(), len(b.Since(0)))
		}
	})
}

func TestNextWaitsForAnEventOrItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := event.New(clock.New(), 4)
		got := make(chan uint64, 1)
		go func() {
			e, _ := b.Subscribe(b.Last()).Next(t.Context())
			got <- e.Seq
		}()
		synctest.Wait()
		publish(b, 1)
		if seq := <-got; seq != 1 {
			t.Errorf("%d", seq)
		}
		for name, bus := range map[string]*event.Bus{"bus": b, "no bus": nil} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := bus.Subscribe(bus.Last()).Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
			cancel()
		}
	})
}

func TestASubscriptionAheadOfTheBusReadsFromNowOn(t *testing.T) {
	t.Parallel()
	for _, after := range []uint64{99, math.MaxUint64} {
		b := event.New(clock.NewFrozen(noon), 4)
		publish(b, 2)
		s := b.Subscribe(after)
		publish(b, 1)
		if e, err := s.Next(t.Context()); err != nil || e.Seq != 3 {
			t.Errorf("after %d: %d, %v", after, e.Seq, err)
		}
	}
}

func TestTheCauseComesFromTheEventOrItsContext(t *testing.T) {
	t.Parallel()
	b := event.New(clock.NewFrozen(noon), 4)
	click := b.Publish(t.Context(), sim.Event{What: "clicked"})
	ctx := event.WithCause(t.Context(), click.Seq)
	if e := b.Publish(ctx, sim.Event{What: "made"}); e.Cause != click.Seq {
		t.Errorf("%+v", e)
	}
	if e := b.Publish(ctx, sim.Event{What: "made", Cause: 7}); e.Cause != 7 {
		t.Errorf("%+v", e)
	}
	if e := b.Publish(t.Context(), sim.Event{What: "made"}); e.Cause != 0 {
		t.Errorf("%+v", e)
	}
	var none *event.Bus
	if e := none.Publish(ctx, sim.Event{What: "made"}); e.Cause != click.Seq || e.Seq != 0 || none.Since(0) != nil {
		t.Errorf("%+v", e)
	}
}

func TestManyPublishersAndReadersAtOnce(t *testing.T) {
	t.Parallel()
	b := event.New(clock.New(), 4096)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { publish(b, 500) })
		wg.Go(func() {
			s := b.Subscribe(0)
			for want := uint64(1); want <= 2000; want++ {
				if e, err := s.Next(t.Context()); err != nil || e.Seq != want {
					t.Errorf("%d, %v, want %d", e.Seq, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkPublish(b *testing.B) {
	bus := event.New(clock.New(), 0)
	b.ReportAllocs()
	for b.Loop() {
		publish(bus, 1)
	}
}

func TestBackwardReadsWhatIsRememberedAndNoFurtherThanAsked(t *testing.T) {
	t.Parallel()
	var none *event.Bus
	for range none.Backward() {
		t.Error("a bus that is not there has an event")
	}
	b := event.New(clock.NewFrozen(noon), 600)
	for range b.Backward() {
		t.Error("a new bus has an event")
	}
	publish(b, 1000) // 401..1000 are left
	want := uint64(1000)
	for e := range b.Backward() {
		if e.Seq != want {
			t.Fatalf("%d, want %d", e.Seq, want)
		}
		if want--; want == 900 {
			break
		}
	}
	n := 0
	for e := range b.Backward() {
		if n++; n == 1 {
			publish(b, 300) // 701..1300 are left
		}
		if e.Seq > 1000 || e.Seq < 701 {
			t.Errorf("%d is read", e.Seq)
		}
	}
	if n != 300 {
		t.Errorf("%d events are read", n)
	}
}
