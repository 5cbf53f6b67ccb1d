package ui

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed page/*.html
var pageFiles embed.FS

// layoutFile holds what all pages share.
const layoutFile = "page/layout.html"

// templates parses the pages once, at first use: command lines that show no page do not pay for it.
var templates = sync.OnceValues(func() (map[string]*template.Template, error) {
	layout, err := template.New("").Funcs(template.FuncMap{"stamp": stamp, "address": address, "asset": assetLink, "soft": soft, "arrows": arrows}).ParseFS(pageFiles, layoutFile)
	if err != nil {
		return nil, fmt.Errorf("parse layout: %w", err)
	}
	names, err := fs.Glob(pageFiles, "page/*.html")
	if err != nil {
		return nil, fmt.Errorf("list pages: %w", err)
	}
	out := map[string]*template.Template{}
	for _, name := range names {
		if name == layoutFile {
			continue
		}
		t, err := layout.Clone()
		if err == nil {
			t, err = t.ParseFS(pageFiles, name)
		}
		if err != nil {
			return nil, fmt.Errorf("parse page: %w", err)
		}
		out[strings.TrimSuffix(path.Base(name), ".html")] = t
	}
	return out, nil
})

// stamp writes a time for people and machines.
func stamp(t time.Time) template.HTML {
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, t.Format(time.RFC3339Nano), t.Format("2006-01-02 15:04:05 UTC"))) //nolint:gosec // digits and fixed text
}

// soft lets a long name be broken after each separator: "/" of an object's key, "." of a host.
func soft(separator, s string) template.HTML {
	s = template.HTMLEscapeString(s)
	return template.HTML(strings.ReplaceAll(s, separator, separator+"<wbr>")) //nolint:gosec // escaped, and fixed text
}

// arrows are the states of wires in the picture of the perimeter, each of which has an arrow of its own.
func arrows() []string { return []string{"idle", "active", "bad"} }

// Words writes names with values: what an event or an entry of the audit log holds.
func Words(detail map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(detail)) {
		if detail[k] != "" {
			out = append(out, k+" "+detail[k])
		}
	}
	return strings.Join(out, " · ")
}

// address is something to copy, for the template of that name.
func address(id, title, text string) Command { return Command{ID: id, Title: title, Text: text} }

// render writes the block of a page that is named; "layout" is the whole page.
func render(page, block string, data any) ([]byte, error) {
	all, err := templates()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := all[page].ExecuteTemplate(&b, block, data); err != nil {
		return nil, fmt.Errorf("render page %s: %w", page, err)
	}
	return b.Bytes(), nil
}
