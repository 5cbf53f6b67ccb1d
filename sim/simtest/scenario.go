package simtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/scenarios/operator"
	"github.com/dpesim/dpesim/sim/cli"
	"github.com/dpesim/dpesim/sim/rehearse"
)

// RunScenarios plays every scenario file that pattern matches, as [filepath.Glob] does, as 'dpesim scenario run' would: each
// is a parallel sub-test named after its file, in a fresh simulator on free ports. Its output names the steps; where one
// fails, it tells what the step printed, and the sub-test fails with the file and the line. A file that is no scenario fails,
// too, and so does a pattern that matches none. A scenario for clusters that are not there is skipped.
//
// The words helm, kubectl and expect (of what is in the cluster) run in child processes of the test binary: TestMain must call
// [github.com/dpesim/dpesim/scenarios/verb.Dispatch] first, or they fail and say so.
func RunScenarios(t *testing.T, pattern string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatalf("%s: %v", pattern, err)
	}
	if len(files) == 0 {
		t.Fatalf("no scenario matches %s", pattern)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.ToSlash(file), ".md"), func(t *testing.T) {
			t.Helper()
			t.Parallel()
			runScenario(t, file)
		})
	}
}

func runScenario(t *testing.T, file string) {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sc, err := engine.Parse(file, src)
	if err != nil {
		t.Fatal(err)
	}
	if !rehearse.Suits(sc, rehearse.InProcess) {
		t.Skip(rehearse.Foreign(sc, rehearse.InProcess))
	}
	c := Config(t)
	c.Shell = operator.Run
	rehearse.Configure(&c, sc)
	s := StartConfig(t, c)
	endpoints := s.Path("endpoints.json")
	if err := s.Endpoints().WriteFile(endpoints); err != nil {
		t.Fatal(err)
	}
	err = rehearse.Play(t.Context(), s.Stack, sc, rehearse.Options{Dpesim: cli.Word, Endpoints: endpoints, Report: engine.Human{W: t.Output()}})
	if err != nil {
		t.Error(err)
	}
}
