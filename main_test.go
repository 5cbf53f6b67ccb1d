package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dpesim/dpesim/scenarios/verb"
)

// TestMain lets this test binary be the program, and the tools that it links in.
func TestMain(m *testing.M) {
	if code, ok := verb.Dispatch(os.Args); ok {
		os.Exit(code)
	}
	testscript.Main(m, map[string]func(){"dpesim": main})
}

// TestProgram runs testdata/script/*.txtar against the real process.
func TestProgram(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir) // the endpoints file's default place, helm's files
			e.Setenv("XDG_CACHE_HOME", e.WorkDir+"/cache")
			return nil
		},
	})
}
