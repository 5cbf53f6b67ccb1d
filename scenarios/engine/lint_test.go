package engine_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/scenarios/engine"
)

func TestLint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "there.md"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tool := func(args []string) string {
		if len(args) > 0 && args[0] == "bad" {
			return "no such command: " + strings.ReplaceAll(strings.Join(args, " "), engine.Unknown, "?")
		}
		return ""
	}
	words := map[string]engine.WordCheck{"tool": tool, "kubectl": nil, "dpesim": nil}
	const sound = "~~~sh check\ntool\n~~~"
	for _, x := range []struct {
		name string
		body []string // from line 4 on; line 4 is the step's heading
		told []string
	}{
		{"sound", []string{
			"See [there](there.md), [Step](#a-step-with-words), [elsewhere](https://example.com/x).",
			"~~~sh run", "f() { tool; }", "f; x=$(tool good) && export x", "if test -e a; then cd /; fi", "eventually 3s f", "~~~",
			"~~~sh check", "x=$(tool)", "~~~", "~~~text", "sleep 3", "~~~", "~~~yaml", "a: 1", "~~~",
		}, nil},
		{"a function that should fail", []string{sound, "~~~sh run", "f() { tool; }", "if true; then ! f x; fi", "! tool", "~~~"}, []string{
			"10: the first command that fails in f ends the step, in spite of the !: write 'if f; then false; fi'",
		}},
		{"unknown word", []string{sound, "~~~sh run", "nosuch a", "eventually 3s consistently 3s nowhere", "~~~"}, []string{
			"9: nosuch is neither a word of scenarios nor a function of this file: it works only where there is such a program",
			"10: nowhere is neither a word of scenarios nor a function of this file: it works only where there is such a program",
		}},
		{"wrong use of a word", []string{sound, "~~~sh run", "tool bad 'a b' \"$x\"", "tool bad $many", `tool bad "$@"`, `echo "$(within 1s tool bad 1)"`, "~~~"}, []string{
			"9: tool: no such command: bad a b ?", "12: tool: no such command: bad 1",
		}},
		{"sleep", []string{sound, "~~~sh run", "tool; sleep 3", "~~~"}, []string{"9: sleep is no way to wait: use eventually DURATION COMMAND, which looks again at each event"}},
		{"loops", []string{sound, "~~~sh run", "while ! tool; do tool; done", "for x in a b; do tool; done", "~~~"}, []string{
			"9: this loop may never end: use eventually DURATION COMMAND, or consistently",
		}},
		{"what never ends", []string{
			sound, "~~~sh run", "kubectl get pods -w", "kubectl logs -f x", "kubectl apply -f x", "within 9s kubectl get pods --watch",
			"record f kubectl get pods -w -- tool", "dpesim timeline --follow", "~~~",
		}, []string{
			"9: this goes on until somebody stops it: put within DURATION before it, or let record stop it",
			"10: this goes on until somebody stops it: put within DURATION before it, or let record stop it",
			"14: this goes on until somebody stops it: put within DURATION before it, or let record stop it",
		}},
		{"checks that cannot fail", []string{
			"~~~sh check", "x=1", "say \"$(tool)\"", "tool || true", "f() { tool; }", "{ echo; }; (true)", "~~~",
			"~~~sh check", "f || tool", "~~~",
		}, []string{"5: this check cannot fail: nothing in it looks at anything"}},
		{"no check", []string{"~~~sh run", "tool", "~~~"}, []string{"4: the scenario checks nothing: give it a fence \"sh check\""}},
		{"what nothing runs", []string{sound, "~~~sh", "tool", "~~~", "~~~bash", "tool", "~~~"}, []string{
			"8: nothing runs this fence: make it \"sh run\", \"sh check\" or \"text\"", "11: nothing runs this fence: make it \"sh run\", \"sh check\" or \"text\"",
		}},
		{"dead links", []string{sound, "", "A [link](nowhere.md), [one](#nosuch)", "and ![a picture](no.png)."}, []string{
			"9: the link to nowhere.md leads to no file", "9: the link #nosuch leads to no heading; there are a-step-with-words", "10: the link to no.png leads to no file",
		}},
		{"in a hint", []string{sound, "~~~sh hint", "nosuch", "~~~"}, []string{
			"9: nosuch is neither a word of scenarios nor a function of this file: it works only where there is such a program",
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			src := md(append([]string{"---", "title: T", "---", "## A step, with words!"}, x.body...)...)
			file := filepath.Join(dir, "x.md")
			s, err := engine.Parse(file, src)
			if err != nil {
				t.Fatal(err)
			}
			var told []string
			for _, f := range engine.Lint(s, words) {
				told = append(told, strings.TrimPrefix(f.String(), file+":"))
			}
			if diff := cmp.Diff(x.told, told); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}
