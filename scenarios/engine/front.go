package engine

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// frontMatter reads the YAML between the two "---" lines at the top of the file and gives the offset of what follows.
func (p *parser) frontMatter() (int, error) {
	const mark = "---\n"
	if !bytes.HasPrefix(p.src, []byte(mark)) {
		return 0, p.errorAt(1, `the file must begin with front matter: a line "---", "title: ...", a line "---"`)
	}
	end := bytes.Index(p.src[len(mark)-1:], []byte("\n"+mark))
	if end < 0 {
		return 0, p.errorAt(1, `the front matter has no end: a line "---" is missing`)
	}
	end += len(mark) - 1
	body := end + len("\n"+mark)
	// Blank first line: YAML's line numbers are then the file's.
	src := append([]byte("\n"), p.src[len(mark):min(end+1, body)]...)
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		return 0, p.yamlError(1, "", err)
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return 0, p.errorAt(1, `the front matter must be "key: value" lines with a title`)
	}
	var clock string
	fields := map[string]any{
		"title": &p.s.Title, "summary": &p.s.Summary, "minutes": &p.s.Minutes,
		"clusters": &p.s.Clusters, "clusters-because": &p.s.Because, "seed": &p.s.Seed, "tags": &p.s.Tags, "clock": &clock,
	}
	seen := map[string]bool{}
	for pairs := doc.Content[0].Content; len(pairs) > 1; pairs = pairs[2:] {
		key, value := pairs[0], pairs[1]
		to, ok := fields[key.Value]
		if !ok {
			return 0, p.errorAt(key.Line, "unknown key %q: front matter has %s", key.Value, strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		}
		if seen[key.Value] {
			return 0, p.errorAt(key.Line, "%s is given twice", key.Value)
		}
		seen[key.Value] = true
		if _, text := to.(*string); !text && value.Tag == "!!float" { // the library would cut it
			return 0, p.errorAt(value.Line, "front matter: %s: %s is no whole number", key.Value, value.Value)
		}
		if err := value.Decode(to); err != nil {
			return 0, p.yamlError(key.Line, key.Value+": ", err)
		}
		if key.Value == "clock" {
			if err := p.clock(clock); err != nil {
				return 0, p.errorAt(key.Line, "clock: %v", err)
			}
		}
	}
	if strings.TrimSpace(p.s.Title) == "" {
		return 0, p.errorAt(1, "the front matter has no title")
	}
	if p.s.Minutes < 0 {
		return 0, p.errorAt(1, "minutes must not be negative")
	}
	return body, nil
}

// clock reads what the front matter says of the clock.
func (p *parser) clock(value string) error {
	switch value {
	case "real":
		return nil
	case "virtual":
		p.s.Virtual = true
		return nil
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return fmt.Errorf("%q is neither real nor virtual nor a time like 2027-01-31T08:00:00Z, at which a virtual clock begins", value)
	}
	p.s.Virtual, p.s.Start = true, t.UTC()
	return nil
}

// yamlLine finds the line in an error of the YAML library, which has it in its text only.
var yamlLine = regexp.MustCompile(`line (\d+): `)

// yamlError gives err, about what is said, with the line that it names, or line.
func (p *parser) yamlError(line int, what string, err error) error {
	text := err.Error()
	if e, ok := errors.AsType[*yaml.TypeError](err); ok && len(e.Errors) > 0 {
		text = e.Errors[0]
	}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil && n > 0 {
			line = n
		}
		text = strings.TrimPrefix(strings.Replace(text, m[0], "", 1), "yaml: ")
		if strings.HasPrefix(text, "did not find") { // the library counts from 0 in what its parser, not its scanner, finds
			line++
		}
	}
	return p.errorAt(line, "front matter: %s%s", what, text)
}
