package portal_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/dpesim/dpesim/portal/runs"
	"github.com/dpesim/dpesim/sim"
)

// runner does what the test says instead of running commands, and keeps what it was asked for. Unless it is told
// otherwise every command prints a line and succeeds.
type runner struct {
	mu    sync.Mutex
	do    func(ctx context.Context, w runs.Work) (int, error)
	asked []runs.Work
}

func (r *runner) Run(ctx context.Context, w runs.Work) (int, error) {
	r.mu.Lock()
	do := r.do
	r.asked = append(r.asked, w)
	r.mu.Unlock()
	if do != nil {
		return do(ctx, w)
	}
	for i := range w.Commands {
		w.Begin(i)
		fmt.Fprintf(w.Output, "command %d ran\n", i+1)
	}
	return 0, nil
}

// does says what happens from now on.
func (r *runner) does(f func(ctx context.Context, w runs.Work) (int, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.do = f
}

// works gives what was asked for.
func (r *runner) works() []runs.Work {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]runs.Work(nil), r.asked...)
}

// words checks an error's kind, and what a person reads.
func words(t *testing.T, err error, kind sim.Kind, msg, help string) {
	t.Helper()
	m, h := sim.Explain(err)
	if err == nil || sim.KindOf(err) != kind || m != msg || h != help {
		t.Errorf("%v: %q, help %q; want %q, help %q", sim.KindOf(err), m, h, msg, help)
	}
}
