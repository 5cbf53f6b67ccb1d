package clustertest

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	"mvdan.cc/sh/v3/shell"
)

//go:embed testdata/*.txt
var recorded embed.FS

// step is a part of a transcript.
type step struct {
	comment string   // "# ..." before it, kept when it is recorded anew
	kind    byte     // '$' a command, '?' a wait, '~' a wait whose last output counts, 0 the end
	text    string   // the command; of a wait, "COMMAND => TEXT"
	out     []string // what the command says, masked
}

// transcripts plays every transcript; those whose name begins with "serial-" one after the other, when serial is asked
// for.
func (s *suite) transcripts(t *testing.T, serial bool) {
	t.Helper()
	names, err := fs.Glob(recorded, "testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(path.Base(name), "serial-") != serial {
			continue
		}
		t.Run(strings.TrimSuffix(path.Base(name), ".txt"), func(t *testing.T) {
			if !serial {
				t.Parallel()
			}
			text, err := recorded.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s.play(t, path.Base(name), txtar.Parse(text))
		})
	}
}

// play runs a transcript in a namespace of its own, and compares or records it.
func (s *suite) play(t *testing.T, file string, archive *txtar.Archive) {
	t.Helper()
	steps := parse(string(archive.Comment))
	if s.Locked == "" && bytes.Contains(txtar.Format(archive), []byte("$LOCKED")) {
		t.Skip("the target has no locked registry")
	}
	p := s.space(t)
	for _, f := range archive.Files {
		at := filepath.Join(p.dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(p.expand(string(f.Data))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range steps {
		st := &steps[i]
		if st.kind == 0 {
			continue
		}
		got := p.step(t, st)
		switch {
		case st.kind == '?':
		case s.Record != "":
			st.out = got
		default:
			s.compare(t, strings.TrimSuffix(file, ".txt")+": "+st.text, st.out, got)
		}
	}
	if s.Record != "" {
		archive.Comment = []byte(unparse(steps))
		if err := os.WriteFile(filepath.Join(s.Record, file), txtar.Format(archive), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// step does what a step says and gives the masked output.
func (p *space) step(t *testing.T, st *step) []string {
	t.Helper()
	command, want, waits := strings.Cut(st.text, " => ")
	if waits != (st.kind != '$') {
		t.Fatalf("a step is \"$ COMMAND\" or \"? COMMAND => TEXT\", not \"%c %s\"", st.kind, st.text)
	}
	var out string
	var code int
	look := func(ctx context.Context) (bool, error) {
		o, c, err := p.shell(ctx, command)
		if err == nil {
			out, code = o, c
		}
		return strings.Contains(o, want) || strings.Contains(strings.Join(p.mask(o), "\n"), want), err
	}
	if waits {
		err := p.pollInTime(t.Context(), 250*time.Millisecond, look)
		if err != nil {
			t.Fatalf("waited in vain: %s: %v; the last look:\n%s", st.text, err, out)
		}
	} else if err := p.patiently(t.Context(), command, look); err != nil {
		t.Fatal(err)
	}
	got := p.mask(out)
	if code != 0 {
		got = append(got, fmt.Sprintf("[exit code %d]", code))
	}
	return got
}

// patiently runs a command; time passes quickly, where it can, while one waits that is there to wait.
func (p *space) patiently(ctx context.Context, command string, run func(context.Context) (bool, error)) error {
	if !strings.HasPrefix(command, "kubectl wait ") && !strings.HasPrefix(command, "kubectl rollout status ") {
		_, err := run(ctx)
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := run(ctx)
		ended <- err
	}()
	over := false
	err := p.pollInTime(ctx, 250*time.Millisecond, func(context.Context) (bool, error) {
		select {
		case err := <-ended:
			over = true
			return true, err
		default:
			return false, nil
		}
	})
	if !over {
		cancel()
		err = errors.Join(err, <-ended)
	}
	return err
}

// expand puts the target's names into a manifest.
func (p *space) expand(text string) string { return os.Expand(text, p.variable) }

func (p *space) variable(name string) string {
	switch name {
	case "IMAGE":
		return p.Image
	case "LOCKED":
		return p.Locked
	case "USER":
		return User
	case "PASSWORD":
		return Password
	case "NAMESPACE":
		return p.name
	case "NODE":
		return p.nodes[0].Name
	}
	return "$" + name
}

// shell runs a command line of helm or kubectl; kubectl in the test's namespace.
func (p *space) shell(ctx context.Context, line string) (out string, code int, err error) {
	words, err := shell.Fields(line, p.variable)
	if err != nil || len(words) == 0 {
		return "", 0, fmt.Errorf("%q is no command: %w", line, err)
	}
	args := words[1:]
	switch words[0] {
	case "kubectl":
		args = append([]string{"--namespace=" + p.name}, args...)
	case "helm":
	default:
		return "", 0, fmt.Errorf("a transcript knows helm and kubectl, not %q", words[0])
	}
	out, code = p.command(ctx, words[0], args...)
	return out, code, ctx.Err()
}

func parse(text string) []step {
	var steps []step
	comment := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "" || line[0] == '#':
			comment += line + "\n"
		case strings.ContainsRune("$?~", rune(line[0])):
			steps = append(steps, step{comment: comment, kind: line[0], text: strings.TrimSpace(line[1:])})
			comment = ""
		case len(steps) > 0:
			last := &steps[len(steps)-1]
			last.out = append(last.out, line)
		}
	}
	return append(steps, step{comment: comment})
}

func unparse(steps []step) string {
	var b strings.Builder
	for _, s := range steps {
		b.WriteString(s.comment)
		if s.kind == 0 {
			continue
		}
		fmt.Fprintf(&b, "%c %s\n", s.kind, s.text)
		for _, line := range s.out {
			if strings.ContainsAny(line[:1], "#$?~") {
				line = " " + line
			}
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// met tells which lines of a known difference were seen.
type met struct {
	played     atomic.Bool // its command was
	real, here []atomic.Bool
}

// compare reports lines that only one of the two has and that no known difference names.
func (s *suite) compare(t *testing.T, where string, want, got []string) {
	t.Helper()
	for i := range want {
		want[i] = strings.TrimLeft(want[i], " ")
	}
	for i, k := range s.Known {
		if strings.HasPrefix(where, k.Where) {
			s.met[i].played.Store(true)
		}
	}
	var missing, extra []string
	for _, d := range diff(want, got) {
		known := false
		for i, k := range s.Known {
			if !strings.HasPrefix(where, k.Where) {
				continue
			}
			lines, seen := k.Real, s.met[i].real
			if d.extra {
				lines, seen = k.Here, s.met[i].here
			}
			if j := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(d.line, l) }); j >= 0 {
				seen[j].Store(true)
				known = true
			}
		}
		switch {
		case known:
		case d.extra:
			extra = append(extra, d.line)
		default:
			missing = append(missing, d.line)
		}
	}
	if len(missing)+len(extra) > 0 {
		t.Errorf("%s\n  a real cluster says\n    %s\n  this one says\n    %s", where, strings.Join(missing, "\n    "), strings.Join(extra, "\n    "))
	}
}

// stale reports known differences that were not met: they are no longer true.
func (s *suite) stale(t *testing.T) {
	t.Helper()
	if s.Record != "" || t.Failed() {
		return
	}
	for i, k := range s.Known {
		if !s.met[i].played.Load() {
			continue // only a part of the suite was asked for
		}
		for j, line := range k.Real {
			if !s.met[i].real[j].Load() {
				t.Errorf("known difference %q: the real line %q is said here as well: remove it", k.Where, line)
			}
		}
		for j, line := range k.Here {
			if !s.met[i].here[j].Load() {
				t.Errorf("known difference %q: the line %q is no longer said here: remove it", k.Where, line)
			}
		}
	}
}

// change is a line that one of two outputs has and the other has not.
type change struct {
	line  string
	extra bool // only the second has it
}

// diff compares two outputs line by line, by their longest common subsequence.
func diff(a, b []string) []change {
	common := make([][]int, len(a)+1) // of a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i, x := range slices.Backward(a) {
		for j, y := range slices.Backward(b) {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); x == y {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var out []change
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, change{line: a[i]})
			i++
		default:
			out = append(out, change{line: b[j], extra: true})
			j++
		}
	}
	return out
}
