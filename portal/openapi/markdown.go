package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// methods is the order in which a reader expects the operations of an address.
var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// Markdown writes a document for readers: operations by tag, then the types. It returns an error for what [Document] does
// not write.
func Markdown(doc []byte) ([]byte, error) {
	var d document
	if err := json.Unmarshal(doc, &d); err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: API %s\n\n<!-- Written by go generate ./portal from the code. Do not edit. -->\n\n%s\n\n"+
		"The same for programs: [openapi.json](openapi.json), and `GET /api/v1/openapi.json` of a running portal.\n", d.Info.Title, d.Info.Version, d.Info.Description)
	for _, t := range d.Tags {
		fmt.Fprintf(&b, "\n## %s\n", t.Name)
		for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
			for _, m := range methods {
				if o, there := d.Paths[path][strings.ToLower(m)]; there && o.Tags[0] == t.Name {
					o.markdown(&b, m, path)
				}
			}
		}
	}
	b.WriteString("\n## Types\n\nA field in *italics* may be left out.\n")
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		s := d.Components.Schemas[name]
		fmt.Fprintf(&b, "\n### %s\n\n| Field | Type | |\n|---|---|---|\n", name)
		for _, f := range slices.Sorted(maps.Keys(s.Properties)) {
			shown := "`" + f + "`"
			if !slices.Contains(s.Required, f) {
				shown = "*" + shown + "*"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", shown, s.Properties[f].words(), cell(s.Properties[f].Description))
		}
	}
	return []byte(b.String()), nil
}

// cell keeps text inside one cell of a table, and from being taken for HTML.
func cell(s string) string { return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(s) }

func (o operation) markdown(b *strings.Builder, method, path string) {
	fmt.Fprintf(b, "\n### `%s %s`\n\n%s. %s\n\n", method, path, o.Summary, o.Description)
	for _, p := range o.Parameters {
		if p.In == InPath {
			continue
		}
		fmt.Fprintf(b, "- %s `%s`: %s (%s)\n", p.In, p.Name, p.Description, p.Schema.words())
	}
	if o.Body != nil {
		fmt.Fprintf(b, "- body: %s\n", o.Body.Content["application/json"].Schema.words())
	}
	var problems []string
	for _, code := range slices.Sorted(maps.Keys(o.Responses)) {
		r := o.Responses[code]
		if r.Ref != "" {
			problems = append(problems, code)
			continue
		}
		fmt.Fprintf(b, "- answers %s %s", code, r.Description)
		for _, m := range slices.Sorted(maps.Keys(r.Content)) {
			fmt.Fprintf(b, ", %s as `%s`", r.Content[m].Schema.words(), m)
		}
		if len(r.Headers) > 0 {
			fmt.Fprintf(b, ", headers %s", strings.Join(slices.Sorted(maps.Keys(r.Headers)), ", "))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(b, "- problems: %s\n", strings.Join(problems, ", "))
}

// words names a type for a reader.
func (s *Schema) words() string {
	switch {
	case s.Ref != "":
		name := s.Ref[strings.LastIndex(s.Ref, "/")+1:]
		return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
	case len(s.Enum) > 0:
		quoted := make([]string, len(s.Enum))
		for i, e := range s.Enum {
			quoted[i] = strconv.Quote(e)
		}
		return "one of `" + strings.Join(quoted, " ") + "`"
	case s.Items != nil:
		return "array of " + s.Items.words()
	case s.Type == "object":
		return "map"
	case s.Format != "":
		return s.Format
	}
	if t, ok := s.Type.(string); ok {
		return t
	}
	return "JSON"
}
