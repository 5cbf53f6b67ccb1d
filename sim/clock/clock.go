// Package clock is the product's time: what JWTs, certificates, leases, tokens, back-off and stamps go by.
//
// A [Clock] follows the machine's time until it is told otherwise: it can be frozen, set, advanced and scaled. It is the
// one package that reads the machine's clock for the product; everybody else is handed a *Clock.
//
// It has two scales, as an operating system has two for a laptop that sleeps. [Clock.Now] is the calendar: what expires
// on a day goes by it. [Clock.Uptime] is the time that was lived through: whether somebody still beats goes by it. They
// part where the clock is set back, follows the machine again, or leaps.
package clock

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// Mode says how product time relates to the machine's time.
type Mode string

// The modes.
const (
	Real   Mode = "real"   // the same
	Offset Mode = "offset" // as fast, but shifted
	Scaled Mode = "scaled" // faster or slower
	Frozen Mode = "frozen" // stands still; moves by Set and Advance only
)

// State is what a person is told of a clock.
type State struct {
	Mode   Mode          `json:"mode"`
	Now    time.Time     `json:"now"`
	Offset time.Duration `json:"offset"` // product time minus the machine's
	Rate   float64       `json:"rate"`   // product seconds per second: 0 frozen, 1 real and offset
}

// Clock is a clock that can be moved. It is safe for concurrent use. Make one with [New].
type Clock struct {
	mu      sync.Mutex
	anchor  time.Time // machine time at which base was product time
	base    time.Time
	rate    float64
	real    bool          // never moved: base is ignored
	born    time.Time     // product time at which it was made
	leapt   time.Duration // product time that was not lived through
	timers  queue
	nextSeq uint64
	wake    *time.Timer // machine timer for the first of timers; nil if none is needed
	moving  bool        // Advance runs what is due: the machine's timer keeps out
	turn    sync.Mutex  // held by the one who moves time, so that moves do not interleave
}

// New gives a clock that follows the machine's time.
func New() *Clock { return &Clock{real: true, rate: 1, born: time.Now().UTC().Round(0)} }

// NewFrozen gives a clock that stands at t.
func NewFrozen(t time.Time) *Clock {
	t = t.UTC().Round(0)
	return &Clock{anchor: time.Now(), base: t, born: t}
}

// Now gives product time, in UTC, without a monotonic part.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nowLocked()
}

func (c *Clock) nowLocked() time.Time { return c.at(time.Now()) }

// Uptime gives how much product time the clock has lived through since it was made, whatever it was set to meanwhile.
func (c *Clock) Uptime() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nowLocked().Sub(c.born) - c.leapt
}

// at gives product time when the machine's is m.
func (c *Clock) at(m time.Time) time.Time {
	if c.real {
		return m.UTC().Round(0)
	}
	return c.base.Add(time.Duration(float64(m.Sub(c.anchor)) * c.rate))
}

// State describes the clock.
func (c *Clock) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := time.Now()
	s := State{Mode: Offset, Now: c.at(m), Rate: c.rate}
	switch {
	case c.real:
		s.Mode = Real
	case c.rate == 0:
		s.Mode = Frozen
	case c.rate != 1:
		s.Mode = Scaled
	}
	if !c.real {
		s.Offset = s.Now.Sub(m.UTC().Round(0)).Round(time.Millisecond)
	}
	return s
}

// Freeze stops the clock where it is.
func (c *Clock) Freeze() { c.setRate(0) }

// Scale lets the clock run at rate product seconds per second from where it is. A rate of 0 freezes it; a negative
// rate is taken as 0.
func (c *Clock) Scale(rate float64) { c.setRate(max(rate, 0)) }

func (c *Clock) setRate(rate float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := time.Now()
	c.base, c.anchor, c.rate, c.real = c.at(m), m, rate, false
	c.armLocked()
}

// FollowReal lets the clock follow the machine's time again. Beats keep how long they have to wait; other timers that
// fall due by the jump run as usual.
func (c *Clock) FollowReal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := time.Now()
	c.leapLocked(m, m)
	c.real, c.rate = true, 1
	c.armLocked()
}

// Set moves the clock to t and keeps its rate. Forward, it is an [Clock.Advance]; backward, beats keep how long they
// have to wait, and other timers keep the product time at which they are due.
func (c *Clock) Set(ctx context.Context, t time.Time) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	m := time.Now()
	if t.After(c.at(m)) {
		return c.moveLocked(ctx, t, m)
	}
	c.leapLocked(t, m)
	c.armLocked()
	return nil
}

// Leap moves the clock forward by d, but not beyond the first timer that is no beat, and gives by how much it did. Nothing
// runs by it, and the time is not lived through: beats keep how long they have to wait, as if they had gone on beating
// meanwhile.
func (c *Clock) Leap(d time.Duration) time.Duration {
	c.turn.Lock()
	defer c.turn.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	m := time.Now()
	now := c.at(m)
	for _, t := range c.timers {
		if !t.beat {
			d = min(d, t.due.Sub(now))
		}
	}
	d = max(d, 0)
	c.leapLocked(now.Add(d), m)
	c.armLocked()
	return d
}

// Next gives how long it is in product time until the first timer is due, and false if there is none.
func (c *Clock) Next() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.timers) == 0 {
		return 0, false
	}
	return max(c.timers[0].due.Sub(c.nowLocked()), 0), true
}

