package verb_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/scenarios/verb"
)

func TestJQ(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.json"), []byte(`{"n": 12345678901234567890} {"n": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, args, in, out, errs string // args are separated by "|"
		code                      int
	}{
		{name: "pretty", args: `.`, in: `{"b":[1,{}],"a":"<x>"}`, out: "{\n  \"a\": \"<x>\",\n  \"b\": [\n    1,\n    {}\n  ]\n}\n"},
		{name: "compact", args: `-c|.`, in: `{"a": [1]}`, out: "{\"a\":[1]}\n"},
		{name: "raw", args: `-r|.a[]`, in: `{"a": ["x y", 1]}`, out: "x y\n1\n"},
		{name: "joined flags", args: `-rc|.[]`, in: `["x", [1]]`, out: "x\n[1]\n"},
		{name: "long flags", args: `--raw-output|--compact-output|.[]`, in: `["x", [1]]`, out: "x\n[1]\n"},
		{name: "no line ends", args: `-j|.[]`, in: `["x", 1]`, out: "x1"},
		{name: "files, large numbers", args: `.n|a.json|a.json`, out: "12345678901234567890\n1\n12345678901234567890\n1\n"},
		{name: "slurp", args: `-c|-s|map(.)`, in: `1 2 "3"`, out: "[1,2,\"3\"]\n"},
		{name: "slurp of nothing", args: `-s|length`, out: "0\n"},
		{name: "null input", args: `-n|[inputs] \| add`, in: `1 2 3`, out: "6\n"},
		{name: "lines", args: `-R|.`, in: "a\nb", out: "\"a\"\n\"b\"\n"},
		{name: "all lines", args: `-Rs|.`, in: "a\nb\n", out: "\"a\\nb\\n\"\n"},
		{name: "arguments", args: `-nc|--arg|x|1|--argjson|y|{"z":1}|[$x, $y.z]`, out: "[\"1\",1]\n"},
		{name: "environment", args: `-nr|env.WHO + $ENV.WHO`, out: "meme\n"},
		{name: "nothing in, nothing out", args: `.`},
		{name: "-e true", args: `-e|.a`, in: `{"a": 1}`, out: "1\n"},
		{name: "-e false", args: `-e|.a`, in: `{"a": false}`, out: "false\n", code: 1},
		{name: "-e null", args: `-e|.a`, in: `{}`, out: "null\n", code: 1},
		{name: "-e the last counts", args: `-e|.[]`, in: `[null, 1]`, out: "null\n1\n"},
		{name: "-e nothing", args: `-e|empty`, in: `1`, code: 4},
		{name: "no filter", args: `-r`, errs: "a filter is missing", code: 2},
		{name: "unknown flag", args: `-x|.`, errs: "option -x", code: 2},
		{name: "unknown long flag", args: `--tab|.`, errs: "option --tab", code: 2},
		{name: "half an argument", args: `--arg|x`, errs: "--arg needs", code: 2},
		{name: "bad JSON argument", args: `--argjson|x|1 2|.`, errs: "more than one", code: 2},
		{name: "no such file", args: `.|nosuch`, errs: "nosuch", code: 2},
		{name: "bad input", args: `.`, in: `1 {`, out: "1\n", errs: "stdin is not JSON", code: 2},
		{name: "bad filter", args: `.[`, errs: "the filter .[ is wrong", code: 3},
		{name: "unknown function", args: `nosuch`, errs: "nosuch", code: 3},
		{name: "fails on one value and goes on", args: `.a`, in: `1 {"a":2}`, out: "2\n", errs: "expected an object", code: 5},
		{name: "error() fails even with -e", args: `-e|error("x")`, in: `1`, errs: "x", code: 5},
		{name: "halt_error", args: `"bye\n" \| halt_error(7)`, in: `1`, errs: "bye", code: 7},
		{name: "halt", args: `halt`, in: `1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var args []string
			for arg := range strings.SplitSeq(strings.ReplaceAll(tt.args, `\|`, "\x00"), "|") {
				args = append(args, strings.ReplaceAll(arg, "\x00", "|"))
			}
			out, errs, err := call(t, verb.JQ, verb.Call{Args: args, Dir: dir, Stdin: strings.NewReader(tt.in), Env: []string{"WHO=me"}})
			if out != tt.out || verb.ExitCode(err) != tt.code || (tt.errs == "") != (errs == "") || !strings.Contains(errs, tt.errs) {
				t.Errorf("got %q, %q, %v; want %q, %q, %d", out, errs, err, tt.out, tt.errs, tt.code)
			}
		})
	}
}
