package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim/cli"
	"github.com/dpesim/dpesim/sim/simtest"
)

func TestShellRunsWhatScenariosRun(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	w := with(t, s)
	w.env["MINE"] = "my own"
	if r := w.run("shell", "-c", `dpesim environment create Acme >made.txt
ready() { dpesim environment get acme -o json | jq -e '.phase == "ready"' >/dev/null; }
eventually 30s ready
expect environment/acme phase=ready
say "made by $MINE, $(kubectl get nodes -o name | wc -l | tr -d ' ') nodes"
env | grep -c '^HELM_.*_HOME='`); r.code != 0 || r.stdout != "made by my own, 3 nodes\n3\n" {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "made.txt")); err != nil {
		t.Error("it did not run where it was called:", err)
	}
	w.file("play.sh", "helm list >/dev/null\ncat\nexit 7\necho not so\n")
	for _, x := range []struct {
		name, stdin string
		args        []string
		code        int
		out, errs   string
	}{
		{"a file, whose commands read the input", "typed\n", []string{"shell", "play.sh"}, 7, "typed\n", ""},
		{"the input, up to a failure", "expect environment/acme phase=gone\necho not so\n", []string{"shell"}, 1, "", "Error: environment/acme is not as expected\n  phase=gone: is ready\n"},
		{"what is no shell", "", []string{"shell", "-c", "echo a; ("}, 2, "", "Error: no shell can read this: 1:9: "},
		{"no word", "", []string{"shell", "-c", "nosuchword"}, 127, "", "nosuchword: no such word"},
		{"no file", "", []string{"shell", "nosuch.sh"}, 127, "", "Error: "},
		{"sleep", "", []string{"shell", "-c", "sleep 1"}, 2, "", "sleep: "},
		{"both", "", []string{"shell", "play.sh", "-c", "true"}, 2, "", "Error: either a file or -c"},
		{"two files", "", []string{"shell", "play.sh", "play.sh"}, 2, "", "Error: dpesim shell takes at most one file"},
	} {
		var out, errs bytes.Buffer
		e := w.environment(x.args, &out, &errs)
		e.Stdin = strings.NewReader(x.stdin)
		if code := cli.Main(t.Context(), e); code != x.code || out.String() != x.out || !strings.HasPrefix(errs.String(), x.errs) {
			t.Errorf("%s: exit code %d, want %d\n%s%s", x.name, code, x.code, &out, &errs)
		}
	}
}

func TestShellNeedsASimulator(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	w.fails(1, []string{"no running simulator was found", "dpesim up"}, "shell", "-c", "true")
	w.file("endpoints.json", `{"portal": "http://127.0.0.1:1"}`)
	w.fails(1, []string{"the simulator at http://127.0.0.1:1 does not answer", "dpesim up"}, "shell", "-c", "true")
}
