package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestScenarioFmt(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	w.file("a.md", scenario("if true;then\n    true\nfi"))
	w.file("b.md", scenario("true"))
	if r := w.run("scenario", "fmt", "--check", "a.md", "b.md"); r.code != 3 || r.stdout != "a.md\n" || !strings.Contains(r.stderr, "1 of 2 files are not formatted") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	path := filepath.Join(w.dir, "a.md")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if out := w.ok("scenario", "fmt", "a.md", "b.md"); out != "a.md\n" {
		t.Error(out)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", info, err)
	}
	w.ok("scenario", "fmt", "--check", "a.md", "b.md")
	w.file("bad.md", "nothing")
	w.fails(3, []string{"bad.md:1:"}, "scenario", "fmt", "bad.md")
	w.fails(2, []string{"no file to format"}, "scenario", "fmt")
	if files, err := filepath.Glob(filepath.Join(w.dir, "*.md")); err != nil || len(files) != 3 {
		t.Errorf("there are %v %v", files, err)
	}
}

// What `scenario new` writes is a scenario without a fault, runs, and is not overwritten.
func TestScenarioNew(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	w.ok("scenario", "new", "mine.md")
	w.ok("scenario", "lint", "mine.md")
	w.ok("scenario", "fmt", "--check", "mine.md")
	if out := w.ok("scenario", "run", "mine.md"); !strings.Contains(out, "mine\n") || !strings.Contains(out, "2 steps ok") {
		t.Error(out)
	}
	w.fails(1, []string{"mine.md is there already"}, "scenario", "new", "mine.md")
}
