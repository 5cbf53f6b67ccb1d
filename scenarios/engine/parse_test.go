package engine_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dpesim/dpesim/scenarios/engine"
)

// md writes a scenario with ~~~ for the fences, so that it can stand in a Go string.
func md(lines ...string) []byte {
	return []byte(strings.ReplaceAll(strings.Join(lines, "\n"), "~~~", "```") + "\n")
}

func TestParseGivesStepsFencesAndLines(t *testing.T) {
	t.Parallel()
	got, err := engine.Parse("x.md", md(
		"---",             // 1
		"title: A title",  // 2
		"summary: In one", // 3
		"minutes: 7",
		"clusters: [inprocess, kind]",
		"seed: 42",
		"tags: [a, b]", // 7
		"---",
		"Intro with `code`.", // 9
		"",
		"# A big heading",
		"",
		"## First step ##", // 13
		"Some prose.",
		"~~~sh run", // 15
		"x=1",
		"echo $x",
		"~~~",
		"",
		"More prose:",
		"~~~sh", // 21: prose
		"not run at all (",
		"~~~",
		"- in a list",
		"",
		"  ~~~yaml file=conf/a.yaml", // 26
		"  a: 1",
		"    b: 2",
		"  ~~~",
		"## Second", // 30
		"~~~sh check",
		"test 1",
		"~~~",
		"~~~ sh   finally",
		"rm",
		"~~~",
	))
	if err != nil {
		t.Fatal(err)
	}
	want := &engine.Scenario{
		File: "x.md", Title: "A title", Summary: "In one", Minutes: 7, Clusters: []string{"inprocess", "kind"}, Seed: 42,
		Tags: []string{"a", "b"}, Intro: "Intro with `code`.\n\n# A big heading",
		Steps: []engine.Step{
			{
				Name: "First step", Line: 13,
				Prose: "Some prose.\n\nMore prose:\n```sh\nnot run at all (\n```\n- in a list",
				Fences: []engine.Fence{
					{Kind: engine.RunFence, Line: 15, Text: "x=1\necho $x\n"},
					{Kind: engine.FileFence, Line: 26, Name: "conf/a.yaml", Text: "a: 1\n  b: 2\n"},
				},
			},
			{Name: "Second", Line: 30, Fences: []engine.Fence{
				{Kind: engine.CheckFence, Line: 31, Text: "test 1\n"},
				{Kind: engine.FinallyFence, Line: 34, Text: "rm\n"},
			}},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(engine.Scenario{}, engine.Fence{})); diff != "" {
		t.Error(diff)
	}
}

func TestParseNamesTheLineThatIsWrong(t *testing.T) {
	t.Parallel()
	const head = "---\ntitle: T\n---\n" // 3 lines
	for _, tt := range []struct {
		name, src string
		line      int
		msg       string
	}{
		{"empty", "", 1, "front matter"},
		{"no front matter", "## A\n", 1, "must begin with front matter"},
		{"open front matter", "---\ntitle: T\n", 1, "has no end"},
		{"unknown key", "---\ntitle: T\nspeed: 3\n---\n## A\n", 3, `unknown key "speed"`},
		{"key twice", "---\ntitle: T\ntags: []\ntitle: U\n---\n## A\n", 4, "twice"},
		{"wrong type", "---\ntitle: T\nminutes: soon\n---\n## A\n", 3, "minutes"},
		{"broken YAML", "---\ntitle: T\ntags: [a\n---\n## A\n", 3, "front matter"},
		{"negative seed", "---\ntitle: T\nseed: -1\n---\n## A\n", 3, "seed"},
		{"unknown clock", "---\ntitle: T\nclock: fast\n---\n## A\n", 3, "neither real nor virtual nor a time"},
		{"not a mapping", "---\n- a\n---\n## A\n", 1, "key: value"},
		{"no title", "---\nminutes: 3\n---\n## A\n", 1, "no title"},
		{"no step", head + "prose\n", 4, "no step"},
		{"fence before the first step", head + "\n```sh run\necho\n```\n## A\n", 5, "belong to steps"},
		{"step twice", head + "## A\n## B\n## A\n", 6, `a step "A" already, on line 4`},
		{"unknown second word", head + "## A\n\n```sh rnu\necho\n```\n", 6, `"sh rnu"`},
		{"three words", head + "## A\n```sh run fast\necho\n```\n", 5, "one word"},
		{"known word, wrong language", head + "## A\n```bash run\necho\n```\n", 5, `"bash run"`},
		{"file as a word", head + "## A\n```sh file\necho\n```\n", 5, `"sh file"`},
		{"text that runs", head + "## A\n```text run\necho\n```\n", 5, `"text run"`},
		{"empty hint", head + "## A\n```text hint\n\n```\n", 5, "does nothing"},
		{"shell error in a hint", head + "## A\n```sh hint\nif\n```\n", 6, "if"},
		{"shell error", head + "## A\n```sh run\necho a\nif true; then\n```\n", 7, "then"},
		{"shell error in the first line", head + "## A\n```sh check\n)\n```\n", 6, ")"},
		{"nothing to run", head + "## A\n```sh run\n# only a comment\n```\n", 5, "does nothing"},
		{"open fence", head + "## A\n```sh run\necho\n## B\n", 5, "never closed"},
		{"open fence at the end", head + "## A\n```sh run", 5, "never closed"},
		{"file leaves", head + "## A\n```yaml file=../a\n```\n", 5, "inside"},
		{"file leaves later", head + "## A\n```yaml file=a/../../b\n```\n", 5, "inside"},
		{"absolute file", head + "## A\n```yaml file=/etc/passwd\n```\n", 5, "inside"},
		{"backslash", head + "## A\n```yaml file=..\\a\n```\n", 5, "backslash"},
		{"drive", head + "## A\n```yaml file=c:/a\n```\n", 5, "colon"},
		{"roundabout file", head + "## A\n```yaml file=a/./b\n```\n", 5, "write it as a/b"},
		{"no file name", head + "## A\n```yaml file=\n```\n", 5, "missing"},
		{"directory", head + "## A\n```yaml file=.\n```\n", 5, "write it as"},
		{"shell as a file", head + "## A\n```sh file=a\n```\n", 5, "cannot have the language sh"},
		{"step in a list", head + "- a\n\n  ## A\n", 6, "inside a list"},
		{"step without a name", head + "##\n", 4, "no name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := engine.Parse("bad.md", []byte(tt.src))
			e, ok := errors.AsType[*engine.ParseError](err)
			if !ok {
				t.Fatalf("got %v, %v; want a ParseError", s, err)
			}
			if e.File != "bad.md" || e.Line != tt.line || !strings.Contains(e.Msg, tt.msg) {
				t.Errorf("got %v; want line %d and %q", e, tt.line, tt.msg)
			}
		})
	}
}