// Advance moves the clock forward by d and returns when every function that fell due has returned. They run one at a
// time, in the order in which they are due, each seeing its own due time. It stops between two of them, with ctx's
// error, when ctx is done. A timer's function must neither call Advance nor Set. A d below 0 is taken as 0.
func (c *Clock) Advance(ctx context.Context, d time.Duration) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	m := time.Now()
	return c.moveLocked(ctx, c.at(m).Add(max(d, 0)), m)
}

// moveLocked makes the clock what it is if it jumped to target when the machine's time was m, earlier in this call: how long
// the functions take that fall due is not taken from what was asked for. It needs turn as well, and gives mu up while a function runs.
func (c *Clock) moveLocked(ctx context.Context, target, m time.Time) error {
	c.moving = true
	defer func() {
		c.moving = false
		c.armLocked()
	}()
	for len(c.timers) > 0 && !c.timers[0].due.After(target) {
		if err := ctx.Err(); err != nil {
			return err
		}
		t := heap.Pop(&c.timers).(*Timer)
		if t.due.After(c.nowLocked()) {
			c.jumpLocked(t.due, time.Now())
		}
		c.run(t)
	}
	if target.After(c.at(m)) {
		c.jumpLocked(target, m)
	}
	return nil
}

// run calls t's function without mu.
func (c *Clock) run(t *Timer) {
	c.mu.Unlock()
	defer c.mu.Lock()
	t.f()
}

// jumpLocked makes product time t when the machine's is m.
func (c *Clock) jumpLocked(t, m time.Time) {
	c.base, c.anchor, c.real = t.UTC().Round(0), m, false
}

// leapLocked makes product time t when the machine's is m, without living through what is between, and takes the beats
// along.
func (c *Clock) leapLocked(t, m time.Time) {
	d := t.Sub(c.at(m))
	c.leapt += d
	for _, x := range c.timers {
		if x.beat {
			x.due = x.due.Add(d)
		}
	}
	heap.Init(&c.timers)
	c.jumpLocked(t, m)
}

// Beat is how short a timer is, when it is set, to be a beat: a heartbeat, a probe, a lease, a pause before another try. What
// is set for as long or longer belongs to the calendar.
const Beat = 10 * time.Minute

// Timer is a function that waits for its time.
type Timer struct {
	c     *Clock
	due   time.Time
	beat  bool
	seq   uint64 // orders timers of one due time
	f     func()
	index int // in the queue; -1: not waiting
}

// AfterFunc runs f once d of product time has passed: in its own goroutine when time flows, in the goroutine of
// [Clock.Advance] when time is moved. A d of 0 or less is due at once, on a frozen clock too. f should be short.
func (c *Clock) AfterFunc(d time.Duration, f func()) *Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nextSeq++
	t := &Timer{c: c, due: c.nowLocked().Add(d), beat: d < Beat, seq: c.nextSeq, f: f}
	heap.Push(&c.timers, t)
	c.armLocked()
	return t
}

// Stop keeps the function from running and tells whether it was still waiting.
func (t *Timer) Stop() bool {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	if t.index < 0 {
		return false
	}
	heap.Remove(&t.c.timers, t.index)
	t.c.armLocked()
	return true
}

// After gives a channel that is closed once d of product time has passed, and a function that gives it up.
func (c *Clock) After(d time.Duration) (<-chan struct{}, func() bool) {
	ch := make(chan struct{})
	t := c.AfterFunc(d, func() { close(ch) })
	return ch, t.Stop
}

// Sleep waits for d of product time. It returns ctx's error if ctx ends first.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	ch, stop := c.After(d)
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		stop()
		return ctx.Err()
	}
}

// WithTimeout gives a context that ends with [context.DeadlineExceeded] as its cause once d of product time has passed.
func (c *Clock) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	t := c.AfterFunc(d, func() { cancel(context.DeadlineExceeded) })
	return ctx, func() {
		t.Stop()
		cancel(context.Canceled)
	}
}

// armLocked sets the machine's timer for the first function that is due.
func (c *Clock) armLocked() {
	if c.wake != nil {
		c.wake.Stop()
		c.wake = nil
	}
	if len(c.timers) == 0 || c.moving {
		return
	}
	d := c.timers[0].due.Sub(c.nowLocked())
	if d > 0 {
		if c.rate == 0 {
			return
		}
		// An hour at most, then anew: a slow clock's wait may be longer than a Duration holds.
		d = time.Duration(min(float64(d)/c.rate, float64(time.Hour)))
	}
	c.wake = time.AfterFunc(max(d, 0), c.fire)
}

// fire starts what is due by the flow of time.
func (c *Clock) fire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.moving {
		return
	}
	now := c.nowLocked()
	for len(c.timers) > 0 && !c.timers[0].due.After(now) {
		go heap.Pop(&c.timers).(*Timer).f()
	}
	c.armLocked()
}

// queue is a heap of timers by due time, then by age.
type queue []*Timer

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if !q[i].due.Equal(q[j].due) {
		return q[i].due.Before(q[j].due)
	}
	return q[i].seq < q[j].seq
}

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *queue) Push(x any) {
	t := x.(*Timer)
	t.index = len(*q)
	*q = append(*q, t)
}

func (q *queue) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	t.index = -1
	return t
}
