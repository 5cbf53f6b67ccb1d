package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/dpesim/dpesim/scenarios"
	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/scenarios/suite"
	"github.com/dpesim/dpesim/scenarios/verb"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/compare"
	"github.com/dpesim/dpesim/sim/diagnosis"
	"github.com/dpesim/dpesim/sim/durable"
	"github.com/dpesim/dpesim/sim/rehearse"
	"github.com/dpesim/dpesim/sim/stack"
)

// scenarioRun is what `scenario run` and `scenario test` are told.
type scenarioRun struct {
	stack   stackFlags
	all     bool
	plan    suite.Plan
	shard   string
	shuffle string
	options suite.Options
	junit   string
	html    string
	update  bool
	bundle  string
	noExec  bool
	keep    bool
	prove   bool
	compare []string // cluster targets; nil: the run is for one
}

func newScenarioRunCommand(a *app) *cobra.Command {
	var r scenarioRun
	cmd := &cobra.Command{
		Use: "run [NAME|FILE...]", Short: "Run scenarios, each in a fresh simulator",
		Long: `Run scenarios, each in a fresh simulator. A scenario with a seed runs with it, unless --seed says otherwise.

Exit codes: 0 all went as their scenarios say; 1 a check failed; 2 wrong usage; 3 a file is no scenario; 4 the cluster is not
there; 5 a scenario took longer than --timeout; 6 something else went wrong; 130 interrupted.

With --compare inprocess,kind each is played on both clusters, and what an operator sees is held against each other: what differs is printed,
but for what docs/fidelity.md explains, and is a failure.

Where a scenario fails, a bundle is written: events, logs, the state of portal and cluster, the report and the scenario itself, without any secret
that the simulator knows.

In GitHub Actions, failures are annotated and the job gets a summary, without a flag.`,
		Example: `  dpesim scenario run lifecycle
  dpesim scenario run --all --parallel 2 --junit results.xml
  dpesim scenario run mine.md --keep
  dpesim scenario run --all --tags install --shard 1/3
  dpesim scenario run mine.md --update
  dpesim scenario run --compare inprocess,kind mine.md`,
	}
	output := r.add(cmd)
	fl := cmd.Flags()
	fl.IntVar(&r.plan.Repeat, "repeat", 1, "run each so many times")
	fl.BoolVar(&r.update, "update", false, "write what checks print into the golden fences after them, in the file, instead of comparing")
	fl.BoolVar(&r.keep, "keep", false, "leave the simulator up where a scenario fails, without its clean-up, until Ctrl-C")
	fl.StringSliceVar(&r.compare, "compare", nil, "run each on two clusters, inprocess,kind, and tell where an operator sees something else")
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		if cmd.Flags().Changed("compare") {
			return a.compareScenarios(cmd, &r, names, *output)
		}
		return a.runScenarios(cmd, &r, names, *output)
	}
	return cmd
}

func newScenarioTestCommand(a *app) *cobra.Command {
	r := scenarioRun{prove: true, plan: suite.Plan{Repeat: 2}}
	cmd := &cobra.Command{
		Use: "test [NAME|FILE...]", Short: "Prove scenarios: each check is red before its step is solved and green after, in every run alike",
		Long: `Prove scenarios: run each twice, and look at the checks of a step before its first "sh solve", too. A check that is green before the step
is solved proves nothing, and fails. Steps without "sh solve" are run as always. Then the event logs of both runs are compared,
but for what no seed can make the same (ports, keys, order); where they differ, the scenario leaves something to chance. Exit
codes are those of 'dpesim scenario run'.`,
		Example: "  dpesim scenario test mine.md",
	}
	output := r.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, names []string) error { return a.runScenarios(cmd, &r, names, *output) }
	return cmd
}

