package main

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/dpesim/dpesim/sim/simtest"
)

const actionDir = ".github/actions/scenarios"

// action is a composite action of GitHub.
type action struct {
	Inputs map[string]struct {
		Description string `yaml:"description"`
		Default     string `yaml:"default"`
	} `yaml:"inputs"`
	Outputs map[string]struct {
		Value string `yaml:"value"`
	} `yaml:"outputs"`
	Runs struct {
		Using string       `yaml:"using"`
		Steps []actionStep `yaml:"steps"`
	} `yaml:"runs"`
}

type actionStep struct {
	ID    string            `yaml:"id"`
	If    string            `yaml:"if"`
	Uses  string            `yaml:"uses"`
	With  map[string]string `yaml:"with"`
	Shell string            `yaml:"shell"`
	Env   map[string]string `yaml:"env"`
	Run   string            `yaml:"run"`
}

// readYAML reads text into v.
func readYAML(t *testing.T, text string, v any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), v); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func theAction(t *testing.T) action {
	t.Helper()
	var a action
	readYAML(t, readFile(t, filepath.Join(actionDir, "action.yml")), &a)
	return a
}

var expression = regexp.MustCompile(`\$\{\{ *(.*?) *\}\}`)

// runStep runs a shell step as a runner does, with the values of expressions, and gives the outputs that it set.
func runStep(t *testing.T, s actionStep, dir string, values map[string]string, env ...string) (outputs map[string]string, log string, err error) {
	t.Helper()
	bash := simtest.Require(t, "bash")
	file := filepath.Join(t.TempDir(), "output")
	cmd := exec.CommandContext(t.Context(), bash, "--noprofile", "--norc", "-eo", "pipefail", "-c", s.Run)
	cmd.Dir, cmd.Env = dir, append(append(os.Environ(), "GITHUB_OUTPUT="+file), env...)
	for name, value := range s.Env {
		cmd.Env = append(cmd.Env, name+"="+expression.ReplaceAllStringFunc(value, func(e string) string {
			v, ok := values[expression.FindStringSubmatch(e)[1]]
			if !ok {
				t.Errorf("%s: nobody knows %s", name, e)
			}
			return v
		}))
	}
	out, err := cmd.CombinedOutput()
	outputs = map[string]string{}
	if text, rerr := os.ReadFile(file); rerr == nil {
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			outputs[name] = value
		}
	}
	return outputs, string(out), err
}

func TestTheActionIsWhole(t *testing.T) {
	t.Parallel()
	a := theAction(t)
	if a.Runs.Using != "composite" {
		t.Errorf("it runs by %s", a.Runs.Using)
	}
	used := map[string]bool{}
	ids := map[string]string{}
	for _, s := range a.Runs.Steps {
		ids[s.ID] = s.Run
		if (s.Run == "") == (s.Uses == "") || s.Run != "" && s.Shell != "bash" {
			t.Errorf("step %+v is none", s)
		}
		if strings.Contains(s.Run, "${{") {
			t.Errorf("an expression is pasted into a script:\n%s", s.Run)
		}
		for _, text := range slices.Concat([]string{s.If}, slices.Collect(maps.Values(s.With)), slices.Collect(maps.Values(s.Env))) {
			for _, m := range regexp.MustCompile(`inputs\.([a-z_-]+)`).FindAllStringSubmatch(text, -1) {
				used[m[1]] = true
			}
		}
		for name := range s.Env {
			if !strings.Contains(s.Run, "$"+name) && !strings.Contains(s.Run, "${"+name) && !strings.Contains(s.Run, name+"+=") {
				t.Errorf("step %s does not use %s", s.ID, name)
			}
		}
	}
	inputs := slices.Sorted(maps.Keys(a.Inputs))
	if diff := cmp.Diff(inputs, slices.Sorted(maps.Keys(used))); diff != "" {
		t.Errorf("inputs that there are and that are used (-want +got):\n%s", diff)
	}
	docs := readFile(t, "docs/ci.md")
	for _, name := range inputs {
		if a.Inputs[name].Description == "" || !strings.Contains(docs, "| `"+name+"` |") {
			t.Errorf("nobody is told of input %s", name)
		}
	}
	for name, o := range a.Outputs {
		m := regexp.MustCompile(`^\$\{\{ steps\.([a-z]+)\.outputs\.([a-z]+) \}\}$`).FindStringSubmatch(o.Value)
		if m == nil || !strings.Contains(ids[m[1]], `echo "`+m[2]+`=`) {
			t.Errorf("nothing sets output %s", name)
		}
	}
}

