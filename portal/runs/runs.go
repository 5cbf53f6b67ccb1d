package runs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
)

// Runner runs commands as the operator of the simulator's own cluster does. It is safe for concurrent use.
type Runner interface {
	// Run runs the commands of w one after the other until one fails, and gives the exit code of the last that ran. An
	// error means that one could not run, or that ctx ended it. Nothing of w is left on the machine when Run returns.
	Run(ctx context.Context, w Work) (code int, err error)
}

// Work is what a [Runner] does.
type Work struct {
	Cause    uint64                // Seq of the event that the cluster's events follow from; 0: none
	Files    map[string]sim.Secret // that the commands find in their folder, which is theirs alone
	Commands []string              // POSIX shell, as the portal prints them
	Begin    func(i int)           // is told which command comes next
	Output   io.Writer             // of all that is printed, as it comes; safe for concurrent use
}

// MostTime bounds a run in the machine's time: the longest task waits twice for five minutes.
const MostTime = 15 * time.Minute

// How many runs that have ended are remembered: of one DPE, and of all.
const (
	OfOne = 5
	ofAll = 50
)

// Runs is what is run, and what was, in this run of the simulator. It is safe for concurrent use. Its goroutines end with
// [Runs.Close].
type Runs struct {
	runner Runner
	clock  *clock.Clock // product time
	wall   *clock.Clock // the machine's

	mu     sync.Mutex
	work   sync.WaitGroup
	closed bool
	last   int // number of the last run
	all    []*Run
}

// New gives runs by r, which may be nil: then nothing can be run.
func New(r Runner, c *clock.Clock) *Runs { return &Runs{runner: r, clock: c, wall: clock.New()} }

// Order is what is to be run.
type Order struct {
	DPE     int64        // whose run it is: one at a time
	Is      api.Run      // what is known of it: whose, which task, by whom
	Work    Work         // without Cause, Begin and Output
	Secrets []sim.Secret // that are concealed in the output

	// Begun is called before the first command, outside of all locks. It gives what the cluster's events follow from. An
	// error of it is what Start gives, and nothing runs.
	Begun func(api.Run) (cause uint64, err error)
	// Ended is called once when a run that had begun has ended.
	Ended func(r api.Run, cause uint64, err error)
}

// Run is a run of the commands of one DPE.
type Run struct {
	runs  *Runs
	dpe   int64
	term  *terminal
	end   context.CancelCauseFunc
	began time.Time // by the machine's clock
	is    api.Run   // without output; guarded by runs.mu
}

// errStopping is why runs end when the simulator does.
var errStopping = errors.New("the simulator stopped")

// Start starts a run that ctx does not end. It returns Conflict while another of the same DPE runs, and Unavailable if
// nothing can be run.
func (x *Runs) Start(ctx context.Context, o Order) (*Run, error) {
	if x.runner == nil {
		return nil, sim.Errorf(sim.Unavailable, "this simulator cannot run commands by itself").
			WithHelp("copy them, and run them in a terminal: 'dpesim dpe commands %s %s' prints them", o.Is.Environment, o.Is.DPE)
	}
	ctx, end := context.WithCancelCause(context.WithoutCancel(ctx))
	r := &Run{runs: x, dpe: o.DPE, term: newTerminal(o.Secrets...), end: end, began: x.wall.Now(), is: o.Is}
	r.is.State, r.is.Started = api.RunRunning, x.clock.Now()
	if err := x.add(r); err != nil {
		return nil, err
	}
	cause, err := o.Begun(r.View())
	if err != nil {
		x.drop(r)
		x.work.Done()
		return nil, err
	}
	go func() {
		defer x.work.Done()
		defer r.term.close()
		err := r.work(ctx, o.Work, cause)
		o.Ended(r.View(), cause, err)
	}()
	return r, nil
}

// Can tells whether anything can be run.
func (x *Runs) Can() bool { return x.runner != nil }

