package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/dpesim/dpesim/scenarios/verb"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/clock/pace"
	"github.com/dpesim/dpesim/sim/event"
)

// FinallyTimeout is how long, in wall time, all clean-up of a run may take together.
const FinallyTimeout = 30 * time.Second

// DiagnoseTimeout is how long, in wall time, [Options].Diagnose may take.
const DiagnoseTimeout = 15 * time.Second

// Options say where and with what a scenario runs.
type Options struct {
	Dir   string               // the working directory; made if it is missing; left as it is at the end
	Verbs map[string]verb.Verb // the words of the shell, besides its own
	Env   map[string]string    // the environment; beyond it only what a program needs to start is inherited

	Prove  bool // look at each check of a step before its first "sh solve" too: one that is not red then proves nothing, and fails the step
	Keep   bool // leave everything as it is where a step fails, for a person to look at: no clean-up runs then
	NoExec bool // refuse words that are no Verb instead of looking for a program on PATH

	Clock  *clock.Clock // product time, for eventually and consistently; nil: the machine's
	Pace   *pace.Pace   // moves Clock for a scenario with a virtual clock; nil: one of its own
	Bus    *event.Bus   // whose events wake eventually and consistently; nil: they look once a second
	Wall   *clock.Clock // for what a run reports and for its own time limits; nil: the machine's
	Report Reporter     // nil: nobody

	// Update is given what each golden fence should hold, by what the check before it printed. nil: they are compared.
	Update func(f Fence, text string)

	// Conceal gives a text without the secrets in it. All that a run prints, says and finds out goes through it. nil: as it is.
	Conceal func(text string) string

	// Diagnose is asked for what is known of the first step that fails, or that runs when the time of the run is over, while
	// everything still is as that left it: before the clean-up. Its context lasts for [DiagnoseTimeout]. nil: nobody is asked.
	Diagnose func(ctx context.Context, failed StepFinished) Diagnosis
}

// filled gives o with what nil stands for.
func (o Options) filled() Options {
	if o.Clock == nil {
		o.Clock = clock.New()
	}
	if o.Pace == nil {
		o.Pace = pace.New(o.Clock)
	}
	if o.Wall == nil {
		o.Wall = clock.New()
	}
	if o.Report == nil {
		o.Report = nobody{}
	}
	if o.Conceal == nil {
		o.Conceal = func(text string) string { return text }
	}
	return o
}

// Run plays the scenario in one shell: variables, functions and the current directory last from fence to fence. The
// first step that goes another way than the file says ends the run with a *[StepError]; when ctx is done, Run returns
// ctx's error. In both cases, and at the ordinary end, background jobs are stopped and then the "sh finally" fences of
// the steps that were begun run, the last step's first, with [FinallyTimeout] of their own.
func Run(ctx context.Context, s *Scenario, o Options) error {
	o, err := atHome(o.filled())
	out := &output{conceal: o.Conceal}
	printed := &tee{to: out}
	var sh *shell
	if err == nil {
		sh, err = newShell(o, Streams{Out: printed, Err: out}, out.say)
	}
	if err != nil {
		return fmt.Errorf("starting the shell of %s: %w", s.File, err)
	}
	defer sh.close()

	r := &run{s: s, o: o, sh: sh, out: out, printed: printed}
	began := o.Wall.Now()
	o.Report.ScenarioStarted(ScenarioStarted{Scenario: s})
	stop := r.pace(ctx)
	err = r.steps(ctx)
	if _, failed := errors.AsType[*StepError](err); !failed || !o.Keep {
		err = r.cleanUp(ctx, err)
	}
	stop()
	o.Report.ScenarioFinished(ScenarioFinished{Scenario: s, Steps: r.ok, Elapsed: o.Wall.Now().Sub(began), Err: err, Conceal: o.Conceal})
	return err
}

// run is one playing of a scenario.
type run struct {
	s       *Scenario
	o       Options
	sh      *shell
	out     *output // of the step that runs
	printed *tee    // of it on stdout
	begun   int     // steps
	ok      int     // steps

	diagnosed bool
}

// pace lets time pass at once where nothing happens, until stop is called, if the scenario's clock is virtual.
func (r *run) pace(ctx context.Context) (stop func()) {
	if !r.s.Virtual {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var pacing sync.WaitGroup
	pacing.Go(func() { r.o.Pace.Run(ctx) })
	return func() { cancel(); pacing.Wait() }
}

// steps plays the steps up to the first that fails, then ends the background jobs that they left.
func (r *run) steps(ctx context.Context) error {
	jobs, stop := context.WithCancel(ctx)
	defer r.sh.wait(context.WithoutCancel(ctx))
	defer stop()
	for i := range r.s.Steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.begun++
		if err := r.step(jobs, i, false); err != nil {
			return err
		}
		r.ok++
	}
	return nil
}