func TestTheActionBuildsAndRuns(t *testing.T) {
	t.Parallel()
	a := theAction(t)
	steps := map[string]actionStep{}
	for _, s := range a.Runs.Steps {
		steps[s.ID] = s
	}
	here, err := filepath.Abs(actionDir)
	if err != nil {
		t.Fatal(err)
	}
	dir, tools, temp := t.TempDir(), t.TempDir(), t.TempDir()
	write := func(path, text string, mode os.FileMode) {
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}

	// A go that builds nothing, and writes where and what.
	write(filepath.Join(tools, "go"), "#!/bin/sh\nif [ \"$1\" = env ]; then exit; fi\necho \"$(pwd) $CGO_ENABLED $*\" >\"$3\"\n", 0o700)
	built, log, err := runStep(t, steps["build"], dir, map[string]string{"github.action_path": here, "runner.temp": temp}, "PATH="+tools+string(os.PathListSeparator)+os.Getenv("PATH"))
	root, _ := filepath.Abs(".")
	if want := root + " 0 build -o " + temp + "/dpesim .\n"; err != nil || built["binary"] != temp+"/dpesim" || readFile(t, built["binary"]) != want {
		t.Errorf("build: %v, %v\n%s", built, err, log)
	}

	program, err := exec.LookPath("dpesim")
	if err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(dir, "good.md"), "---\ntitle: Good\n---\n\n## A step\n\n```sh check\ndpesim version\n```\n", 0o600)
	write(filepath.Join(dir, "bad one.md"), "---\ntitle: Bad\n---\n\n## Another step\n\n```sh check\nfalse\n```\n", 0o600)
	values := map[string]string{
		"inputs.binary || steps.build.outputs.binary": program, "inputs.scenarios": "good.md", "inputs.args": "--repeat 2 --no-exec", "inputs.report": "my report",
	}
	ran, log, err := runStep(t, steps["run"], dir, values)
	if err != nil || ran["report"] != "my report" || !strings.Contains(log, "2 of 2 scenarios ok") {
		t.Errorf("run: %v, %v\n%s", ran, err, log)
	}
	for file, says := range map[string]string{"junit.xml": `tests="2"`, "report.html": "good.md"} {
		if !strings.Contains(readFile(t, filepath.Join(dir, "my report", file)), says) {
			t.Errorf("%s does not say %s", file, says)
		}
	}
	values["inputs.scenarios"], values["inputs.args"] = "*.md", ""
	if _, log, err = runStep(t, steps["run"], dir, values, "GITHUB_ACTIONS=true"); err == nil || !strings.Contains(log, "::error file=bad one.md,line=8,") {
		t.Errorf("a failure: %v\n%s", err, log)
	}
	if bundles, err := os.ReadDir(filepath.Join(dir, "my report", "failures")); err != nil || len(bundles) == 0 {
		t.Errorf("no bundle is left: %v", err)
	}
	values["inputs.scenarios"], values["inputs.args"] = "", "--tags no-such-tag"
	if _, log, err := runStep(t, steps["run"], dir, values); err == nil || !strings.Contains(log, "no scenario has the tags no-such-tag") {
		t.Errorf("the library: %v\n%s", err, log)
	}
}

// recipes gives the YAML that docs/ci.md shows, in order: GitHub's, GitLab's.
func recipes(t *testing.T) (github, gitlab string) {
	t.Helper()
	fences := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readFile(t, "docs/ci.md"), -1)
	if len(fences) != 2 {
		t.Fatalf("docs/ci.md shows %d recipes", len(fences))
	}
	return fences[0][1], fences[1][1]
}

