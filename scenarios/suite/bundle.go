package suite

import (
	"archive/zip"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/sim/durable"
)

// Bundles keeps what helps to understand failures: of each case that failed the files of its diagnosis, what was told of it and
// the scenario itself, without secrets. A zip has a folder for each case.
type Bundles struct {
	Path  string                                  // a directory, for a zip of each case, or FILE.zip, for one of all
	Wrote func(c Case, path string, failed error) // is told of each case's; nil: nobody is

	names map[string]int
	all   map[string][]byte // files of all cases, for one zip
}

// Report is the Bundles' [Report].
func (b *Bundles) Report(c Case) engine.Reporter {
	r := &bundle{of: b, c: c}
	r.Several = engine.Several{engine.Human{W: &r.human}, engine.JSON{W: &r.json}, r.html.Report(c)}
	return r
}

// bundle gathers what is told of one case.
type bundle struct {
	of *Bundles
	c  Case
	engine.Several
	human, json bytes.Buffer
	html        HTML
	files       []engine.File
}

// StepFinished tells it on, and keeps the files of a diagnosis.
func (r *bundle) StepFinished(e engine.StepFinished) {
	r.Several.StepFinished(e)
	r.files = append(r.files, e.Files...)
}

// ScenarioFinished writes the bundle, if the case failed and something is known of it.
func (r *bundle) ScenarioFinished(e engine.ScenarioFinished) {
	r.Several.ScenarioFinished(e)
	if e.Err == nil || len(r.files) == 0 {
		return
	}
	var page bytes.Buffer
	_, wrong := r.html.WriteTo(&page)
	files := append(r.files,
		engine.File{Name: "report.html", Data: page.Bytes()},
		engine.File{Name: "output.txt", Data: r.human.Bytes()},
		engine.File{Name: "report.jsonl", Data: r.json.Bytes()},
		engine.File{Name: "scenario.md", Data: e.Scenario.Source()},
	)
	where, err := r.of.write(r.c, files, e.Conceal)
	if r.of.Wrote != nil {
		r.of.Wrote(r.c, where, errors.Join(wrong, err))
	}
}

// write writes the files of one case, and gives where they are.
func (b *Bundles) write(c Case, files []engine.File, conceal func(string) string) (where string, err error) {
	folder := b.folder(c)
	own := map[string][]byte{}
	for _, f := range files {
		own[path.Join(folder, path.Clean("/"+f.Name))] = []byte(conceal(string(f.Data)))
	}
	where, contents := filepath.Join(b.Path, folder+".zip"), own
	if filepath.Ext(b.Path) == ".zip" {
		if b.all == nil {
			b.all = map[string][]byte{}
		}
		maps.Copy(b.all, own)
		where, contents = b.Path, b.all
	}
	text, err := zipped(contents)
	if err != nil {
		return where, err
	}
	if err := os.MkdirAll(filepath.Dir(where), 0o755); err != nil {
		return where, fmt.Errorf("make the directory for bundles: %w", err)
	}
	return where, durable.WriteFile(where, text, 0o644)
}

// folder names a case as a file: its scenario, its round if there were others before, a number if the name is taken.
func (b *Bundles) folder(c Case) string {
	name := strings.TrimSuffix(path.Base(filepath.ToSlash(c.Scenario.File)), ".md")
	if c.Round > 1 {
		name = fmt.Sprintf("%s-round-%d", name, c.Round)
	}
	if b.names == nil {
		b.names = map[string]int{}
	}
	b.names[name]++
	if n := b.names[name]; n > 1 {
		return fmt.Sprintf("%s-%d", name, n)
	}
	return cmp.Or(name, "scenario")
}

// epoch is the earliest time that a zip knows.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// zipped packs files in the order of their names, without times: the same files are the same bytes.
func zipped(files map[string][]byte) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: epoch})
		if err == nil {
			_, err = f.Write(files[name])
		}
		if err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack the bundle: %w", err)
	}
	return out.Bytes(), nil
}