func TestParseTakesWindowsLineEnds(t *testing.T) {
	t.Parallel()
	src := strings.ReplaceAll("---\ntitle: T\n---\n## A\n```sh run\necho\n```\n", "\n", "\r\n")
	s, err := engine.Parse("x.md", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Steps[0].Fences[0]; got.Line != 5 || got.Text != "echo\n" {
		t.Errorf("got %+v", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("---\ntitle: T\nseed: 1\n---\n## A\n```sh run\necho\n```\n> ```yaml file=a\n> b\n> ```\n"))
	f.Add([]byte("---\ntitle: T\n---\nA\n---\n* ~~~sh check\n  test\n  ~~~\n"))
	f.Add([]byte("---\n? [a]\n: &x *x\n---\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := engine.Parse("f.md", src)
		lines := strings.Count(string(src), "\n") + 1
		if err != nil {
			e, ok := errors.AsType[*engine.ParseError](err)
			if !ok || e.Line < 1 || e.Line > lines+1 || e.Msg == "" {
				t.Fatalf("%d lines: %#v", lines, err)
			}
			return
		}
		last := 0
		for _, step := range s.Steps {
			if step.Name == "" || step.Line <= last || step.Line > lines {
				t.Fatalf("step %+v after line %d of %d", step, last, lines)
			}
			last = step.Line
			for _, fence := range step.Fences {
				if fence.Line <= last || fence.Line > lines {
					t.Fatalf("fence %+v after line %d of %d", fence, last, lines)
				}
				last = fence.Line
			}
		}
	})
}

func TestTheFrontMatterSaysHowTheClockGoes(t *testing.T) {
	t.Parallel()
	for clock, want := range map[string]struct {
		virtual bool
		start   time.Time
	}{
		"real": {}, "virtual": {virtual: true},
		"2027-01-31T08:00:00+02:00": {true, time.Date(2027, 1, 31, 6, 0, 0, 0, time.UTC)},
	} {
		s, err := engine.Parse("x.md", md("---", "title: T", "clock: "+clock, "---", "## A"))
		if err != nil {
			t.Fatal(err)
		}
		if s.Virtual != want.virtual || s.Start != want.start {
			t.Errorf("%s: virtual %v, from %v", clock, s.Virtual, s.Start)
		}
	}
}
