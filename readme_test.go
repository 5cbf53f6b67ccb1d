package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim/cli"
)

// elsewhere are the README's commands that the scripts in testdata/script run, as they need a process of their own.
var elsewhere = []string{"go build .", "./dpesim up", "./dpesim exec -- ./rehearse.sh", "./dpesim scenario run --all"}

// TestReadmeCommandsWork plays the README's commands, in their order, as a scenario.
func TestReadmeCommandsWork(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var steps strings.Builder
	steps.WriteString("---\ntitle: README\n---\n")
	n := 0
	for _, fence := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllSubmatch(readme, -1) {
		for line := range strings.Lines(string(fence[1])) {
			command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ")
			if !ok {
				t.Errorf("a line of a console block of README.md is no command: %q", line)
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
		t.Fatal("README.md shows no commands")
	}
	file := filepath.Join(t.TempDir(), "readme.md")
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
