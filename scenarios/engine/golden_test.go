package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/scenarios/verb"
)

// golden is a scenario with a check that prints and the golden fence after it, which is on line 8.
func golden(t *testing.T, info, text string) *engine.Scenario {
	t.Helper()
	return parsed(t, "## Step", "~~~sh check", "show", "~~~", "~~~"+info, strings.TrimSuffix(text, "\n"), "~~~")
}

// shows gives the word show, which prints text on stdout and something else on stderr.
func shows(text string) map[string]verb.Verb {
	return map[string]verb.Verb{"show": func(_ context.Context, c verb.Call) error {
		fmt.Fprintln(c.Stderr, "a warning")
		_, err := fmt.Fprint(c.Stdout, text)
		return err
	}}
}

func TestAGoldenFenceIsWhatTheCheckBeforeItPrints(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		info, written, printed string
		diff                   []string // lines; nil: none
	}{
		"the same":               {"text golden", "one\ntwo\n", "one\ntwo\n", nil},
		"spaces at the end":      {"text golden", "one\ntwo\n", "one  \ntwo\n\n", nil},
		"another line":           {"text golden", "one\ntwo\n", "one\n2\n", []string{"-two", "+2"}},
		"nothing":                {"text golden", "one\n", "", []string{"-one"}},
		"not yet written":        {"text golden", "", "one\n", []string{"+one"}},
		"times":                  {"text golden mask=time", "at TIME, TIME\n", "at 2026-11-29T07:56:22.123Z, 07:56:22.1\n", nil},
		"times without a mask":   {"text golden", "at 2026-11-29T07:56:22Z\n", "at 2026-11-29T07:56:23Z\n", []string{"-at 2026-11-29T07:56:22Z", "+at 2026-11-29T07:56:23Z"}},
		"times as Helm has them": {"text golden mask=time", "LAST DEPLOYED: Sun Nov 29 07:59:57 2026\n", "LAST DEPLOYED: Mon Dec  1 00:00:00 2031\n", nil},
		"a table of kubectl": {
			"text golden mask=age,id,space", "NAME              READY  AGE\nfinance-ID  1/1  AGE\n",
			"NAME                       READY   AGE\nfinance-65698894df-whv87   1/1     2m13s\n", nil,
		},
		"ports":       {"text golden mask=port", "https://localhost:PORT and 127.0.0.1:PORT, dpm.dpesim.localhost:PORT\n", "https://localhost:44087 and 127.0.0.1:1, dpm.dpesim.localhost:65535\n", nil},
		"ids":         {"text golden mask=id,digest,key", "ID sha256:DIGEST KEY\n", "381dc69e-aaca-4cf1-9502-ea25b5b36d6a sha256:" + strings.Repeat("0a", 32) + " TTsdTN1B2seePUbyHvelyGtRu7xCp7SSJBYRs-qTZ6s\n", nil},
		"JSON":        {"json golden", "{\"b\": [1, 2.50],\n\"a\": \"<x>\"}\n", `{"a":"<x>","b":[1,2.50]}`, nil},
		"other JSON":  {"json golden", "{\"a\": 1}\n", `{"a":2}`, []string{`-  "a": 1`, `+  "a": 2`}},
		"JSON masked": {"json golden mask=time", `{"at": "TIME"}`, `{"at":"2026-11-29T07:56:22Z"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := play(t, golden(t, tc.info, tc.written), engine.Options{Verbs: shows(tc.printed)})
			if tc.diff == nil {
				if err != nil {
					t.Errorf("%v\n%s", err, r.output(0))
				}
				return
			}
			if e := stepError(t, err, 8); !strings.Contains(e.Error(), "something else than this fence holds") {
				t.Error(e)
			}
			var got []string
			for line := range strings.Lines(r.output(0)) {
				if line = strings.TrimSuffix(line, "\n"); strings.HasPrefix(line, "-") && !strings.HasPrefix(line, "---") || strings.HasPrefix(line, "+") && !strings.HasPrefix(line, "+++") {
					got = append(got, line)
				}
			}
			if diff := cmp.Diff(tc.diff, got); diff != "" {
				t.Errorf("%s\n%s", diff, r.output(0))
			}
		})
	}
	if _, err := play(t, golden(t, "json golden", ""), engine.Options{Verbs: shows("1 2")}); err == nil || !strings.Contains(err.Error(), "more than one value") {
		t.Error(err)
	}
	if _, err := play(t, golden(t, "json golden", ""), engine.Options{Verbs: shows("no")}); err == nil || !strings.Contains(err.Error(), "it is no JSON") {
		t.Error(err)
	}
}

// A check whose golden fence differs before the step is solved is red then: it proves something.
func TestAGoldenFenceProvesItsCheck(t *testing.T) {
	t.Parallel()
	for written, green := range map[string]bool{"2": false, "1": true} {
		s := parsed(t, "## Step", "~~~sh run", "n=1", "~~~", "~~~sh solve", "n="+map[bool]string{false: "2", true: "1"}[green], "~~~", "~~~sh check", "echo $n", "~~~", "~~~text golden", written, "~~~")
		if _, err := play(t, s, engine.Options{Prove: true}); (err != nil) != green {
			t.Errorf("%s: %v", written, err)
		}
	}
}

func TestUpdateIsGivenWhatAGoldenFenceShouldHold(t *testing.T) {
	t.Parallel()
	got := map[int]string{}
	s := golden(t, "json golden mask=time", "{}")
	_, err := play(t, s, engine.Options{
		Verbs: shows(`{"b":"secret","a":"2026-11-29T07:56:22Z"}`), Update: func(f engine.Fence, text string) { got[f.Line] = text },
		Conceal: func(s string) string { return strings.ReplaceAll(s, "secret", "***") },
	})
	if diff := cmp.Diff(map[int]string{8: "{\n  \"a\": \"TIME\",\n  \"b\": \"***\"\n}\n"}, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	after, err := engine.Rewrite("test.md", s.Source(), got)
	if err != nil {
		t.Fatal(err)
	}
	again, err := engine.Parse("test.md", after)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := play(t, again, engine.Options{Verbs: shows(`{"b":"***","a":"2031-01-01T00:00:00Z"}`)}); err != nil {
		t.Errorf("%v\n%s", err, after)
	}
}

// Whatever is written into a golden fence, wherever it stands, is read again as that, and everything else as it was.
func TestRewriteIsReadAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		before := rapid.SampledFrom([]string{"", "> ", "- item\n\n  "}).Draw(rt, "where")
		indent := strings.ReplaceAll(before, "- item\n\n", "")
		old := rapid.SampledFrom([]string{"", "old\n", "old\n\nolder\n"}).Draw(rt, "old")
		mark := rapid.SampledFrom([]string{"```", "~~~", "`````"}).Draw(rt, "mark")
		fence := func(info, text string) string {
			var b strings.Builder
			for line := range strings.Lines(mark + info + "\n" + text + mark + "\n") {
				b.WriteString(strings.TrimRight(indent+strings.TrimSuffix(line, "\n"), " ") + "\n")
			}
			return b.String()
		}
		src := "---\ntitle: T\n---\n## A\n" + strings.TrimSuffix(before, indent) + fence("sh check", "echo\n") + strings.TrimRight(indent, " ") + "\n" + fence("text golden", old) + "\nBehind.\n\n## B\n```sh run\necho\n```\n"
		s, err := engine.Parse("x.md", []byte(src))
		if err != nil {
			rt.Fatalf("%v in\n%s", err, src)
		}
		text := rapid.StringMatching("([a-z<#]{1,3}|```|~~~~| x)(\n([a-z>]{0,3}|`{3,6}|~~~|  y))*").Draw(rt, "text")
		text = strings.TrimRight(text, "\n ") + "\n"
		after, err := engine.Rewrite("x.md", []byte(src), map[int]string{s.Steps[0].Fences[1].Line: text})
		if err != nil {
			rt.Fatal(err)
		}
		again, err := engine.Parse("x.md", after)
		if err != nil {
			rt.Fatalf("%v in\n%s", err, after)
		}
		if got := again.Steps[0].Fences[1].Text; got != text || len(again.Steps) != 2 || again.Steps[0].Prose != s.Steps[0].Prose || again.Steps[0].Fences[0].Text != s.Steps[0].Fences[0].Text {
			rt.Fatalf("%q is %q in\n%s\nthat was\n%s", text, got, after, src)
		}
	})
}

func TestGoldenFencesThatAreWrong(t *testing.T) {
	t.Parallel()
	check := "```sh check\necho\n```\n"
	for _, tc := range []struct{ body, says string }{
		{"```text golden\na\n```\n", "put it after one"},
		{check + "```sh run\necho\n```\n```text golden\na\n```\n", "put it after one"},
		{check + "```text golden\na\n```\n```text golden\na\n```\n", "put it after one"},
		{check + "```sh golden\na\n```\n", `not "sh golden"`},
		{check + "```text golden mask=nosuch\na\n```\n", `there is no mask "nosuch"; the masks are age, digest,`},
		{check + "```text golden fast\na\n```\n", "at most mask=NAME"},
		{check + "```text golden mask=\na\n```\n", `there is no mask ""`},
		{check + "```json golden\n{\n```\n", "it is no JSON"},
	} {
		_, err := engine.Parse("x.md", []byte("---\ntitle: T\n---\n## A\n"+tc.body))
		if e, ok := errors.AsType[*engine.ParseError](err); !ok || !strings.Contains(e.Msg, tc.says) {
			t.Errorf("%s: %v", tc.body, err)
		}
	}
}

func TestLintKnowsGoldenFences(t *testing.T) {
	t.Parallel()
	s := parsed(t, "## A", "~~~sh check", "echo one", "~~~", "~~~text golden mask=time", "started TIME, 12s ago at localhost:8443", "~~~", "~~~sh check", "echo two", "~~~", "~~~text golden", "~~~")
	var got []string
	for _, f := range engine.Lint(s, map[string]engine.WordCheck{}) {
		got = append(got, fmt.Sprintf("%d %s", f.Line, f.Msg))
	}
	want := []string{
		`8 "12s" is hardly what the next run prints: name the mask age (mask=age)`,
		`8 "localhost:8443" is hardly what the next run prints: name the mask port (mask=port)`,
		"14 this fence is empty: 'dpesim scenario run --update' writes what the check before it prints",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
