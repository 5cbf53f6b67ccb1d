package simtest_test

import (
	"os"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/scenarios/verb"
	"github.com/dpesim/dpesim/sim/simtest"
)

// A test of a program that talks to the portal: everything that it needs is a few lines, and gone when it ends.
func ExampleStart() {
	_ = func(t *testing.T) { //nolint:thelper // it stands for a test
		s := simtest.Start(t)
		env := s.Environment(t, api.EnvironmentSpec{Name: "Demo"})
		if _, err := s.API.AddDPE(t.Context(), env.ID, api.DPESpec{Name: "Finance"}); err != nil {
			t.Fatal(err)
		}
		t.Log("portal:", s.Endpoints().Portal)
	}
}

// A scenario's words helm and kubectl are the test binary itself, in child processes.
func ExampleRunScenarios() {
	_ = func(m *testing.M) { // TestMain
		if code, ok := verb.Dispatch(os.Args); ok {
			os.Exit(code)
		}
		os.Exit(m.Run())
	}
	_ = func(t *testing.T) { //nolint:thelper // it stands for a test
		simtest.RunScenarios(t, "testdata/*.md")
	}
}
