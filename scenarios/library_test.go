package scenarios_test

import (
	"os"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/dpesim/dpesim/scenarios/verb"
	"github.com/dpesim/dpesim/sim/simtest"
)

func TestMain(m *testing.M) {
	if code, ok := verb.Dispatch(os.Args); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// TestLibrary plays every built-in scenario, by the file that is embedded.
func TestLibrary(t *testing.T) {
	t.Parallel()
	if raced() {
		t.Skip("the race detector makes each start of helm and kubectl take seconds, and there are hundreds: run it without")
	}
	simtest.RunScenarios(t, "[a-z]*.md")
}

// raced tells whether this binary is built with the race detector.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
