package simtest

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Require finds a program that a test needs beyond Go and gives its path. Where it is not installed the test is skipped
// with the reason, unless DPESIM_TEST_REQUIRE, a list separated by commas, names the program: then the test fails.
func Require(tb testing.TB, program string) string {
	tb.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if required(program) {
		tb.Fatalf("%s is required here (DPESIM_TEST_REQUIRE) and not installed: %v", program, err)
	}
	tb.Skipf("%s is not installed: %v", program, err)
	return ""
}

// RequireBuilt skips a test of something that takes minutes to build, with the reason, unless DPESIM_TEST_REQUIRE names it.
func RequireBuilt(tb testing.TB, what string) {
	tb.Helper()
	if !required(what) {
		tb.Skipf("%s is built for this test, which takes minutes: set DPESIM_TEST_REQUIRE=%s", what, what)
	}
}

func required(name string) bool {
	return slices.Contains(strings.Split(os.Getenv("DPESIM_TEST_REQUIRE"), ","), name)
}
