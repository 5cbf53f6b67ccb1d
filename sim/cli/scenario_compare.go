package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/scenarios"
	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/scenarios/suite"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/cluster"
	"github.com/dpesim/dpesim/sim/compare"
	"github.com/dpesim/dpesim/sim/diagnosis"
	"github.com/dpesim/dpesim/sim/rehearse"
	"github.com/dpesim/dpesim/sim/stack"
)

// comparison is a run of scenarios on two clusters.
type comparison struct {
	*scenarioRun

	table   compare.Table
	output  format
	other   realCluster
	results []*compare.Result
}

// compareScenarios plays each scenario on the cluster in the process and on another, and tells where an operator sees something
// else.
func (a *app) compareScenarios(cmd *cobra.Command, r *scenarioRun, names []string, output format) (err error) {
	for _, flag := range []string{"cluster", "update", "keep", "repeat", "parallel", "data"} {
		if cmd.Flags().Changed(flag) {
			return usage(sim.Errorf(sim.Invalid, "--%s is for runs on one cluster", flag).WithHelp("leave it out, or --compare"))
		}
	}
	if len(r.compare) != 2 || r.compare[0] != rehearse.InProcess || r.compare[1] == rehearse.InProcess {
		return usage(sim.Errorf(sim.Invalid, "--compare cannot hold %q against each other", strings.Join(r.compare, ",")).
			WithHelp("give both clusters: --compare %s,%s", rehearse.InProcess, rehearse.Kind))
	}
	c := &comparison{scenarioRun: r, output: output}
	if c.table, err = compare.Published(); err != nil {
		return err
	}
	r.stack.anyPorts(cmd)
	r.stack.target.cluster = r.compare[1]
	whole := r.all && r.plan.Tags == nil && r.shard == ""
	if r.all { // those that are for both
		r.all = false
		library, err := scenarios.Library()
		if err != nil {
			return err
		}
		for _, s := range library {
			if rehearse.Suits(s, r.compare[0]) && rehearse.Suits(s, r.compare[1]) {
				names = append(names, s.Name())
			}
		}
	}
	cases, err := a.cases(r, names)
	if err != nil {
		return err
	}
	for _, k := range cases {
		if !rehearse.Suits(k.Scenario, r.compare[0]) {
			return &exitError{code: exitTarget, err: rehearse.Foreign(k.Scenario, r.compare[0])}
		}
	}
	if c.other, err = r.stack.target.open(cmd.Context(), a, r.stack.config.ImageBinaries); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.other.Close()) }()
	r.options.Parallel = 1
	play := func(ctx context.Context, k suite.Case, report engine.Reporter) error {
		return a.compareOne(ctx, c, k.Scenario, report)
	}
	if err := a.runSuite(cmd.Context(), r, cases, play, output); err != nil || !whole {
		return err
	}
	var stale strings.Builder
	for _, k := range c.table.Stale(c.results) {
		fmt.Fprintf(&stale, "\n  %s", k.What)
	}
	if stale.Len() > 0 {
		return &exitError{code: exitFailed, err: fmt.Errorf("published as different, but seen nowhere:%s", &stale)}
	}
	return nil
}

// unpublishedError is a scenario in which an operator sees something else on another cluster, and that is not published.
type unpublishedError struct {
	file string
	n    int
}

// Error says so.
func (e *unpublishedError) Error() string {
	return fmt.Sprintf("%s: %d lines differ between the clusters and are not published", e.file, e.n)
}

// compareOne plays one scenario on both clusters at the same time, and tells how they differ. report is told of the real one.
func (a *app) compareOne(ctx context.Context, c *comparison, sc *engine.Scenario, report engine.Reporter) error {
	if err := c.other.Clean(ctx); err != nil {
		return err
	}
	var runs [2]*compare.Run
	var took [2]string
	var failed [2]error
	var both sync.WaitGroup
	machine := clock.New()
	for i, target := range c.compare {
		own := c.stack.clone()
		how := rehearsal{noExec: c.noExec}
		var human bytes.Buffer
		how.report = engine.Human{W: &human}
		if target == rehearse.InProcess {
			if own.config.Nodes == nil {
				own.config.Nodes = oneNode()
			}
		} else {
			own.config.Target = c.other.Target()
			how.report, how.files = engine.Several{how.report, report}, c.bundle != ""
		}
		rehearse.Configure(&own.config, sc)
		own.keep = &diagnosis.Log{}
		how.log = own.keep
		both.Go(func() {
			began := machine.Now()
			runs[i], failed[i] = a.watched(ctx, own, target, sc, how)
			took[i] = fmt.Sprintf("%s %.1fs", target, machine.Now().Sub(began).Seconds())
			if failed[i] != nil {
				failed[i] = fmt.Errorf("on %s: %w", target, failed[i])
			}
		})
		defer func() {
			if failed[i] != nil {
				fmt.Fprintf(a.Stderr, "%s on %s:\n%s\n", sc.File, target, &human)
			}
		}()
	}
	both.Wait()
	if err := errors.Join(failed[:]...); err != nil {
		return err
	}
	result := compare.Of(sc.Name(), runs[0], runs[1])
	c.table.Judge(result)
	c.results = append(c.results, result)
	var err error
	if c.output == formatTable {
		err = result.Write(a.Stdout, strings.Join(took[:], ", "))
	} else {
		err = c.output.stream(a.Stdout, result, nil)
	}
	if n := result.Unpublished(); err == nil && n > 0 {
		return &unpublishedError{sc.File, n}
	}
	return err
}

// oneNode is what the cluster in the process has where it is held against a real one, whose scenarios run on one node as well. It is
// large, since kind's asks no pod for much.
func oneNode() []cluster.Node {
	return []cluster.Node{{Name: "node-1", CPU: "32", Memory: "128Gi", Disk: "1Ti"}}
}

// watched plays a scenario and gives what an operator saw of it.
func (a *app) watched(ctx context.Context, flags *stackFlags, target string, sc *engine.Scenario, how rehearsal) (*compare.Run, error) {
	flags.target.cluster = target
	var recorder *compare.Recorder
	how.watch = func(s *stack.Stack) (_ *compare.Recorder, err error) {
		recorder, err = compare.Record(ctx, target, s)
		return recorder, err
	}
	if err := a.rehearse(ctx, flags, sc, how); err != nil {
		return nil, err
	}
	return recorder.Run()
}
