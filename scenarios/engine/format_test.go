package engine_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/scenarios/engine"
)

func TestFormat(t *testing.T) {
	t.Parallel()
	src := md("---", "title:   T", "---", "Prose with a break  ", "## A", "~~~sh run", "if  a;then", "    b   # why", "fi", "x |", "  y", "~~~", "",
		"- in a list", "", "  ~~~sh   check", "  f( ) { c", "  }", "", "", "  d <<E", "   as is  ", "  E", "  ~~~", "", "~~~yaml file=a", "a:   1  ", "~~~", "", "")
	want := md("---", "title:   T", "---", "Prose with a break  ", "## A", "~~~sh run", "if a; then", "  b # why", "fi", "x |", "  y", "~~~", "",
		"- in a list", "", "  ~~~sh   check", "  f() {", "    c", "  }", "", "  d << E", "   as is  ", "  E", "  ~~~", "", "~~~yaml file=a", "a:   1  ", "~~~")
	got, err := engine.Format("x.md", bytes.ReplaceAll(src, []byte("\n"), []byte("\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if _, err := engine.Format("x.md", []byte("no scenario")); err == nil {
		t.Error("what is no scenario was formatted")
	}
}

// What was formatted is formatted, and is the same scenario but for the lines.
func FuzzFormat(f *testing.F) {
	files, err := filepath.Glob("../*.md")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		if src, err := os.ReadFile(name); err == nil {
			f.Add(src)
		}
	}
	f.Add(md("---", "title: T", "---", "> ## A", "## A", "> ~~~sh run", "> a\\", "> b", "> ~~~"))
	f.Add(md("---", "title: T", "---", "## A", "1. x", "   ~~~sh run", "   cat <<'E'", "   a", "   E", "   ~~~"))
	f.Fuzz(func(t *testing.T, src []byte) {
		before, err := engine.Parse("x.md", src)
		if err != nil {
			return
		}
		once, err := engine.Format("x.md", src)
		if err != nil {
			return // the printer does not know everything that the parser does
		}
		after, err := engine.Parse("x.md", once)
		if err != nil {
			t.Fatalf("%v in\n%s\nwhich was\n%s", err, once, src)
		}
		if len(after.Steps) != len(before.Steps) {
			t.Fatalf("%d steps became %d:\n%s", len(before.Steps), len(after.Steps), once)
		}
		twice, err := engine.Format("x.md", once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%v; formatted again, it changes:\n%q\n%q", err, once, twice)
		}
	})
}