// add adds the flags of run and test.
func (r *scenarioRun) add(cmd *cobra.Command) *format {
	output := outputFlag(cmd)
	fl := cmd.Flags()
	fl.BoolVar(&r.all, "all", false, "run every built-in scenario")
	fl.StringSliceVar(&r.plan.Tags, "tags", nil, "run only those with one of these tags; !TAG: only those without")
	fl.StringVar(&r.shard, "shard", "", "run part I of N, as 1/3, so that machines share the work")
	fl.StringVar(&r.shuffle, "shuffle", "", "run in another order: on, or the number that an earlier run printed")
	fl.IntVar(&r.options.Parallel, "parallel", runtime.NumCPU(), "run so many at a time")
	fl.BoolVar(&r.options.FailFast, "fail-fast", false, "begin no other after one has failed")
	fl.DurationVar(&r.options.Timeout, "timeout", 10*time.Minute, "end a scenario after so long; 0: never")
	fl.StringVar(&r.junit, "junit", "", "write results to this file, as JUnit's XML")
	fl.StringVar(&r.html, "html", "", "write results to this file, as one page for a browser")
	fl.StringVar(&r.bundle, "bundle", defaultBundles, "directory, or FILE.zip, for what helps to understand a failure; \"\": none")
	fl.BoolVar(&r.noExec, "no-exec", false, "run no programs: words that are not built in fail")
	r.stack.add(cmd)
	return output
}

// runScenarios is what run and test do.
func (a *app) runScenarios(cmd *cobra.Command, r *scenarioRun, names []string, output format) (err error) {
	r.stack.anyPorts(cmd)
	cases, err := a.cases(r, names)
	if err != nil {
		return err
	}
	stop := a.progress(r, len(cases))
	defer stop()
	report, err := a.reporter(output)
	if err != nil {
		return err
	}
	r.options.Reports = append(r.options.Reports, func(suite.Case) engine.Reporter { return report })
	shared, err := r.stack.target.open(cmd.Context(), a, r.stack.config.ImageBinaries)
	if err != nil {
		return err
	}
	if shared != nil { // one cluster for all, one after the other
		defer func() { err = errors.Join(err, shared.Close()) }()
		r.options.Parallel = 1
	}
	var runs sameness
	play := func(ctx context.Context, c suite.Case, report engine.Reporter) error {
		own := r.stack.clone()
		if shared != nil {
			if err := shared.Clean(ctx); err != nil {
				return err
			}
			own.config.Target = shared.Target()
		}
		rehearse.Configure(&own.config, c.Scenario)
		if cmd.Flags().Changed("seed") {
			own.config.Seed = r.stack.config.Seed
		}
		own.keep = &diagnosis.Log{}
		how := rehearsal{report: report, noExec: r.noExec, keep: r.keep, prove: r.prove, files: r.bundle != "", log: own.keep}
		if r.prove {
			how.compare = func(log []sim.Event) error { return runs.compare(c.Scenario, log) }
		}
		if !r.update {
			return a.rehearse(ctx, own, c.Scenario, how)
		}
		texts := map[int]string{}
		how.update = func(f engine.Fence, text string) { texts[f.Line] = text }
		if err := a.rehearse(ctx, own, c.Scenario, how); err != nil {
			return err
		}
		return a.rewrite(c.Scenario, texts)
	}
	return a.runSuite(cmd.Context(), r, cases, play, output)
}

// defaultBundles is where bundles of failures are kept: one place that a CI job can name.
const defaultBundles = "dpesim-failures"

