package engine

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
	"mvdan.cc/sh/v3/syntax"
)

// Parse reads a scenario. Every error is a *[ParseError] with the line, counted from 1; file is only a name for it.
func Parse(file string, src []byte) (*Scenario, error) {
	src = bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))
	p := &parser{s: &Scenario{File: file, src: src}, src: src, names: map[string]int{}}
	var err error
	if p.s.body, err = p.frontMatter(); err != nil {
		return nil, err
	}
	if err := p.markdown(); err != nil {
		return nil, err
	}
	if len(p.s.Steps) == 0 {
		return nil, p.errorf(p.s.body, `the scenario has no step: each begins with a heading "## Name"`)
	}
	return p.s, nil
}

// parser reads one file. Offsets count in src, the whole file.
type parser struct {
	s     *Scenario
	src   []byte
	names map[string]int // line of the step of that name
	from  int            // where the prose that is not yet taken begins
}

func (p *parser) errorAt(line int, format string, args ...any) error {
	return &ParseError{File: p.s.File, Line: line, Msg: fmt.Sprintf(format, args...)}
}

func (p *parser) errorf(offset int, format string, args ...any) error {
	return p.errorAt(p.s.line(offset), format, args...)
}

// document reads the Markdown. The front matter is blanked, so that offsets in the document are offsets in the file.
func (s *Scenario) document() (root ast.Node, doc []byte) {
	doc = append(bytes.Repeat([]byte("\n"), s.body), s.src[s.body:]...)
	return goldmark.DefaultParser().Parse(text.NewReader(doc)), doc
}

// line gives the line, counted from 1, of an offset.
func (s *Scenario) line(offset int) int { return 1 + bytes.Count(s.src[:offset], []byte("\n")) }

// markdown reads the steps.
func (p *parser) markdown() error {
	p.from = p.s.body
	root, _ := p.s.document()
	err := ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			if n.Level == 2 {
				return ast.WalkSkipChildren, p.heading(n)
			}
		case *ast.FencedCodeBlock:
			return ast.WalkSkipChildren, p.fence(n)
		}
		return ast.WalkContinue, nil
	})
	p.takeProse(len(p.src))
	return err
}

// takeProse gives the text from the last taken place up to offset to the current step.
func (p *parser) takeProse(upTo int) {
	prose := strings.TrimSpace(string(p.src[p.from:max(p.from, upTo)]))
	if n := len(p.s.Steps); n > 0 {
		p.s.Steps[n-1].Prose = strings.TrimSpace(p.s.Steps[n-1].Prose + "\n\n" + prose)
	} else {
		p.s.Intro = prose
	}
	p.from = max(p.from, upTo)
}

// lineStart gives where the line around offset begins.
func (p *parser) lineStart(offset int) int { return 1 + bytes.LastIndexByte(p.src[:offset], '\n') }

// lineEnd gives where the line after the one around offset begins.
func (p *parser) lineEnd(offset int) int {
	if i := bytes.IndexByte(p.src[offset:], '\n'); i >= 0 {
		return offset + i + 1
	}
	return len(p.src)
}

func (p *parser) heading(n *ast.Heading) error {
	if n.Lines().Len() == 0 {
		return p.errorf(n.Pos(), "this step has no name")
	}
	seg := n.Lines().At(0)
	name, line := strings.TrimSpace(string(seg.Value(p.src))), p.s.line(seg.Start)
	if n.Parent().Kind() != ast.KindDocument {
		return p.errorAt(line, "a step cannot begin inside a list or a quotation")
	}
	if before := p.names[name]; before > 0 {
		return p.errorAt(line, "there is a step %q already, on line %d: reports need different names", name, before)
	}
	p.names[name] = line
	p.takeProse(p.lineStart(seg.Start))
	p.from = p.lineEnd(n.Lines().At(n.Lines().Len() - 1).Start)
	p.s.Steps = append(p.s.Steps, Step{Name: name, Line: line})
	return nil
}

// known lists the fences that do something, for messages.
const known = "sh guard, sh run, sh solve, sh check, sh hint, text hint, sh finally, text golden, json golden, or LANGUAGE file=NAME"