// cleanUp runs the finally fences of the begun steps, last step first, each whatever became of the others. It gives
// the error of the run, or if there is none the first of its own.
func (r *run) cleanUp(ctx context.Context, failed error) error {
	ctx, cancel := r.o.Wall.WithTimeout(context.WithoutCancel(ctx), FinallyTimeout)
	defer cancel()
	defer r.sh.wait(context.WithoutCancel(ctx))
	defer cancel()
	for i := r.begun - 1; i >= 0; i-- {
		if !has(r.s.Steps[i], FinallyFence) {
			continue
		}
		if err := r.step(ctx, i, true); err != nil && failed == nil {
			failed = err
		}
	}
	return failed
}

func has(s Step, k Kind) bool {
	for _, f := range s.Fences {
		if f.Kind == k {
			return true
		}
	}
	return false
}

// step plays one step, or its clean-up, and reports it.
func (r *run) step(ctx context.Context, i int, finally bool) error {
	s := r.s.Steps[i]
	r.o.Report.StepStarted(StepStarted{File: r.s.File, Index: i, Name: s.Name, Line: s.Line, Finally: finally})
	began, before := r.o.Wall.Now(), r.o.Bus.Last()
	line, err := r.fences(ctx, s, finally)
	if err != nil && (ctx.Err() == nil || finally) {
		if ctx.Err() != nil {
			err = fmt.Errorf("the clean-up took longer than %s: %w", FinallyTimeout, err)
		}
		err = &StepError{Step: s.Name, File: r.s.File, Line: line, Err: err}
	}
	output, said := r.out.take()
	e := StepFinished{
		File: r.s.File, Index: i, Name: s.Name, Line: s.Line, Finally: finally,
		Elapsed: r.o.Wall.Now().Sub(began), Err: err, Said: said, Output: output, Events: r.o.Bus.Since(before),
	}
	if err != nil {
		e.Hint = s.Hint()
		e.Diagnosis = r.diagnose(ctx, e)
	}
	r.o.Report.StepFinished(e)
	return err
}

// diagnose asks what is known of a step that failed, unless it did because somebody ended the run.
func (r *run) diagnose(ctx context.Context, failed StepFinished) (d Diagnosis) {
	ended := ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded)
	if r.o.Diagnose == nil || r.diagnosed || ended {
		return d
	}
	r.diagnosed = true
	defer r.o.Pace.Hold()() // what is looked at shall not go on
	ctx, cancel := r.o.Wall.WithTimeout(context.WithoutCancel(ctx), DiagnoseTimeout)
	defer cancel()
	d = r.o.Diagnose(ctx, failed)
	for i := range d.Clues {
		d.Clues[i].Text = r.o.Conceal(d.Clues[i].Text)
	}
	return d
}

// fences writes the step's files and runs its guards, then its commands, or for the clean-up its finally fences. It gives
// the line that an error belongs to.
func (r *run) fences(ctx context.Context, s Step, finally bool) (line int, err error) {
	if finally {
		return r.kinds(ctx, s, FinallyFence)
	}
	for _, f := range s.Fences {
		if f.Kind == FileFence {
			if err := writeFile(r.o.Dir, f); err != nil {
				return f.Line, err
			}
		}
	}
	if line, err := r.kinds(ctx, s, GuardFence); err != nil {
		return line, &GuardError{err}
	}
	return r.kinds(ctx, s, RunFence, SolveFence, CheckFence)
}

// kinds runs the step's fences of some kinds in the order of the file.
func (r *run) kinds(ctx context.Context, s Step, kinds ...Kind) (line int, err error) {
	proven := !r.o.Prove
	for i, f := range s.Fences {
		if !slices.Contains(kinds, f.Kind) {
			continue
		}
		if f.Kind == SolveFence && !proven {
			proven = true
			if line, err := r.red(ctx, s); err != nil {
				return line, err
			}
		}
		r.printed.begin()
		line, err := r.sh.run(ctx, f.stmts)
		printed := r.printed.end()
		if err != nil {
			return line, err
		}
		if golden, ok := goldenAfter(s.Fences, i); ok {
			if err := r.golden(golden, printed); err != nil {
				return golden.Line, err
			}
		}
	}
	return 0, nil
}

// red makes sure that no check of the step is so before it is solved.
func (r *run) red(ctx context.Context, s Step) (line int, err error) {
	for i, f := range s.Fences {
		if f.Kind != CheckFence {
			continue
		}
		var printed buffer
		so, err := r.sh.so(ctx, f.stmts, &printed)
		if err != nil {
			return f.Line, err
		}
		if golden, ok := goldenAfter(s.Fences, i); ok && so {
			text, err := golden.differs(r.o.Conceal(printed.String()))
			so = err == nil && text == ""
		}
		if so {
			return f.Line, errGreen
		}
	}
	return 0, nil
}

var errGreen = errors.New("this check is green before the step is solved: it proves nothing")

// writeFile writes a file fence below dir. A link inside dir cannot lead it out.
func writeFile(dir string, f Fence) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("opening the scenario's working directory: %w", err)
	}
	name := filepath.FromSlash(f.Name)
	if at := path.Dir(f.Name); at != "." {
		err = root.MkdirAll(filepath.FromSlash(at), 0o755)
	}
	if err == nil {
		err = root.WriteFile(name, []byte(f.Text), 0o644)
	}
	if err = errors.Join(err, root.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", f.Name, err)
	}
	return nil
}