// add takes up r, for which [Runs.Close] waits from then on.
func (x *Runs) add(r *Run) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return sim.Errorf(sim.Unavailable, "the simulator stops").WithHelp("start it again, then run the commands")
	}
	for _, o := range x.all {
		if o.dpe == r.dpe && o.is.State == api.RunRunning {
			return sim.Errorf(sim.Conflict, "%s started the task %s of DPE %s at %s, and it still runs", o.is.By, o.is.Task, o.is.DPE, o.is.Started.UTC().Format(time.RFC3339)).
				WithHelp("wait until it has ended, or cancel it: 'dpesim dpe run-commands %s %s --cancel'", o.is.Environment, o.is.DPE)
		}
	}
	x.last++
	r.is.ID = "run-" + strconv.Itoa(x.last)
	x.all = append(x.all, r)
	x.forgetLocked(OfOne, func(o *Run) bool { return o.dpe == r.dpe })
	x.forgetLocked(ofAll, func(*Run) bool { return true })
	x.work.Add(1)
	return nil
}

// forgetLocked forgets the oldest of those that have ended, but for so many.
func (x *Runs) forgetLocked(keep int, of func(*Run) bool) {
	for i, r := range slices.Backward(x.all) {
		if of(r) && r.is.State != api.RunRunning {
			if keep--; keep < 0 {
				x.all = slices.Delete(x.all, i, i+1)
			}
		}
	}
}

// drop forgets a run that did not begin.
func (x *Runs) drop(r *Run) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all = slices.DeleteFunc(x.all, func(o *Run) bool { return o == r })
}

// Of lists the runs of a DPE, newest first.
func (x *Runs) Of(dpe int64) []*Run {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []*Run
	for _, r := range slices.Backward(x.all) {
		if r.dpe == dpe {
			out = append(out, r)
		}
	}
	return out
}

// Close has all runs end and waits for them; none is started any more. It is idempotent.
func (x *Runs) Close() {
	x.mu.Lock()
	x.closed = true
	for _, r := range x.all {
		r.end(errStopping)
	}
	x.mu.Unlock()
	x.work.Wait()
}

// work runs w and notes how that went. It gives an error that is nobody's wish.
func (r *Run) work(ctx context.Context, w Work, cause uint64) error {
	limited, cancel := r.runs.wall.WithTimeout(ctx, MostTime)
	defer cancel()
	w.Cause, w.Output = cause, r.term
	w.Begin = func(i int) {
		r.set(func(x *api.Run) { x.Command = w.Commands[i] })
		r.term.say("$ " + w.Commands[i])
	}
	code, err := r.runs.runner.Run(limited, w)
	r.set(func(x *api.Run) {
		x.State = api.RunFailed
		switch {
		case err == nil && code == 0:
			x.State, x.ExitCode = api.RunSucceeded, new(code)
		case context.Cause(ctx) != nil:
			x.State, x.Reason, err = api.RunCancelled, context.Cause(ctx).Error(), nil
		case limited.Err() != nil:
			x.Reason, err = fmt.Sprintf("it took longer than %s", MostTime), nil
		case err != nil:
			x.Reason, _ = sim.Explain(err)
		default:
			x.ExitCode = new(code)
		}
		x.Ended, x.ElapsedMS = new(r.runs.clock.Now()), r.elapsed()
	})
	return err
}

func (r *Run) elapsed() int64 { return r.runs.wall.Now().Sub(r.began).Milliseconds() }

func (r *Run) set(change func(*api.Run)) {
	r.runs.mu.Lock()
	defer r.runs.mu.Unlock()
	change(&r.is)
}

// Cancel has r end soon, because of why: its commands are interrupted. One that has ended stays as it is.
func (r *Run) Cancel(why error) { r.end(why) }

// View gives r as it is, without output.
func (r *Run) View() api.Run {
	out, _ := r.look()
	return out
}

// Whole gives r as it is, with its output.
func (r *Run) Whole() api.Run {
	out, lines := r.look()
	var text []byte
	for _, l := range lines {
		text = append(append(text, l.Text...), '\n')
	}
	out.Output = string(text)
	return out
}

func (r *Run) look() (api.Run, []api.OutputLine) {
	lines, missed, _, _ := r.term.after(0)
	r.runs.mu.Lock()
	defer r.runs.mu.Unlock()
	out := r.is
	if out.State == api.RunRunning {
		out.ElapsedMS = r.elapsed()
	}
	out.Cut, out.Line = missed, missed+int64(len(lines))
	return out, lines
}

// Lines gives the lines after a number, how many of those are no longer kept, whether r has ended with them, and what is
// closed when there is more.
func (r *Run) Lines(after int64) (lines []api.OutputLine, missed int64, ended bool, moved <-chan struct{}) {
	return r.term.after(after)
}