// cases reads the scenarios, all of them before the first runs, and picks those that are wanted.
func (a *app) cases(r *scenarioRun, names []string) (cases []suite.Case, err error) {
	if r.all {
		names = append(names, scenarios.Names()...)
	}
	if err := r.stack.target.check(); err != nil {
		return nil, err
	}
	on, _ := r.stack.target.name()
	switch {
	case len(names) == 0:
		return nil, usage(errors.New("no scenario to run: name one, a file, or --all"))
	case r.update && (r.all || r.plan.Repeat > 1):
		return nil, usage(errors.New("--update is for files of your own, each once: name them, without --all and --repeat"))
	case r.plan.Repeat < 1:
		return nil, usage(fmt.Errorf("--repeat cannot be %d: 1 runs each once", r.plan.Repeat))
	}
	if r.shard != "" {
		if r.plan.Shard, err = suite.ParseShard(r.shard); err != nil {
			return nil, usage(err)
		}
	}
	if r.plan.Shuffle, err = seedOf(r.shuffle); err != nil {
		return nil, err
	}
	var list []*engine.Scenario
	for _, n := range names {
		s, err := a.scenario(n)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(a.path(n)); err != nil && r.update {
			return nil, usage(sim.Errorf(sim.Invalid, "--update cannot write into %s, which is built in", n).WithHelp("begin a file of your own: 'dpesim scenario show %s > mine.md'", n))
		}
		if !rehearse.Suits(s, on) {
			return nil, &exitError{code: exitTarget, err: rehearse.Foreign(s, on)}
		}
		list = append(list, s)
	}
	cases = r.plan.Cases(list)
	if len(cases) == 0 && r.shard == "" { // a shard may have nothing to do
		return nil, usage(sim.Errorf(sim.NotFound, "no scenario has the tags %s", strings.Join(r.plan.Tags, ", ")).WithHelp("'dpesim scenario list -o json' shows the tags"))
	}
	if len(cases) > 1 && r.stack.config.DataDir != "" {
		return nil, usage(sim.Errorf(sim.Invalid, "--data is for one scenario: each runs in a fresh simulator").WithHelp("run them one by one, or leave --data out"))
	}
	if r.keep { // one simulator is left, and nothing goes on beside it
		r.options.FailFast, r.options.Parallel, r.options.Timeout = true, 1, 0
	}
	r.options.Parallel = min(r.options.Parallel, len(cases)) // a single one is told as it goes
	return cases, nil
}

// seedOf reads --shuffle; 0 is the order as it came.
func seedOf(text string) (uint64, error) {
	switch text {
	case "":
		return 0, nil
	case "on":
		var b [8]byte
		_, err := rand.Read(b[:])
		return max(binary.LittleEndian.Uint64(b[:])>>32, 1), err // short enough to be typed
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 {
		return 0, usage(fmt.Errorf("--shuffle %q: use on, or a number from 1", text))
	}
	return n, nil
}

// progress shows what runs if stdout is a terminal, until stop is called. Everything else is printed above it.
func (a *app) progress(r *scenarioRun, cases int) (stop func()) {
	f, ok := a.Stdout.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || a.Getenv("TERM") == "dumb" {
		return func() {}
	}
	p := &suite.Progress{Terminal: f, Cases: cases, Width: func() int {
		width, _, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 0 // gone, and nobody looks
		}
		return width
	}}
	r.options.Live = append(r.options.Live, p.Report)
	stdout, stderr := a.Stdout, a.Stderr
	a.Stdout, a.Stderr = p.Over(stdout), p.Over(stderr)
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { p.Run(ctx) })
	return func() {
		cancel()
		ended.Wait()
		a.Stdout, a.Stderr = stdout, stderr
	}
}

// rewrite writes texts into the golden fences of a scenario's file.
func (a *app) rewrite(s *engine.Scenario, texts map[int]string) error {
	before, err := os.ReadFile(a.path(s.File))
	if err != nil {
		return fmt.Errorf("read %s again: %w", s.File, err)
	}
	if !bytes.Equal(bytes.ReplaceAll(before, []byte("\r\n"), []byte("\n")), s.Source()) {
		return sim.Errorf(sim.Conflict, "%s was changed while it ran: nothing is written into it", s.File).WithHelp("run it again")
	}
	after, err := engine.Rewrite(s.File, before, texts)
	if err != nil || bytes.Equal(before, after) {
		return err
	}
	info, err := os.Stat(a.path(s.File))
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Stderr, "%s: what its checks print is written into it\n", s.File)
	return durable.WriteFile(a.path(s.File), after, info.Mode().Perm())
}

