package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestScenarioLint(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	w.ok("scenario", "lint", "--all")
	if err := os.Mkdir(filepath.Join(w.dir, "docs"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.file("docs/there.md", "")
	w.file("docs/bad.md", `---
title: Much is wrong
---

## Step

See [there](there.md) and [not](../there.md).

~~~sh run
dpesim envelope list
dpesim environment get
dpesim environment get "$x" --colour red
dpesim job list "$x" --limit "$n"
dpesim job list acme --limit soon
dpesim helm upgrade --whatever
expect environment/acme 'phase'
expect environment/acme "phase=$x"
jq -r --arg a b '.[' file
jq "$filter" file
dpesim job submit acme profile a/b --wiat
~~~
`)
	r := w.run("scenario", "lint", "docs/bad.md")
	want := []string{
		"5: the scenario checks nothing", "7: the link to ../there.md leads to no file",
		`10: dpesim: unknown command "envelope" for "dpesim"`, "11: dpesim: usage: dpesim environment get ENVIRONMENT", "12: dpesim: unknown flag: --colour",
		`14: dpesim: invalid argument "soon"`, `16: expect: "phase" is no condition`, "18: jq: the filter .[ is wrong", "20: dpesim: unknown flag: --wiat",
	}
	got := strings.Split(strings.TrimSpace(r.stdout), "\n")
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || !strings.HasPrefix(got[i], "docs/bad.md:"+want[i]) {
			t.Fatalf("line %d is not as expected:\n%s\nwant\n%s", i, r.stdout, strings.Join(want, "\n"))
		}
	}
	if r.code != 3 || r.stderr != "Error: 9 findings\n" {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
	w.file("broken.md", "---\ntitle: T\n---\n## A\n~~~sh rnu\n~~~\n")
	if r := w.run("scenario", "lint", "broken.md", "-o", "json"); r.code != 3 || !strings.Contains(r.stdout, `"line": 5`) {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	w.file("alone.md", strings.Replace(scenario("false"), "title:", "clusters: [inprocess]\ntitle:", 1))
	w.file("everywhere.md", strings.Replace(scenario("false"), "title:", "clusters-because: It must.\ntitle:", 1))
	for file, want := range map[string]string{"alone.md": "say why in clusters-because", "everywhere.md": "runs on every cluster"} {
		if r := w.run("scenario", "lint", file); r.code != 3 || !strings.Contains(r.stdout, want) {
			t.Errorf("%s: exit code %d\n%s%s", file, r.code, r.stdout, r.stderr)
		}
	}
	w.fails(2, []string{"no scenario to look at"}, "scenario", "lint")
}
