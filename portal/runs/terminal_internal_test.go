package runs

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/conceal"
)

// printed gives what a terminal holds, by lines.
func printed(t *terminal) string {
	var out []string
	lines, _, _, _ := t.after(0)
	for _, l := range lines {
		out = append(out, l.Text)
	}
	return strings.Join(out, "\n")
}

// However a secret is printed, in whatever pieces, it is not in the output, and nothing else is missing.
func TestATerminalConcealsSecretsHoweverTheyArePrinted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		secret := rapid.StringMatching(`[A-Z2-7]{26}`).Draw(rt, "secret")
		term := newTerminal(sim.Secret(secret), "", "another-one-that-is-longer-than-the-first")
		before := rapid.StringMatching(`[a-z ]{0,40}`).Draw(rt, "before")
		form := secret
		if rapid.Bool().Draw(rt, "in base64") {
			form = base64.StdEncoding.EncodeToString([]byte(rapid.StringMatching(`[a-z:]{0,7}`).Draw(rt, "user") + secret + rapid.StringMatching(`[a-z"}]{0,7}`).Draw(rt, "behind")))
		}
		if rapid.IntRange(0, 3).Draw(rt, "in a long line") == 0 {
			before = strings.Repeat("x", rapid.IntRange(terminalLine-60, terminalLine+60).Draw(rt, "padding")) + before
		}
		text := before + form + " end\nnext\n"
		for len(text) > 0 {
			n := rapid.IntRange(1, max(len(text)/2, 1)).Draw(rt, "piece")
			if _, err := term.Write([]byte(text[:n])); err != nil {
				rt.Fatal(err)
			}
			text = text[n:]
		}
		term.close()
		got := strings.ReplaceAll(printed(term), "\n", "")
		if strings.Contains(got, secret) {
			rt.Fatalf("the secret is there: %s", got)
		}
		for _, word := range strings.FieldsFunc(got, func(r rune) bool { return strings.ContainsRune(" []", r) }) {
			for pad := range 4 {
				b, _ := base64.RawStdEncoding.DecodeString(strings.Repeat("A", pad) + strings.TrimRight(word, "="))
				if strings.Contains(string(b), secret[1:len(secret)-1]) {
					rt.Fatalf("the secret is there in base64: %s", got)
				}
			}
		}
		if !strings.Contains(got, conceal.Mark) || !strings.HasPrefix(got, before) || !strings.HasSuffix(got, " endnext") {
			rt.Fatalf("printed %q", got)
		}
	})
}

func TestATerminalKeepsTheEndAndSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	term := newTerminal()
	for i := range 10_000 {
		fmt.Fprintf(term, "line %d %s\r\n", i+1, strings.Repeat(".", 90))
	}
	fmt.Fprint(term, "\x1b[31mred\x07 and \xff")
	term.close()
	lines, missed, closed, _ := term.after(0)
	if n := len(lines); missed == 0 || n == 0 || missed+int64(n) != 10_001 || !closed {
		t.Fatalf("%d lines, %d missed, closed %t", n, missed, closed)
	}
	if first := lines[0]; first.Line != missed+1 || !strings.HasPrefix(first.Text, fmt.Sprintf("line %d ", first.Line)) {
		t.Errorf("the first is %+v", first)
	}
	if last := lines[len(lines)-1]; last.Text != "[31mred and \uFFFD" {
		t.Errorf("the last is %q", last.Text)
	}
	if len(printed(term)) > terminalKeeps {
		t.Errorf("%d bytes are kept", len(printed(term)))
	}
	if lines, missed, _, _ := term.after(10_000); len(lines) != 1 || missed != 0 {
		t.Errorf("after line 10000: %v, %d missed", lines, missed)
	}
	for _, n := range []int64{-1, 10_001, 1 << 62} {
		if lines, _, _, _ := term.after(n); (n > 0) != (len(lines) == 0) {
			t.Errorf("after line %d: %d lines", n, len(lines))
		}
	}
}

func TestATerminalTellsWhenThereIsMore(t *testing.T) {
	t.Parallel()
	term := newTerminal()
	_, _, closed, moved := term.after(0)
	term.say("one")
	<-moved
	lines, _, _, moved := term.after(0)
	if len(lines) != 1 || closed {
		t.Errorf("%v, closed %t", lines, closed)
	}
	term.close()
	<-moved
	if _, _, closed, _ := term.after(1); !closed {
		t.Error("the end is not told")
	}
}
