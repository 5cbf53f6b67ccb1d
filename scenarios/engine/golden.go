package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/diff"
)

// A golden fence holds what the "sh check" before it prints on stdout. The masks that it names take out what no two runs share.

// mask takes something out of text.
type mask struct {
	pattern *regexp.Regexp
	by      string
}

// masks gives the masks that a golden fence may name.
var masks = sync.OnceValue(func() map[string][]mask {
	each := func(by string, patterns ...string) (out []mask) {
		for _, p := range patterns {
			out = append(out, mask{regexp.MustCompile(p), by})
		}
		return out
	}
	return map[string][]mask{
		"time": each("TIME",
			`\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| UTC|[+-]\d\d:?\d\d)?`,
			`\b[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\b`,
			`\b\d\d:\d\d:\d\d(?:\.\d+)?\b`),
		"age":    each("AGE", `\b(?:\d+(?:\.\d+)?(?:ms|µs|[dhms]))+\b`),
		"port":   each("$1:PORT", `\b(localhost|[\w.-]+\.localhost|\d+\.\d+\.\d+\.\d+):\d+\b`),
		"id":     append(each("ID", `\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), each("-ID", `-[bcdfghjklmnpqrstvwxz2456789]{6,10}(?:-[a-z0-9]{5})?\b`)...),
		"digest": each("DIGEST", `\b[0-9a-f]{64}\b`),
		"key":    each("KEY", `(?:\b\w|-)[\w-]{41}(?:\w\b|-)`),
		"space":  each("  ", `[ \t]{2,}`),
	}
})

// maskNames lists the masks that there are.
func maskNames() string { return strings.Join(slices.Sorted(maps.Keys(masks())), ", ") }

// Masked gives text without what the masks take out that golden fences may name; a name that is none takes out nothing.
func Masked(text string, names ...string) string {
	for _, name := range names {
		for _, m := range masks()[name] {
			text = m.pattern.ReplaceAllString(text, m.by)
		}
	}
	return text
}

// masked gives text without what the fence's masks take out, nor space at the ends of lines.
func (f Fence) masked(text string) string {
	text = Masked(text, f.Masks...)
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \t\r")
	}
	if text = strings.TrimRight(strings.Join(lines, "\n"), "\n"); text == "" {
		return ""
	}
	return text + "\n"
}

// canonical gives text as a golden fence holds it: masked, and in a "json golden" with sorted keys and each value on a line of its own.
func (f Fence) canonical(text string) (string, error) {
	if f.Name == "json" {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var v, more any
		if err := d.Decode(&v); err != nil {
			return "", fmt.Errorf("it is no JSON: %w", err)
		}
		if err := d.Decode(&more); !errors.Is(err, io.EOF) {
			return "", errors.New("there is more than one value of JSON: make a list of them")
		}
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(v); err != nil {
			return "", err
		}
		text = b.String()
	}
	return f.masked(text), nil
}

// differs compares what was printed with what the fence holds, and gives the difference, "" if there is none.
func (f Fence) differs(printed string) (string, error) {
	is, err := f.canonical(printed)
	if err != nil {
		return "", err
	}
	want := ""
	if strings.TrimSpace(f.Text) != "" {
		if want, err = f.canonical(f.Text); err != nil {
			return "", err
		}
	}
	return string(diff.Diff("written", []byte(want), "printed", []byte(is))), nil
}

var errGolden = errors.New("the check printed something else than this fence holds ('dpesim scenario run --update' would write it here)")

// golden compares what a check printed with the fence after it, or has that written.
func (r *run) golden(f Fence, printed string) error {
	printed = r.o.Conceal(printed)
	if r.o.Update != nil {
		text, err := f.canonical(printed)
		if err != nil {
			return fmt.Errorf("what the check printed cannot be written here: %w", err)
		}
		r.o.Update(f, text)
		return nil
	}
	text, err := f.differs(printed)
	if err != nil {
		return fmt.Errorf("what the check printed cannot be compared: %w", err)
	}
	if text != "" {
		fmt.Fprint(r.out, text)
		return errGolden
	}
	return nil
}

// goldenAfter gives the golden fence of the check at i, if it has one.
func goldenAfter(fences []Fence, i int) (Fence, bool) {
	if i+1 < len(fences) && fences[i].Kind == CheckFence && fences[i+1].Kind == GoldenFence {
		return fences[i+1], true
	}
	return Fence{}, false
}

// Rewrite gives a scenario's file with other texts in its golden fences, by their lines. It gives the error of [Parse] for what is no
// scenario.
func Rewrite(file string, src []byte, texts map[int]string) ([]byte, error) {
	s, err := Parse(file, src)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(s.src), "\n")
	for _, step := range slices.Backward(s.Steps) {
		for _, f := range slices.Backward(step.Fences) {
			if text, ok := texts[f.Line]; ok && f.Kind == GoldenFence {
				text = strings.TrimRight(text, "\n")
				lines = widened(f.rewritten(lines, text), f.Line-1, f.Line+strings.Count(text, "\n")+1, text)
			}
		}
	}
	return []byte(strings.Join(lines, "\n")), nil
}

// fenceMark finds the marks of a fence, and what looks like them in its text.
var fenceMark = regexp.MustCompile("(?m)^[ \t>]*(`{3,}|~{3,})")

// widened makes the marks of a fence longer than any in its text, which would end it. The fence is in the lines from one to another.
func widened(lines []string, from, to int, text string) []string {
	mark := fenceMark.FindStringSubmatch(lines[from])[1]
	wide := mark
	for _, m := range fenceMark.FindAllStringSubmatch(text, -1) {
		if m[1][0] == mark[0] && len(m[1]) >= len(wide) {
			wide = m[1] + mark[:1]
		}
	}
	lines[from] = strings.Replace(lines[from], mark, wide, 1)
	end := fenceMark.FindStringSubmatch(lines[to])[1]
	if len(end) < len(wide) {
		lines[to] = strings.Replace(lines[to], end, wide, 1)
	}
	return lines
}

// rewritten gives the lines of a file with another text in the fence.
func (f Fence) rewritten(lines []string, text string) []string {
	open := lines[f.Line-1]
	indent := open[:len(open)-len(strings.TrimLeft(open, " \t>"))]
	body := strings.Split(text, "\n")
	for i, line := range body {
		if line != "" || strings.Contains(indent, ">") {
			body[i] = indent + line
		}
	}
	return slices.Replace(lines, f.Line, f.Line+strings.Count(f.Text, "\n"), body...)
}

// maxPrinted bounds what of a check is kept for its golden fence, in bytes.
const maxPrinted = 1 << 20

// tee writes on, and keeps what is written between begin and end. It is safe for concurrent use.
type tee struct {
	to io.Writer

	mu   sync.Mutex
	on   bool
	kept bytes.Buffer
}

// Write takes all of p.
func (t *tee) Write(p []byte) (int, error) {
	t.mu.Lock()
	if t.on && t.kept.Len() < maxPrinted {
		t.kept.Write(p)
	}
	t.mu.Unlock()
	return t.to.Write(p)
}

func (t *tee) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on = true
	t.kept.Reset()
}

func (t *tee) end() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on = false
	return t.kept.String()
}
