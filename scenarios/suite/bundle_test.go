package suite_test

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/scenarios/suite"
)

// unzipped gives what is in a zip.
func unzipped(t *testing.T, path string) map[string]string {
	t.Helper()
	r, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := map[string]string{}
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		out[f.Name] = string(text)
	}
	return out
}

// bundled plays four cases, of which two fail, and gives what was told of bundles at path.
func bundled(t *testing.T, path string) (told []string) {
	t.Helper()
	b := suite.Bundles{Path: path, Wrote: func(c suite.Case, path string, err error) {
		if err != nil {
			t.Error(err)
		}
		told = append(told, c.Scenario.File+" "+filepath.Base(path))
	}}
	cases := []suite.Case{
		{Scenario: parsed(t, "a/bad.md", "", "say shown; echo pass''word; false"), Round: 1},
		{Scenario: parsed(t, "good.md", "", "true"), Round: 1},
		{Scenario: parsed(t, "a/bad.md", "", "false"), Round: 2},
		{Scenario: parsed(t, "b/bad.md", "", "false"), Round: 1},
	}
	_, err := suite.Run(t.Context(), cases, func(ctx context.Context, c suite.Case, r engine.Reporter) error {
		return engine.Run(ctx, c.Scenario, engine.Options{
			Dir: t.TempDir(), NoExec: true, Report: r,
			Conceal: func(s string) string { return strings.ReplaceAll(s, "password", "***") },
			Diagnose: func(context.Context, engine.StepFinished) engine.Diagnosis {
				return engine.Diagnosis{Files: []engine.File{{Name: "../state/x.json", Data: []byte(`"password"`)}}, Clues: []engine.Clue{{Title: "why", Text: "because"}}}
			},
		})
	}, suite.Options{Reports: []suite.Report{b.Report}})
	if err != nil {
		t.Fatal(err)
	}
	return told
}

func TestABundleHoldsWhatIsKnownOfAFailure(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "failures")
	want := []string{"a/bad.md bad.zip", "a/bad.md bad-round-2.zip", "b/bad.md bad-2.zip"}
	if diff := cmp.Diff(want, bundled(t, dir)); diff != "" {
		t.Error(diff)
	}
	files := unzipped(t, filepath.Join(dir, "bad.zip"))
	names := []string{"bad/output.txt", "bad/report.html", "bad/report.jsonl", "bad/scenario.md", "bad/state/x.json"}
	if diff := cmp.Diff(names, slices.Sorted(maps.Keys(files))); diff != "" {
		t.Error(diff)
	}
	for name, says := range map[string]string{
		"bad/output.txt": "FAIL", "bad/report.jsonl": `"clues":[{"title":"why","text":"because"}]`, "bad/scenario.md": "say shown", "bad/state/x.json": `"***"`, "bad/report.html": "<summary>why</summary>",
	} {
		if !strings.Contains(files[name], says) {
			t.Errorf("%s does not say %s:\n%s", name, says, files[name])
		}
	}
	for name, text := range files {
		if strings.Contains(text, "password") {
			t.Errorf("the password is in %s", name)
		}
	}
}

func TestOneZipForAllHasAFolderForEach(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "all.zip")
	bundled(t, path)
	folders := map[string]int{}
	for name := range unzipped(t, path) {
		folder, _, _ := strings.Cut(name, "/")
		folders[folder]++
	}
	if diff := cmp.Diff(map[string]int{"bad": 5, "bad-round-2": 5, "bad-2": 5}, folders); diff != "" {
		t.Error(diff)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := zip.NewReader(bytes.NewReader(first), int64(len(first))); err != nil || r.File[0].Modified.Year() != 1980 || !slices.IsSortedFunc(r.File, func(a, b *zip.File) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("its files are not in order, or have times: %v", err)
	}
}