// runSuite plays the cases, and tells their results where they are wanted.
func (a *app) runSuite(ctx context.Context, r *scenarioRun, cases []suite.Case, play suite.Player, output format) error {
	if r.plan.Shuffle != 0 {
		fmt.Fprintf(a.Stderr, "shuffled: run with --shuffle %d for this order\n", r.plan.Shuffle)
	}
	var junit suite.JUnit
	if r.junit != "" {
		r.options.Reports = append(r.options.Reports, junit.Report)
	}
	var html suite.HTML
	if r.html != "" {
		r.options.Reports = append(r.options.Reports, html.Report)
	}
	if r.bundle != "" {
		bundles := suite.Bundles{Path: a.path(r.bundle), Wrote: func(c suite.Case, path string, err error) {
			if err != nil {
				fmt.Fprintf(a.Stderr, "%s: the bundle is not written: %v\n", c.Scenario.File, err)
				return
			}
			fmt.Fprintf(a.Stderr, "%s: what helps to understand the failure is in %s\n", c.Scenario.File, path)
		}}
		r.options.Reports = append(r.options.Reports, bundles.Report)
	}
	github := suite.GitHub{Log: a.Stdout}
	inActions := a.Getenv("GITHUB_ACTIONS") == "true"
	if inActions {
		r.options.Reports = append(r.options.Reports, github.Report)
	}
	wall := clock.New()
	began := wall.Now()
	results, err := suite.Run(ctx, cases, play, r.options)
	if r.junit != "" {
		err = errors.Join(err, writeTo(a.path(r.junit), os.O_TRUNC, func(w io.Writer) error { _, err := junit.WriteTo(w); return err }))
	}
	if r.html != "" {
		err = errors.Join(err, writeTo(a.path(r.html), os.O_TRUNC, func(w io.Writer) error { _, err := html.WriteTo(w); return err }))
	}
	if path := a.Getenv("GITHUB_STEP_SUMMARY"); inActions && path != "" {
		err = errors.Join(err, writeTo(path, os.O_APPEND, github.WriteSummary))
	}
	if err != nil {
		return err
	}
	if output == formatTable && len(cases) > 1 {
		fmt.Fprintf(a.Stdout, "\n%d of %d scenarios ok in %s\n", good(results), len(cases), wall.Now().Sub(began).Round(10*time.Millisecond))
	}
	return verdict(results, len(cases))
}

func writeTo(path string, flag int, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|flag, 0o644) //nolint:gosec // results are no secrets
	if err != nil {
		return fmt.Errorf("writing the results: %w", err)
	}
	return errors.Join(write(f), f.Close())
}

func good(results []suite.Result) int {
	n := 0
	for _, r := range results {
		if r.Err == nil {
			n++
		}
	}
	return n
}

// verdict gives the exit code of a run: that of the worst end of a scenario.
func verdict(results []suite.Result, cases int) error {
	worst := exitOK
	var failed []string
	var differences strings.Builder
	for _, r := range results {
		if r.Err == nil {
			continue
		}
		code := exitInternal
		if _, ok := errors.AsType[*engine.StepError](r.Err); ok {
			code = exitFailed
		} else if _, ok := errors.AsType[*suite.TimeoutError](r.Err); ok {
			code = exitTimeout
		} else if e, ok := errors.AsType[*exitError](r.Err); ok {
			code = e.code
		} else if d, ok := errors.AsType[*differenceError](r.Err); ok {
			code = exitFailed
			differences.WriteString("\n" + d.Error())
		} else if d, ok := errors.AsType[*unpublishedError](r.Err); ok {
			code = exitFailed
			differences.WriteString("\n" + d.Error())
		}
		worst = max(worst, code)
		failed = append(failed, r.Case.Scenario.File)
	}
	if worst == exitOK {
		return nil
	}
	slices.Sort(failed)
	return &exitError{code: worst, err: fmt.Errorf("%d of %d scenarios failed: %s%s", len(failed), cases, strings.Join(slices.Compact(failed), ", "), differences.String())}
}

