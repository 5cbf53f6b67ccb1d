// Package pace moves a simulator's clock so that nobody is left behind: what falls due at an instant is done, and what that
// sets off has come to rest, before the next instant comes.
package pace

import (
	"context"
	"sync"
	"time"

	"github.com/dpesim/dpesim/sim/clock"
)

const (
	// played is how much product time is gone through instant by instant at the beginning of a long move, at its end, and
	// after each date on the way: long enough for leases to run out (40 s for a node) and for pauses before another try (30 s).
	played = time.Minute
	// together is how far apart in product time two timers may be due that count as one instant.
	together = 20 * time.Millisecond
	// patience is how much machine time an instant may take to come to rest. Then time goes on, as it does in a cluster that
	// is busy.
	patience = 100 * time.Millisecond
	// restless is how often in machine time somebody looks whether the process has come to rest.
	restless = time.Millisecond
	// crawl is how many product seconds may pass in a machine's second while programs run, whose own time cannot be moved.
	crawl = 20
)

// Pace moves a clock. It is safe for concurrent use. Make one with [New].
type Pace struct {
	clock *clock.Clock
	sense func() sense // of who waits for the process to come to rest

	mu       sync.Mutex
	held     int // by those who want time not to jump
	programs int // that run
}

// New gives a pace of c.
func New(c *clock.Clock) *Pace { return &Pace{clock: c, sense: func() sense { return &rest{} }} }

// Advance moves the clock forward by d and returns when that has settled. In a move of up to two minutes every timer runs. In
// a longer one, a minute is gone through at its beginning, at its end, and after each timer of the calendar; between, the
// clock leaps, and what beats is taken along, see [clock.Clock.Leap]: ninety days of heartbeats are as good as none. It
// ends between two instants, with ctx's error, when ctx is done.
func (p *Pace) Advance(ctx context.Context, d time.Duration) error {
	for left := d; left > 0; {
		step := min(left, played)
		if err := p.play(ctx, step); err != nil {
			return err
		}
		if left -= step; left > played {
			left -= p.clock.Leap(left - played)
		}
	}
	return nil
}

// Set moves the clock to t: forward as by [Pace.Advance], backward at once.
func (p *Pace) Set(ctx context.Context, t time.Time) error {
	if d := t.Sub(p.clock.Now()); d > 0 {
		return p.Advance(ctx, d)
	}
	return p.clock.Set(ctx, t)
}

// play goes through d of product time instant by instant.
func (p *Pace) play(ctx context.Context, d time.Duration) error {
	sense := p.sense()
	for {
		step := d
		if next, ok := p.clock.Next(); ok {
			step = min(next+together, d)
		}
		if err := p.clock.Advance(ctx, step); err != nil {
			return err
		}
		for left := patience; left > 0 && ctx.Err() == nil && !sense.rested(); left -= restless {
			sense.pause(restless)
		}
		if d -= step; d == 0 || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// Run lets product time pass at once where nothing happens: whenever the process has come to rest, the clock goes to the next
// timer. It does so until ctx ends. While something happens, time passes as ever. It is for a scenario: while people wait
// for nothing, years would go by.
func (p *Pace) Run(ctx context.Context) {
	sense := p.sense()
	var owed time.Duration // machine time to wait for programs
	for ctx.Err() == nil {
		sense.pause(restless)
		owed = max(owed-restless, 0)
		if !sense.rested() {
			continue
		}
		p.mu.Lock()
		held, programs := p.held > 0, p.programs > 0
		p.mu.Unlock()
		next, ok := p.clock.Next()
		if held || !ok || programs && owed > 0 {
			continue
		}
		if programs {
			owed = next / crawl
		}
		_ = p.clock.Advance(ctx, next) // fails with ctx only
	}
}

// Hold keeps [Pace.Run] from moving the clock until release is called.
func (p *Pace) Hold() (release func()) { return p.count(&p.held) }

// Program tells [Pace.Run] that a program runs, until release is called: it cannot be seen whether that has come to rest,
// and its time cannot be moved, so product time goes no faster than twenty times its own.
func (p *Pace) Program() (release func()) { return p.count(&p.programs) }

func (p *Pace) count(n *int) (release func()) {
	add := func(by int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		*n += by
	}
	add(1)
	return sync.OnceFunc(func() { add(-1) })
}
