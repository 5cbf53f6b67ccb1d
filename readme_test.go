package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim/cli"
)

// elsewhere are the README's commands that the scripts in testdata/script run, as they need a process of their own.
var elsewhere = []string{"go build .", "./dpesim up", "./dpesim exec -- ./rehearse.sh", "./dpesim scenario run --all"}

// TestReadmeCommandsWork plays the commands of the README and of the pages in docs, in their order, each page as a scenario.
func TestReadmeCommandsWork(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"README.md", "docs/why.md", "docs/residue.md", "docs/mirroring.md", "docs/control-room.md", "docs/run-it-here.md", "docs/scenarios.md", "docs/ci.md", "docs/kind.md", "docs/clusters.md"} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			playPage(t, page)
		})
	}
}

func playPage(t *testing.T, page string) {
	t.Helper()
	readme, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var steps strings.Builder
	fmt.Fprintf(&steps, "---\ntitle: %s\n---\n", page)
	n := 0
	for _, fence := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllSubmatch(readme, -1) {
		for line := range strings.Lines(string(fence[1])) {
			command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ")
			if !ok {
				t.Errorf("a line of a console block of %s is no command: %q", page, line)
			}
			if slices.Contains(elsewhere, command) {
				continue
			}
			n++
			command = strings.ReplaceAll(command, "./dpesim ", "dpesim ")
			command = strings.ReplaceAll(command, "localhost:8443", "$DPESIM_REGISTRY") // the port of this run
			fmt.Fprintf(&steps, "\n## %s\n\n```sh run\n%s\n```\n", strings.ReplaceAll(command, "#", ""), command)
		}
	}
	if n == 0 {
		t.Fatalf("%s shows no commands", page)
	}
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte(steps.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	code := cli.Main(t.Context(), cli.Env{
		Args: []string{"scenario", "run", file}, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out,
		Getenv: func(string) string { return "" }, Environ: func() []string { return nil },
	})
	if code != 0 {
		t.Errorf("exit code %d:\n%s", code, out.String())
	}
}

// shown gives the commands that a page shows under a heading, as indented blocks.
func shown(tb testing.TB, page, heading string) (commands []string) {
	tb.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		tb.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## "+heading)
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	if len(commands) == 0 {
		tb.Fatalf("%s shows no commands under %q", page, heading)
	}
	return commands
}

// TestGoCodeOfTheDocsCompiles vets the test that docs/scenarios.md shows.
func TestGoCodeOfTheDocsCompiles(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docs/scenarios.md")
	if err != nil {
		t.Fatal(err)
	}
	fences := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(text, -1)
	if len(fences) == 0 {
		t.Fatal("docs/scenarios.md shows no Go code")
	}
	for _, fence := range fences {
		file := filepath.Join(t.TempDir(), "docs_test.go")
		if err := os.WriteFile(file, fence[1], 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "go", "vet", file).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}
