package pace

import (
	"runtime/metrics"
	"time"
)

// sense is how a pace feels whether something happens.
type sense interface {
	rested() bool // nothing has happened since it was asked last
	pause(d time.Duration)
}

// rest tells whether the process has come to rest: no goroutine runs but the one that asks, none is about to, and none has
// since it was asked last. The zero value is ready. It is for one goroutine.
//
// It is a judgement, not a proof: what the kernel holds at that moment, a packet on its way through the loopback interface,
// is not seen. So the process must be at rest twice, a millisecond apart.
type rest struct {
	samples []metrics.Sample
	objects uint64 // allocated so far
	created uint64 // goroutines so far
	calls   uint64 // goroutines in system calls that are taken to last: that of the signals, one for each program that runs
	raised  int    // how often in a row there were more
}

// The metrics, in the order of samples.
const (
	runnable = iota
	running
	calling
	created
	allocated
)

// lasting is after how many looks in a row a system call is taken for one that lasts.
const lasting = 30

// rested takes a look.
func (r *rest) rested() bool {
	if r.samples == nil {
		r.samples = []metrics.Sample{
			runnable: {Name: "/sched/goroutines/runnable:goroutines"}, running: {Name: "/sched/goroutines/running:goroutines"},
			calling: {Name: "/sched/goroutines/not-in-go:goroutines"}, created: {Name: "/sched/goroutines-created:goroutines"},
			allocated: {Name: "/gc/heap/allocs:objects"},
		}
	}
	metrics.Read(r.samples)
	get := func(i int) uint64 { return r.samples[i].Value.Uint64() }
	still := get(allocated) == r.objects && get(created) == r.created
	r.objects, r.created = get(allocated), get(created)
	if calls := get(calling); calls <= r.calls {
		r.calls, r.raised = calls, 0
	} else if r.raised++; r.raised >= lasting {
		r.calls, r.raised = calls, 0
	}
	return still && get(runnable) == 0 && get(running) <= 1 && r.raised == 0
}

// pause lets the machine's time pass, without a trace of its own: what [clock.Clock.Sleep] does would look like work.
func (r *rest) pause(d time.Duration) { time.Sleep(d) }