func TestTheWorkflowOfTheDocsUsesTheAction(t *testing.T) {
	t.Parallel()
	text, _ := recipes(t)
	var workflow struct {
		Jobs map[string]struct {
			Steps []actionStep `yaml:"steps"`
		} `yaml:"jobs"`
	}
	readYAML(t, text, &workflow)
	a, found := theAction(t), false
	for _, job := range workflow.Jobs {
		for _, s := range job.Steps {
			path, ok := strings.CutPrefix(s.Uses, "dpesim/dpesim/")
			if !ok {
				continue
			}
			found = true
			if path, _, _ = strings.Cut(path, "@"); path != actionDir {
				t.Errorf("it uses %s", s.Uses)
			}
			for name := range s.With {
				if _, ok := a.Inputs[name]; !ok {
					t.Errorf("the action has no input %s", name)
				}
			}
		}
	}
	if !found {
		t.Error("it does not use the action")
	}
}

func TestTheGitLabRecipeOfTheDocsRuns(t *testing.T) {
	t.Parallel()
	_, text := recipes(t)
	var pipeline map[string]struct {
		Script    []string `yaml:"script"`
		Artifacts struct {
			Paths   []string          `yaml:"paths"`
			Reports map[string]string `yaml:"reports"`
		} `yaml:"artifacts"`
	}
	readYAML(t, text, &pipeline)
	job, dir := pipeline["rehearse"], t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "rehearsals"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string]string{"good.md": "true", "bad.md": "false"} {
		if err := os.WriteFile(filepath.Join(dir, "rehearsals", name), []byte("---\ntitle: T\n---\n\n## A step\n\n```sh check\n"+command+"\n```\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, log, err := runStep(t, actionStep{Run: strings.Join(job.Script, "\n")}, dir, nil, "CI_NODE_INDEX=1", "CI_NODE_TOTAL=1")
	if err == nil || !strings.Contains(log, "1 of 2 scenarios ok") {
		t.Errorf("%v\n%s", err, log)
	}
	for _, path := range append(job.Artifacts.Paths, job.Artifacts.Reports["junit"]) {
		if _, err := os.Stat(filepath.Join(dir, path)); err != nil {
			t.Errorf("what should be kept is not there: %v", err)
		}
	}
}

// TestTheImageRuns runs what .ci/Dockerfile says, as it is in an image of nothing: with no environment but its own.
func TestTheImageRuns(t *testing.T) {
	t.Parallel()
	text := readFile(t, ".ci/Dockerfile")
	_, last, ok := strings.Cut(text, "\nFROM scratch\n")
	if !ok || !strings.Contains(text, "RUN CGO_ENABLED=0 go build ") {
		t.Fatal("the image is not made of a static program alone")
	}
	for _, m := range regexp.MustCompile(`(?m)^COPY ([^-].*) \S+$`).FindAllStringSubmatch(text, -1) {
		for source := range strings.FieldsSeq(m[1]) {
			if _, err := os.Stat(source); err != nil {
				t.Error(err)
			}
		}
	}
	if !regexp.MustCompile(`(?m)^USER [1-9]\d*:[1-9]\d*$`).MatchString(last) {
		t.Error("it runs as root")
	}
	command := func(instruction string) (words []string) {
		m := regexp.MustCompile(`(?m)^` + instruction + ` (\[.*\])$`).FindStringSubmatch(last)
		if m == nil || json.Unmarshal([]byte(m[1]), &words) != nil || len(words) == 0 {
			t.Fatalf("there is no %s", instruction)
		}
		return words
	}
	entry, health := command("ENTRYPOINT"), command("HEALTHCHECK .*CMD")
	if entry[0] != "/dpesim" || health[0] != entry[0] {
		t.Errorf("it runs %s, and asks %s", entry[0], health[0])
	}
	program, err := exec.LookPath("dpesim")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	run := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir, cmd.Env = home, []string{"HOME=" + home}
		return cmd
	}
	up := run(append(command("CMD"), "--http", "localhost:0", "--tls", "localhost:0")...) // any ports: others are tested here, too
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the image is healthy", func() bool { return run(health[1:]...).Run() == nil })
	if err := up.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := up.Wait(); err != nil {
		t.Error(err)
	}
	began := time.Now()
	if err := run(health[1:]...).Run(); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("what is down is healthy, or it takes too long to say so: %v", err)
	}
}
