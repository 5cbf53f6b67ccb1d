package simtest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/scenarios/verb"
	"github.com/dpesim/dpesim/sim/simtest"
)

// Variables that make this test binary the one of somebody whose tests go wrong.
const (
	playVariable   = "DPESIM_TEST_PLAY"   // the scenarios of TestInAChild
	forgetVariable = "DPESIM_TEST_FORGET" // TestMain forgets to dispatch
)

func TestMain(m *testing.M) {
	if os.Getenv(forgetVariable) == "" {
		if code, ok := verb.Dispatch(os.Args); ok {
			os.Exit(code)
		}
	}
	os.Exit(m.Run())
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	simtest.RunScenarios(t, "testdata/*.md")
}

func TestInAChild(t *testing.T) {
	t.Parallel()
	pattern := os.Getenv(playVariable)
	if pattern == "" {
		t.Skip("another test of this package starts it")
	}
	simtest.RunScenarios(t, pattern)
}

// child runs RunScenarios in a process of its own, and gives what go test would print.
func child(t *testing.T, pattern string, env ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestInAChild$", "-test.v")
	cmd.Env = append(append(os.Environ(), playVariable+"="+pattern), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// says fails unless all of a list of expressions match.
func says(t *testing.T, out string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !regexp.MustCompile("(?m)^ *" + line + "$").MatchString(out) {
			t.Errorf("no line %q:\n%s", line, out)
		}
	}
}

func TestScenariosFailAtTheirLines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"bad.md":   "---\ntitle: Bad\n---\n\n## Fine\n\n```sh run\ntrue\n```\n\n## Wrong\n\n```sh check\ndpesim environment list\nexpect environment/nosuch phase=ready\n```\n",
		"good.md":  "---\ntitle: Good\n---\n\n## A step\n\n```sh check\ndpesim version\n```\n",
		"moon.md":  "---\ntitle: Moon\nclusters: [moon]\n---\n\n## A step\n\n```sh check\nfalse\n```\n",
		"prose.md": "# No scenario\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := child(t, filepath.Join(dir, "*.md"))
	if err == nil {
		t.Fatalf("it passes:\n%s", out)
	}
	test, file := "TestInAChild/"+regexp.QuoteMeta(filepath.ToSlash(dir)), regexp.QuoteMeta(dir+string(filepath.Separator))
	says(t, out,
		"--- FAIL: "+test+"/bad .*", "--- PASS: "+test+"/good .*", "--- SKIP: "+test+"/moon .*", "--- FAIL: "+test+"/prose .*",
		"ok .*Fine", "FAIL .*Wrong", `\| Error: there is no environment .*`,
		`scenario_test\.go:\d+: `+file+`bad\.md:15: step "Wrong": exit status 1: expect environment/nosuch phase=ready`,
		`scenario_test\.go:\d+: `+file+`prose\.md:1: .*front matter.*`,
	)
	if out, err := child(t, filepath.Join(dir, "*.txt")); err == nil || !strings.Contains(out, "no scenario matches") {
		t.Errorf("a pattern without files: %v\n%s", err, out)
	}
}

func TestScenariosSayThatNobodyDispatches(t *testing.T) {
	t.Parallel()
	out, err := child(t, "testdata/*.md", forgetVariable+"=1")
	if err == nil {
		t.Fatalf("it passes:\n%s", out)
	}
	says(t, out, `\| .*kubectl runs in a child process .* begin with verb\.Dispatch\(os\.Args\), .*`)
}