func (p *parser) fence(n *ast.FencedCodeBlock) error {
	line := p.s.line(n.Pos())
	info := ""
	if n.Info != nil {
		info = string(n.Info.Segment.Value(p.src))
	}
	end, err := p.fenceEnd(n, line)
	if err != nil {
		return err
	}
	if len(p.s.Steps) == 0 {
		return p.errorAt(line, `fences belong to steps: put a heading "## Name" above this one`)
	}
	words := strings.Fields(info)
	if len(words) < 2 {
		return nil // prose
	}
	if len(words) > 1 && words[1] == string(GoldenFence) {
		return p.golden(n, words, line, end)
	}
	if len(words) > 2 {
		return p.errorAt(line, "the fence says %q: after its language a fence has one word: %s", info, known)
	}
	f := Fence{Line: line, Text: string(n.Lines().Value(p.src))}
	if name, ok := strings.CutPrefix(words[1], "file="); ok {
		f.Kind, f.Name = FileFence, name
		if words[0] == "sh" {
			return p.errorAt(line, "a file cannot have the language sh: that is for what is run; name it text")
		}
		if err := checkFileName(name); err != nil {
			return p.errorAt(line, "file=%s: %v", name, err)
		}
	} else {
		f.Kind = Kind(words[1])
		ofText := words[0] == "text" && f.Kind == HintFence
		if !f.Kind.word() || words[0] != "sh" && !ofText {
			return p.errorAt(line, "the fence says %q: a fence that does something is %s", info, known)
		}
		if strings.TrimSpace(f.Text) == "" {
			return p.errorAt(line, "this fence does nothing: it is empty")
		}
		if !ofText {
			if f.stmts, err = p.shell(f, line); err != nil {
				return err
			}
		}
	}
	p.takeProse(p.lineStart(n.Pos()))
	p.from = end
	step := &p.s.Steps[len(p.s.Steps)-1]
	step.Fences = append(step.Fences, f)
	return nil
}

// golden reads a golden fence: its second word is that, its third may name masks.
func (p *parser) golden(n *ast.FencedCodeBlock, words []string, line, end int) error {
	f := Fence{Kind: GoldenFence, Line: line, Name: words[0], Text: string(n.Lines().Value(p.src))}
	step := &p.s.Steps[len(p.s.Steps)-1]
	list, named := "", len(words) == 2
	if len(words) == 3 {
		list, named = strings.CutPrefix(words[2], "mask=")
	}
	switch {
	case words[0] != "text" && words[0] != "json":
		return p.errorAt(line, "what a check prints is \"text golden\" or \"json golden\", not %q", words[0]+" golden")
	case !named:
		return p.errorAt(line, "after golden a fence has at most mask=NAME,NAME...; the masks are %s", maskNames())
	case len(step.Fences) == 0 || step.Fences[len(step.Fences)-1].Kind != CheckFence:
		return p.errorAt(line, "a golden fence holds what the \"sh check\" before it prints: put it after one")
	}
	for name := range strings.SplitSeq(list, ",") {
		if _, ok := masks()[name]; !ok && len(words) == 3 {
			return p.errorAt(line, "there is no mask %q; the masks are %s", name, maskNames())
		}
		if len(words) == 3 {
			f.Masks = append(f.Masks, name)
		}
	}
	if strings.TrimSpace(f.Text) != "" {
		if _, err := f.canonical(f.Text); err != nil {
			return p.errorAt(line, "what the fence holds: %v", err)
		}
	}
	p.takeProse(p.lineStart(n.Pos()))
	p.from = end
	step.Fences = append(step.Fences, f)
	return nil
}

// fenceEnd gives the offset after the closing fence. One that is missing would swallow the steps that follow.
func (p *parser) fenceEnd(n *ast.FencedCodeBlock, line int) (int, error) {
	last := n.Pos()
	if k := n.Lines().Len(); k > 0 {
		last = n.Lines().At(k - 1).Start
	}
	closing := p.lineEnd(last)
	end := p.lineEnd(closing)
	mark := strings.TrimLeft(string(p.src[closing:end]), " \t>")
	if !strings.HasPrefix(mark, "```") && !strings.HasPrefix(mark, "~~~") {
		return 0, p.errorAt(line, "this fence is never closed")
	}
	return end, nil
}

// shell parses a fence so that positions are lines of the file.
func (p *parser) shell(f Fence, line int) ([]*syntax.Stmt, error) {
	file, err := parseShell(strings.Repeat("\n", line) + f.Text)
	if e, ok := errors.AsType[syntax.ParseError](err); ok {
		return nil, p.errorAt(max(int(e.Pos.Line()), line), "%s", e.Text)
	}
	if e, ok := errors.AsType[syntax.LangError](err); ok {
		return nil, p.errorAt(max(int(e.Pos.Line()), line), "%s", e.Error())
	}
	if err != nil {
		return nil, p.errorAt(line, "%v", err)
	}
	if len(file.Stmts) == 0 {
		return nil, p.errorAt(line, "this fence does nothing: it has no command")
	}
	return file.Stmts, nil
}

// parseShell reads what the shell understands.
func parseShell(text string) (*syntax.File, error) {
	return syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
}

// checkFileName refuses names that lead out of the working directory or mean something else on another system.
func checkFileName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is missing")
	case strings.ContainsAny(name, "\\:\x00"):
		return errors.New(`a name has no backslash and no colon: it must be one on every system`)
	case path.IsAbs(name) || !filepath.IsLocal(filepath.FromSlash(name)):
		return errors.New("the file must lie inside the scenario's working directory: neither an absolute path nor .. leads there")
	case path.Clean(name) != name || name == ".":
		return fmt.Errorf("write it as %s", path.Clean(name))
	}
	return nil
}
