// Package chart is the Helm chart of a self-managed DPE, one version per platform release, and the values that the
// portal generates for it.
//
// The chart is a real one: it is what an operator installs with helm into any cluster. It is stored as one base tree and,
// per release, the files that differ; [Archive] puts them together. How the product's own chart looks inside is not
// public: every name of a value but customJdbcDrivers.enabled and customJdbcDrivers.sha256 is our choice (assumption).
package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/dpesim/dpesim/sim"
)

// Name is the chart's name, and the last part of its repository in the registry.
const Name = "dpe"

const (
	schemaFile = "values.schema.json"
	patchFile  = "values.schema.patch.json"
)

// templateSuffix ends the names of files that are Go templates, with [[ ]], of the file without it.
const templateSuffix = ".tmpl"

// files holds base/, the tree of the oldest release, and one folder per later release with what differs from the release
// before: a file there replaces the older one, and values.schema.patch.json (RFC 7396) changes the schema. Files that
// differ in a word are templates of [templateSuffix].
//
//go:embed all:files
var files embed.FS

// Releases lists the platform releases that have a chart, oldest first. 14.5.0 is a long-term release (product-facts,
// "Versions"); the others are interim releases.
func Releases() []sim.Release { return []sim.Release{"14.5.0", "15.1.0", "15.3.0"} }

// OldestEngine gives the oldest release whose engines a platform of a release works with: "The version of a self-managed DPE
// can differ from the platform version unless there are changes introduced on the platform side that would make the DPE
// upgrade a requirement" (seed, "Self-managed DPE upgrades"). Which releases those are is not public: that 15.3.0 demands
// 15.1.0 is our assumption.
func OldestEngine(platform sim.Release) sim.Release {
	if platform.Compare("15.3.0") >= 0 {
		return "15.1.0"
	}
	return Releases()[0]
}

// Archive packages the chart of a release, as `helm package` would: a gzipped tar with everything below one folder named
// [Name]. The same release gives the same bytes each time, so its digest is the same on every machine. It returns
// NotFound if r has no chart.
func Archive(r sim.Release) ([]byte, error) {
	tree, err := assemble(r)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		h := &tar.Header{Name: path.Join(Name, name), Mode: 0o644, Size: int64(len(tree[name])), ModTime: time.Unix(0, 0).UTC(), Format: tar.FormatUSTAR}
		if err := tw.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("package %s of chart %s: %w", name, r, err)
		}
		if _, err := tw.Write(tree[name]); err != nil {
			return nil, fmt.Errorf("package %s of chart %s: %w", name, r, err)
		}
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		return nil, fmt.Errorf("package chart %s: %w", r, err)
	}
	return buf.Bytes(), nil
}

// assemble gives the files of a release's chart by their path in it.
func assemble(r sim.Release) (map[string][]byte, error) {
	if err := known(r); err != nil {
		return nil, err
	}
	tree := map[string][]byte{}
	layers := []string{"files/base"}
	for _, older := range Releases()[1:] {
		if older.Compare(r) <= 0 {
			layers = append(layers, "files/"+string(older))
		}
	}
	for _, layer := range layers {
		if err := overlay(tree, layer, r); err != nil {
			return nil, fmt.Errorf("chart %s: %w", r, err)
		}
	}
	return tree, nil
}

// overlay puts the files of a layer over the tree of release r.
func overlay(tree map[string][]byte, layer string, r sim.Release) error {
	return fs.WalkDir(files, layer, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := files.ReadFile(p)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(p, layer+"/")
		if short, ok := strings.CutSuffix(name, templateSuffix); ok {
			name = short
			if b, err = expand(p, b, r); err != nil {
				return err
			}
		}
		if name == patchFile {
			name = schemaFile
			if b, err = patchJSON(tree[schemaFile], b); err != nil {
				return fmt.Errorf("patch the values schema by %s: %w", p, err)
			}
		}
		tree[name] = b
		return nil
	})
}

// expand executes a file that is a template for release r.
func expand(name string, text []byte, r sim.Release) ([]byte, error) {
	t, err := template.New(name).Delims("[[", "]]").Funcs(template.FuncMap{
		"atLeast": func(o sim.Release) bool { return r.Compare(o) >= 0 },
	}).Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	var buf bytes.Buffer
	if err := t.Execute(&buf, struct{ Release sim.Release }{r}); err != nil {
		return nil, fmt.Errorf("expand: %w", err)
	}
	return buf.Bytes(), nil
}

// known returns NotFound if r has no chart.
func known(r sim.Release) error {
	if slices.Contains(Releases(), r) {
		return nil
	}
	return sim.Errorf(sim.NotFound, "there is no DPE chart of release %q", string(r)).WithHelp("the releases are %v", Releases())
}

// patchJSON applies a JSON merge patch and gives the result indented, keys sorted.
func patchJSON(doc, patch []byte) ([]byte, error) {
	var d, p any
	if err := errors.Join(json.Unmarshal(doc, &d), json.Unmarshal(patch, &p)); err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(merge(d, p), "", "  ")
	return append(b, '\n'), err
}

// merge is the algorithm of RFC 7396, section 2: objects merge, null removes, everything else replaces.
func merge(doc, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	d, ok := doc.(map[string]any)
	if !ok {
		d = map[string]any{}
	}
	for k, v := range p {
		if v == nil {
			delete(d, k)
		} else {
			d[k] = merge(d[k], v)
		}
	}
	return d
}
