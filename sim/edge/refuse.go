package edge

import (
	"context"
	"maps"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/event"
)

// Reason says why a connection was refused. It stands in the detail of the event "connection refused".
type Reason string

// The reasons.
const (
	UnknownName Reason = "unknown name"         // the hello names a host without a route; answered with the alert unrecognized_name
	NoName      Reason = "no server name"       // the hello names no host (a client that dials an IP address); the same alert
	PlainHTTP   Reason = "plain HTTP"           // answered with a redirect to https, or status 400 and a sentence
	NoHello     Reason = "no hello"             // the client hung up before the first byte: a port scan, a TCP health check
	SlowHello   Reason = "slow hello"           // not whole within Options.HelloTimeout
	BrokenHello Reason = "broken hello"         // neither TLS nor HTTP, cut short, or longer than 16 KiB
	NotAllowed  Reason = "not allowed"          // the source address is not on the environment's allowlist
	TooMany     Reason = "too many connections" // the service does not accept fast enough
	Injected    Reason = "injected fault"       // a fault armed at [FaultAccept]
	Spoofed     Reason = "foreign egress"       // the internal listener was dialled by something else than this process's [Egress]
)

// Counters is what an edge has done so far.
type Counters struct {
	Accepted uint64            // connections handed to a route
	Open     int               // of these, open now
	Cut      uint64            // of these, ended by an allowlist
	Refused  map[Reason]uint64 // connections refused; no entry: none
}

// Counters gives a copy of the counts.
func (e *Edge) Counters() Counters {
	refused := e.refusals.counts()
	e.mu.Lock()
	defer e.mu.Unlock()
	return Counters{Accepted: e.accepted, Open: len(e.conns), Cut: e.cut, Refused: refused}
}

// tellEvery is how often, in product time, repeated refusals of one source for one reason are told, after the first at once.
const tellEvery = 10 * time.Second

// maxTold bounds how many pairs of source and reason are told apart; the sources beyond share a pair without address.
const maxTold = 1024

// refusal is one connection that was turned away. Source and name are the client's words: the name is not trusted.
type refusal struct {
	reason Reason
	source netip.Addr
	env    sim.EnvironmentID
	name   string
}

// refusals counts and tells, so that a client that tries without end does not flood the bus.
type refusals struct {
	clock *clock.Clock
	bus   *event.Bus

	mu      sync.Mutex
	closed  bool
	total   map[Reason]uint64
	tallies map[tallyKey]*tally
}

type tallyKey struct {
	source netip.Addr
	reason Reason
	env    sim.EnvironmentID
}

type tally struct {
	more  int     // refusals since the last event
	last  refusal // the newest of them
	timer *clock.Timer
}

func newRefusals(c *clock.Clock, b *event.Bus) *refusals {
	return &refusals{clock: c, bus: b, total: map[Reason]uint64{}, tallies: map[tallyKey]*tally{}}
}

// tell counts r, and publishes it unless one like it was published a moment ago: then it is part of the next summary.
func (f *refusals) tell(ctx context.Context, r refusal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.total[r.reason]++
	if f.closed {
		return
	}
	k := tallyKey{r.source, r.reason, r.env}
	t := f.tallies[k]
	if t == nil && len(f.tallies) >= maxTold {
		k.source = netip.Addr{}
		t = f.tallies[k]
	}
	if t != nil {
		t.more++
		t.last = r
		return
	}
	t = &tally{last: r}
	f.tallies[k] = t
	f.publish(ctx, r, 1)
	t.timer = f.clock.AfterFunc(tellEvery, func() { f.summarise(ctx, k) })
}

// summarise publishes what came since the last event of k, or forgets k if nothing came.
func (f *refusals) summarise(ctx context.Context, k tallyKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tallies[k]
	if f.closed || t == nil {
		return
	}
	if t.more == 0 {
		delete(f.tallies, k)
		return
	}
	f.publish(ctx, t.last, t.more)
	t.more = 0
	t.timer = f.clock.AfterFunc(tellEvery, func() { f.summarise(ctx, k) })
}

func (f *refusals) publish(ctx context.Context, r refusal, count int) {
	d := map[string]string{"reason": string(r.reason), "count": strconv.Itoa(count)}
	if r.source.IsValid() {
		d["source"] = r.source.String()
	}
	if r.name != "" {
		d["name"] = shown(r.name)
	}
	f.bus.Publish(ctx, sim.Event{Part: sim.PartEdge, Environment: r.env, What: "connection refused", Detail: d})
}

// shown makes a client's name fit for screens and logs.
func shown(name string) string {
	if n := normal(name); hostPattern.MatchString(n) {
		return n
	}
	return strconv.QuoteToASCII(name[:min(len(name), 64)])
}

func (f *refusals) counts() map[Reason]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.total)
}

// close tells what has not been told and stops the timers.
func (f *refusals) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, t := range f.tallies {
		t.timer.Stop()
		if t.more > 0 {
			f.publish(context.Background(), t.last, t.more)
		}
	}
	clear(f.tallies)
}
