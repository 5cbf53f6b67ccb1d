package engine

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark/ast"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// Finding is something in a scenario that is wrong although it parses.
type Finding struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Msg  string `json:"message"`
}

// String gives "file:line: message".
func (f Finding) String() string { return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Msg) }

// WordCheck looks at how a word is used and says what is wrong, "" if nothing is. Arguments that are known only when the
// scenario runs are [Unknown].
type WordCheck func(args []string) string

// Unknown stands for an argument that a scenario computes.
const Unknown = "\x00"

// Lint finds what would go wrong, or never go wrong, when the scenario runs: words that nobody knows, wrong arguments of those
// in words (nil: not looked at), checks that cannot fail, waits without an end, fences of shell that nothing runs, and links
// that lead nowhere, looked up from the directory of s.File. Findings are in the order of the file.
func Lint(s *Scenario, words map[string]WordCheck) []Finding {
	l := &linter{s: s, words: words, functions: map[string]bool{}}
	for _, step := range s.Steps {
		for _, f := range step.Fences {
			for _, stmt := range f.stmts {
				syntax.Walk(stmt, func(n syntax.Node) bool {
					if fn, ok := n.(*syntax.FuncDecl); ok && fn.Name != nil {
						l.functions[fn.Name.Value] = true
					}
					return true
				})
			}
		}
	}
	checks := 0
	for _, step := range s.Steps {
		for i, f := range step.Fences {
			if f.Kind == CheckFence {
				checks++
			}
			_, compared := goldenAfter(step.Fences, i)
			l.fence(f, compared)
			if f.Kind == GoldenFence {
				l.golden(f)
			}
		}
	}
	if checks == 0 {
		l.add(s.Steps[0].Line, "the scenario checks nothing: give it a fence \"sh check\"")
	}
	l.markdown()
	slices.SortStableFunc(l.found, func(a, b Finding) int { return a.Line - b.Line })
	return slices.Compact(l.found)
}

type linter struct {
	s         *Scenario
	words     map[string]WordCheck
	functions map[string]bool
	found     []Finding
}

func (l *linter) add(line int, format string, args ...any) {
	l.found = append(l.found, Finding{File: l.s.File, Line: line, Msg: fmt.Sprintf(format, args...)})
}

// golden looks whether a golden fence holds what the next run cannot print.
func (l *linter) golden(f Fence) {
	if strings.TrimSpace(f.Text) == "" {
		l.add(f.Line, "this fence is empty: 'dpesim scenario run --update' writes what the check before it prints")
	}
	for _, name := range slices.Sorted(maps.Keys(masks())) {
		if name == "space" || slices.Contains(f.Masks, name) {
			continue
		}
		for _, m := range masks()[name] {
			if found := m.pattern.FindString(f.masked(f.Text)); found != "" {
				l.add(f.Line, "%q is hardly what the next run prints: name the mask %s (mask=%[2]s)", found, name)
				break
			}
		}
	}
}

// fence looks at the shell of a fence. What a check prints may be compared with a golden fence: it can fail by that.
func (l *linter) fence(f Fence, compared bool) {
	for _, stmt := range f.stmts {
		syntax.Walk(stmt, func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.CallExpr:
				if args, ok := literal(n.Args); len(args) > 0 {
					l.call(int(n.Pos().Line()), args, ok, false)
				}
			case *syntax.Stmt:
				if call, ok := n.Cmd.(*syntax.CallExpr); ok && n.Negated && len(call.Args) > 0 && l.functions[call.Args[0].Lit()] {
					name := call.Args[0].Lit()
					l.add(int(n.Pos().Line()), "the first command that fails in %s ends the step, in spite of the !: write 'if %[1]s; then false; fi'", name)
				}
			case *syntax.WhileClause:
				l.add(int(n.Pos().Line()), "this loop may never end: use eventually DURATION COMMAND, or consistently")
			}
			return true
		})
	}
	if f.Kind == CheckFence && !compared && !slices.ContainsFunc(f.stmts, l.canFail) {
		l.add(f.Line, "this check cannot fail: nothing in it looks at anything")
	}
}

// literal gives words as they are written, [Unknown] for those that are computed, and whether their number is known.
func literal(words []*syntax.Word) (args []string, counted bool) {
	counted = true
	for _, w := range words {
		var arg strings.Builder
		known := true
		for _, part := range w.Parts {
			switch p := part.(type) {
			case *syntax.Lit:
				arg.WriteString(unescaped(p.Value))
			case *syntax.SglQuoted:
				arg.WriteString(p.Value)
			case *syntax.DblQuoted:
				for _, q := range p.Parts {
					lit, ok := q.(*syntax.Lit)
					if ok {
						arg.WriteString(unescaped(lit.Value))
						continue
					}
					known = false
					if e, ok := q.(*syntax.ParamExp); ok && e.Param != nil && (e.Param.Value == "@" || e.Index != nil) {
						counted = false
					}
				}
			default: // may become none or many
				known, counted = false, false
			}
		}
		if known {
			args = append(args, arg.String())
		} else {
			args = append(args, Unknown)
		}
	}
	return args, counted
}

var backslash = regexp.MustCompile(`\\(.)`)

func unescaped(s string) string { return backslash.ReplaceAllString(s, "$1") }

