package engine

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Format gives a scenario as it should be written: the shell of its fences as shfmt writes it, with two spaces, no space at
// the ends of lines, lines that end in "\n" alone, and one at the end. Prose and files are left as they are, since spaces at the end of
// a line mean something there. It gives the error of [Parse] for what is no scenario. What was formatted parses to
// the same scenario.
func Format(file string, src []byte) ([]byte, error) {
	s, err := Parse(file, src)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))), "\n")
	for _, step := range slices.Backward(s.Steps) {
		for _, f := range slices.Backward(step.Fences) {
			if f.stmts == nil {
				continue
			}
			text, err := formatShell(f.Text)
			if err != nil {
				return nil, &ParseError{File: file, Line: f.Line, Msg: err.Error()}
			}
			lines = f.rewritten(lines, strings.TrimRight(text, "\n"))
		}
	}
	return []byte(strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"), nil
}

func formatShell(text string) (string, error) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash), syntax.KeepComments(true)).Parse(strings.NewReader(text), "")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := syntax.NewPrinter(syntax.Indent(2), syntax.SpaceRedirects(true), syntax.SwitchCaseIndent(true)).Print(&b, file); err != nil {
		return "", fmt.Errorf("printing the shell: %w", err)
	}
	return b.String(), nil
}