// reporter gives what tells of a run.
func (a *app) reporter(f format) (engine.Reporter, error) {
	switch f {
	case formatTable:
		return engine.Human{W: a.Stdout}, nil
	case formatJSON:
		return engine.JSON{W: a.Stdout}, nil
	case formatYAML:
	}
	return nil, usage(fmt.Errorf("a run is told as table or json, not as %s", f))
}

// rehearsal says how a scenario is played.
type rehearsal struct {
	report engine.Reporter
	noExec bool
	keep   bool // leave everything up where it fails
	prove  bool // checks must be red before their steps are solved
	files  bool // gather files for a bundle where it fails

	update func(engine.Fence, string) // as in [engine.Options]

	log *diagnosis.Log // what the simulator logs; nil: that is not kept

	watch func(*stack.Stack) (*compare.Recorder, error) // gives who is told, too, once the simulator is up; may be nil

	compare func(log []sim.Event) error // called with the events of a run in which all steps went well; may be nil

	after func(context.Context, *stack.Stack) error // called when all steps went well, while everything is still up; may be nil
}

// rehearse plays sc in a fresh simulator.
func (a *app) rehearse(ctx context.Context, flags *stackFlags, sc *engine.Scenario, how rehearsal) error {
	return a.onTarget(ctx, flags, func() error { return a.rehearseOn(ctx, flags, sc, how) })
}

func (a *app) rehearseOn(ctx context.Context, flags *stackFlags, sc *engine.Scenario, how rehearsal) error {
	if flags.config.Target != nil && sc.Virtual {
		if !sc.Start.IsZero() {
			return &exitError{code: exitTarget, err: sim.Errorf(sim.Unavailable, "%s begins at %s, and a real cluster has this machine's time", sc.File, sc.Start.Format(time.RFC3339)).
				WithHelp("run it on the cluster in the process: --cluster %s", rehearse.InProcess)}
		}
		live := *sc
		live.Virtual, sc = false, &live
	}
	s, err := flags.open(ctx, a)
	if err != nil {
		return err
	}
	b := *a
	if b.endpointsFile == "" && how.after == nil { // nobody else's business, whatever the environment says
		b.endpointsFile = s.Path("endpoints.json")
	}
	return b.serve(ctx, s, func(ctx context.Context) error {
		err := b.play(ctx, s, sc, how)
		if _, failed := errors.AsType[*engine.StepError](err); failed && how.keep {
			fmt.Fprintln(a.Stderr)
			if err := banner(a.Stderr, s.Endpoints()); err != nil {
				return err
			}
			fmt.Fprintf(a.Stderr, "It is left as it was when the step failed. In another terminal: export DPESIM_ENDPOINTS=%s\n", s.Path("endpoints.json"))
			<-ctx.Done()
		}
		if err == nil && how.compare != nil {
			err = how.compare(s.Bus().Since(0))
		}
		if err == nil && how.after != nil {
			return how.after(ctx, s)
		}
		return err
	})
}

// play runs the steps of sc against a simulator that is up.
func (a *app) play(ctx context.Context, s *stack.Stack, sc *engine.Scenario, how rehearsal) error {
	file, err := a.endpointsPath()
	if err != nil {
		return err
	}
	o := rehearse.Options{
		Dpesim: Word, Endpoints: file, Report: how.report, NoExec: how.noExec, Keep: how.keep, Prove: how.prove,
		Update:    how.update,
		Diagnosis: diagnosis.Options{Log: how.log, About: about(), Files: how.files},
	}
	if how.watch != nil {
		recorder, err := how.watch(s)
		if err != nil {
			return err
		}
		o.Report, o.Around = engine.Several{how.report, recorder}, recorder.Around
	}
	return rehearse.Play(ctx, s, sc, o)
}

// Word is this command line as a word of a scenario.
func Word(ctx context.Context, c verb.Call) error {
	code := Main(ctx, Env{
		Args: c.Args, Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr,
		Getenv: c.Getenv, Environ: func() []string { return slices.Clone(c.Env) }, Dir: c.Dir,
	})
	if code != exitOK {
		return &verb.ExitError{Code: code}
	}
	return nil
}

var _ verb.Verb = Word