// endless are words that go on until somebody stops them, by one of their arguments.
var endless = map[string][]string{
	"kubectl": {"-w", "--watch", "--watch-only", "-f", "--follow", "port-forward", "proxy"},
	"dpesim":  {"--follow"},
}

// call looks at one use of a word. bounded: something around it ends it.
func (l *linter) call(line int, args []string, counted, bounded bool) {
	word, rest := args[0], args[1:]
	switch word {
	case Unknown, "":
		return
	case "sleep":
		l.add(line, "sleep is no way to wait: use eventually DURATION COMMAND, which looks again at each event")
		return
	case "eventually", "consistently", "within":
		if len(rest) > 1 {
			l.call(line, rest[1:], counted, word == "within")
		}
		return
	case "record":
		if i := slices.Index(rest, "--"); i > 1 && i < len(rest)-1 {
			l.call(line, rest[1:i], counted, true)
			l.call(line, rest[i+1:], counted, bounded)
		}
		return
	}
	check, known := l.words[word]
	if !known && !l.functions[word] && !slices.Contains(ownWords, word) && !interp.IsBuiltin(word) {
		l.add(line, "%s is neither a word of scenarios nor a function of this file: it works only where there is such a program", word)
	}
	if !bounded && slices.ContainsFunc(endless[word], func(flag string) bool {
		return slices.ContainsFunc(rest, func(a string) bool { return a == flag && !(flag == "-f" && !slices.Contains(rest, "logs")) })
	}) {
		l.add(line, "this goes on until somebody stops it: put within DURATION before it, or let record stop it")
	}
	if check != nil && counted {
		if wrong := check(rest); wrong != "" {
			l.add(line, "%s: %s", word, wrong)
		}
	}
}

// harmless are words that succeed whatever is the case.
var harmless = []string{"say", "echo", "printf", "true", ":", "export", "set", "local", "unset", "cd", "exit"}

// canFail tells whether a statement can fail because of what it looks at.
func (l *linter) canFail(stmt *syntax.Stmt) bool {
	if stmt.Background {
		return false
	}
	switch c := stmt.Cmd.(type) {
	case *syntax.FuncDecl, nil:
		return false
	case *syntax.BinaryCmd:
		if c.Op == syntax.OrStmt {
			return l.canFail(c.Y)
		}
		return l.canFail(c.X) || l.canFail(c.Y)
	case *syntax.CallExpr:
		args, _ := literal(c.Args)
		if len(args) == 0 || slices.Contains(harmless, args[0]) {
			return len(args) == 0 && substitutes(c.Assigns)
		}
	case *syntax.Block:
		return slices.ContainsFunc(c.Stmts, l.canFail)
	case *syntax.Subshell:
		return slices.ContainsFunc(c.Stmts, l.canFail)
	}
	return true
}

// substitutes tells whether an assignment takes the output of a command, with whose failure it fails.
func substitutes(assigns []*syntax.Assign) bool {
	found := false
	for _, a := range assigns {
		syntax.Walk(a, func(n syntax.Node) bool {
			_, is := n.(*syntax.CmdSubst)
			found = found || is
			return true
		})
	}
	return found
}

// markdown looks at fences of shell that nothing runs, and at links.
func (l *linter) markdown() {
	root, doc := l.s.document()
	anchors := map[string]bool{}
	type link struct {
		line int
		to   string
	}
	var links []link
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			anchors[anchor(string(n.Lines().Value(doc)))] = true
		case *ast.FencedCodeBlock:
			info := ""
			if n.Info != nil {
				info = strings.TrimSpace(string(n.Info.Segment.Value(doc)))
			}
			if slices.Contains([]string{"sh", "bash", "shell", "console"}, info) {
				l.add(l.s.line(n.Pos()), "nothing runs this fence: make it \"sh run\", \"sh check\" or \"text\"")
			}
		case *ast.Link:
			links = append(links, link{l.s.line(max(0, position(n))), string(n.Destination)})
		case *ast.Image:
			links = append(links, link{l.s.line(max(0, position(n))), string(n.Destination)})
		}
		return ast.WalkContinue, nil
	})
	for _, k := range links {
		l.link(k.line, k.to, anchors)
	}
}

// position gives the offset of an inline element: that of its first text, or of the block around it.
func position(n ast.Node) int {
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if t, ok := c.(*ast.Text); ok {
			return t.Segment.Start
		}
	}
	for p := n.Parent(); p != nil; p = p.Parent() {
		if p.Type() == ast.TypeBlock && p.Lines().Len() > 0 {
			return p.Lines().At(0).Start
		}
	}
	return 0
}

var notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)

// anchor gives the id that GitHub makes of a heading.
func anchor(heading string) string {
	return strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), ""), " ", "-")
}

// link looks whether a link leads somewhere: to a heading or to a file. What is elsewhere is not asked for.
func (l *linter) link(line int, to string, anchors map[string]bool) {
	file, fragment, _ := strings.Cut(to, "#")
	switch {
	case strings.Contains(file, ":"): // a URL
	case file == "":
		if !anchors[fragment] {
			l.add(line, "the link #%s leads to no heading; there are %s", fragment, strings.Join(slices.Sorted(maps.Keys(anchors)), ", "))
		}
	default:
		if _, err := os.Stat(filepath.Join(filepath.Dir(l.s.File), filepath.FromSlash(file))); err != nil {
			l.add(line, "the link to %s leads to no file", to)
		}
	}
}
