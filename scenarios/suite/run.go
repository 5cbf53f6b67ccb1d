package suite

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/sim/clock"
)

// Player plays one case and tells report how it goes. It returns what [engine.Run] returned, or why the case could not be
// played at all. It is called in several goroutines at once if Options.Parallel says so.
type Player func(ctx context.Context, c Case, report engine.Reporter) error

// Options say how a list of cases is played.
type Options struct {
	Parallel int           // how many at a time; less than 1: one
	FailFast bool          // begin no other after one has failed
	Timeout  time.Duration // of each case, in the machine's time; 0: none
	Wall     *clock.Clock  // for Timeout; nil: the machine's
	Reports  []Report
	Live     []Report // are told as it goes, also where several cases are played at a time, by several goroutines then
}

// Report gives who is told how a case goes. It and what it gives are used by one goroutine at a time. Cases that are played
// at the same time are told one after the other, each when it has ended; with one at a time it is told as it goes.
type Report func(c Case) engine.Reporter

// Result is how one case ended.
type Result struct {
	Case Case
	Err  error // nil: as the scenario says
}

// TimeoutError is a case that was ended because it took longer than [Options].Timeout.
type TimeoutError struct{ After time.Duration }

// Error says so.
func (e *TimeoutError) Error() string { return "not done after " + e.After.String() + ": it was ended" }

// Run plays cases and gives how those that were begun ended, in the order of cases. It ends early with ctx, whose error it
// returns, and after a failure if Options.FailFast says so.
func Run(ctx context.Context, cases []Case, play Player, o Options) ([]Result, error) {
	if o.Wall == nil {
		o.Wall = clock.New()
	}
	r := &runner{o: o, play: play, results: make([]*Result, len(cases))}
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(max(o.Parallel, 1), len(cases)) {
		wg.Go(func() {
			for i := range next {
				if ctx.Err() == nil && !r.enough() {
					r.one(ctx, i, cases[i])
				}
			}
		})
	}
	for i := range cases {
		next <- i
	}
	close(next)
	wg.Wait()
	var out []Result
	for _, x := range r.results {
		if x != nil {
			out = append(out, *x)
		}
	}
	return out, ctx.Err()
}

type runner struct {
	o    Options
	play Player

	mu      sync.Mutex // guards what follows, and the reports
	results []*Result
	failed  bool
}

// enough tells whether no other case is to be begun.
func (r *runner) enough() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.o.FailFast && r.failed
}

func (r *runner) one(ctx context.Context, i int, c Case) {
	tell := &teller{live: reporters(r.o.Live, c)}
	live := r.o.Parallel <= 1
	if live {
		tell.to = reporters(r.o.Reports, c)
	}
	err := r.bounded(ctx, c, tell)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !live {
		for _, to := range reporters(r.o.Reports, c) {
			for _, call := range tell.kept {
				call(to)
			}
		}
	}
	r.results[i] = &Result{c, err}
	r.failed = r.failed || err != nil
}

func reporters(reports []Report, c Case) []engine.Reporter {
	var out []engine.Reporter
	for _, of := range reports {
		out = append(out, of(c))
	}
	return out
}

// bounded plays a case within its time. What it tells begins and ends also where the case could not be played at all.
func (r *runner) bounded(ctx context.Context, c Case, tell *teller) error {
	short := ctx
	if r.o.Timeout > 0 {
		var cancel context.CancelFunc
		short, cancel = r.o.Wall.WithTimeout(ctx, r.o.Timeout)
		defer cancel()
	}
	tell.judge = func(err error) error {
		if err != nil && short.Err() != nil && ctx.Err() == nil {
			return &TimeoutError{r.o.Timeout}
		}
		return err
	}
	began := r.o.Wall.Now()
	err := tell.judge(r.play(short, c, tell))
	if !tell.started {
		tell.ScenarioStarted(engine.ScenarioStarted{Scenario: c.Scenario})
	}
	if !tell.finished {
		tell.ScenarioFinished(engine.ScenarioFinished{Scenario: c.Scenario, Elapsed: r.o.Wall.Now().Sub(began), Err: err})
	}
	return err
}

// teller tells several reporters, or keeps what it is told for later if there are none yet.
type teller struct {
	to, live          []engine.Reporter
	kept              []func(engine.Reporter)
	judge             func(error) error // what a scenario's error really is
	started, finished bool
}

var _ engine.Reporter = (*teller)(nil)

func (t *teller) tell(call func(engine.Reporter)) {
	if t.to == nil {
		t.kept = append(t.kept, call)
	}
	for _, r := range slices.Concat(t.live, t.to) {
		call(r)
	}
}

// ScenarioStarted tells it on.
func (t *teller) ScenarioStarted(e engine.ScenarioStarted) {
	t.started = true
	t.tell(func(r engine.Reporter) { r.ScenarioStarted(e) })
}

// StepStarted tells it on.
func (t *teller) StepStarted(e engine.StepStarted) {
	t.tell(func(r engine.Reporter) { r.StepStarted(e) })
}

// StepFinished tells it on.
func (t *teller) StepFinished(e engine.StepFinished) {
	e.Err = t.judge(e.Err)
	t.tell(func(r engine.Reporter) { r.StepFinished(e) })
}

// ScenarioFinished tells it on.
func (t *teller) ScenarioFinished(e engine.ScenarioFinished) {
	t.finished = true
	e.Err = t.judge(e.Err)
	t.tell(func(r engine.Reporter) { r.ScenarioFinished(e) })
}
