// Package event is the bus that every change of state is told on.
//
// Publishers never wait: events go into a bounded ring, and each subscriber reads it at its own pace. One that falls
// further behind than the ring holds is told how many events it missed and goes on from the oldest that is left.
package event

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"sync"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
)

// DefaultCapacity is how many events a bus remembers unless told otherwise: the whole of a long workshop day.
const DefaultCapacity = 1 << 14

// Bus is the event log of a run. It is safe for concurrent use. A nil *Bus swallows what is published, so that a
// service can be used without one.
type Bus struct {
	clock *clock.Clock

	mu    sync.Mutex
	ring  []sim.Event   // of capacity cap(ring); event seq s stands at (s-1) % cap
	last  uint64        // Seq of the newest event, 0 if none
	moved chan struct{} // closed and replaced at each Publish
}

// New gives a bus that remembers the last capacity events; capacity < 1 means [DefaultCapacity].
func New(c *clock.Clock, capacity int) *Bus {
	if capacity < 1 {
		capacity = DefaultCapacity
	}
	return &Bus{clock: c, ring: make([]sim.Event, 0, capacity), moved: make(chan struct{})}
}

// Publish stamps e with the next Seq, the product time and, unless e names one, the cause that ctx carries; it returns
// the stamped event. It never blocks on subscribers.
func (b *Bus) Publish(ctx context.Context, e sim.Event) sim.Event {
	if e.Cause == 0 {
		e.Cause = Cause(ctx)
	}
	if b == nil {
		return e
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	e.Seq, e.Time = b.last, b.clock.Now()
	if len(b.ring) < cap(b.ring) {
		b.ring = append(b.ring, e)
	} else {
		b.ring[b.at(e.Seq)] = e
	}
	close(b.moved)
	b.moved = make(chan struct{})
	return e
}

func (b *Bus) at(seq uint64) int { return int((seq - 1) % uint64(cap(b.ring))) }

// Last gives the Seq of the newest event, 0 if there is none.
func (b *Bus) Last() uint64 {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// oldestLocked gives the Seq of the oldest event that is remembered.
func (b *Bus) oldestLocked() uint64 { return b.last - uint64(len(b.ring)) + 1 }

// Since gives the remembered events with a Seq greater than after, oldest first.
func (b *Bus) Since(after uint64) []sim.Event {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if after >= b.last {
		return nil
	}
	var out []sim.Event
	for s := max(after+1, b.oldestLocked()); s <= b.last; s++ {
		out = append(out, b.ring[b.at(s)])
	}
	return out
}

// batch is how many events [Bus.Backward] copies at a time.
const batch = 256

// Backward gives the remembered events, newest first, and reads no further than is asked for. What is published meanwhile
// is not among them; what is forgotten meanwhile is left out.
func (b *Bus) Backward() iter.Seq[sim.Event] {
	return func(yield func(sim.Event) bool) {
		some := make([]sim.Event, 0, batch)
		for next := b.Last(); next > 0; {
			some = b.before(next, some[:0])
			if len(some) == 0 {
				return
			}
			for _, e := range some {
				if !yield(e) {
					return
				}
			}
			next = some[len(some)-1].Seq - 1
		}
	}
}

// before appends the remembered events from Seq from downwards to out, until it is full.
func (b *Bus) before(from uint64, out []sim.Event) []sim.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := from; s >= b.oldestLocked() && s > 0 && len(out) < cap(out); s-- {
		out = append(out, b.ring[b.at(s)])
	}
	return out
}

// Subscribe starts reading after the event with Seq after: 0 from the oldest that is remembered, [Bus.Last] from now on.
// An after that lies ahead, a number of another run, is taken as [Bus.Last].
func (b *Bus) Subscribe(after uint64) *Subscription {
	return &Subscription{bus: b, next: min(after, b.Last()) + 1}
}

// MissedError tells a subscriber that it was too slow: Missed events are gone. The next call goes on after them.
type MissedError struct{ Missed uint64 }

// Error says how many.
func (e *MissedError) Error() string {
	return fmt.Sprintf("%d events were missed: the reader was slower than the event ring is long", e.Missed)
}

// Subscription is one reader of a bus. It is not safe for concurrent use and needs no closing.
type Subscription struct {
	bus  *Bus
	next uint64
}

// Next waits for the next event. It returns ctx's error when ctx is done, or a *[MissedError] once after events were
// missed.
func (s *Subscription) Next(ctx context.Context) (sim.Event, error) {
	if s.bus == nil {
		<-ctx.Done()
		return sim.Event{}, ctx.Err()
	}
	for {
		s.bus.mu.Lock()
		oldest, last, moved := s.bus.oldestLocked(), s.bus.last, s.bus.moved
		if s.next <= last {
			if s.next < oldest {
				missed := oldest - s.next
				s.next = oldest
				s.bus.mu.Unlock()
				return sim.Event{}, &MissedError{Missed: missed}
			}
			e := s.bus.ring[s.bus.at(s.next)]
			s.next++
			s.bus.mu.Unlock()
			return e, nil
		}
		s.bus.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return sim.Event{}, ctx.Err()
		}
	}
}

// CauseHeader names the header, of HTTP and gRPC alike, in which parts of a simulation tell each other the Seq of the event
// that led to a request. It is the simulator's own, for its timeline alone; a product knows nothing of it.
const CauseHeader = "dpesim-cause"

// Claimed reads a [CauseHeader]. It gives 0 for what is no number, or no event of this run that has happened yet: what
// comes from a real container can mislead a reader, but not claim the future.
func (b *Bus) Claimed(header string) uint64 {
	seq, err := strconv.ParseUint(header, 10, 64)
	if err != nil || seq > b.Last() {
		return 0
	}
	return seq
}

type causeKey struct{}

// WithCause gives a context under which published events name seq as their cause. It is request-scoped data, like a
// trace id, and no way to hand over dependencies.
func WithCause(ctx context.Context, seq uint64) context.Context {
	return context.WithValue(ctx, causeKey{}, seq)
}

// Cause gives the cause that ctx carries, 0 if none.
func Cause(ctx context.Context) uint64 {
	seq, _ := ctx.Value(causeKey{}).(uint64)
	return seq
}
