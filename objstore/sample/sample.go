// Package sample holds real, public, slightly dirty tables for the sample bucket of a new environment.
//
// Beside each file in data stands a page on its source, its licence and what is wrong with it.
package sample

import (
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
)

//go:embed data
var data embed.FS

// File is a table.
type File struct {
	Name        string // "birdstrikes.csv"
	Description string // one sentence
	Licence     string // one sentence
	ContentType string
	Size        int64  // bytes of what Open gives
	SHA256      string // hex, of what Open gives
}

const publicDomain = "Work of the United States Government, in the public domain in the United States."

// Files lists the tables, largest first.
func Files() []File {
	return []File{
		{
			Name:        "birdstrikes.csv",
			Description: "10,000 wildlife strikes reported to the FAA, 1990 to 2002, with gaps, placeholders and repeated rows.",
			Licence:     publicDomain,
			ContentType: "text/csv",
			Size:        1223329,
			SHA256:      "45777edf69984b37599e73dbfb34dbc976055243547407214261a4fcb9466462",
		},
		{
			Name:        "airports.csv",
			Description: "3,376 airports of the United States with their positions; missing values are written as NA.",
			Licence:     publicDomain,
			ContentType: "text/csv",
			Size:        210365,
			SHA256:      "903c7169e6d558eefb95295fe2947ec8503135fbb855ea5c737cf4a90ea603ad",
		},
	}
}

// Open gives the table's bytes, decompressed as they are read. The caller closes it.
func (f File) Open() (io.ReadCloser, error) {
	in, err := data.Open(path.Join("data", f.Name+".gz"))
	if err != nil {
		return nil, fmt.Errorf("open sample %q: %w", f.Name, err)
	}
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open sample %q: %w", f.Name, err), in.Close())
	}
	return &table{z, in}, nil
}

// About gives the page on the table: source, licence and flaws, in Markdown.
func (f File) About() (string, error) {
	name := f.Name[:len(f.Name)-len(path.Ext(f.Name))] + ".md"
	b, err := fs.ReadFile(data, path.Join("data", name))
	if err != nil {
		return "", fmt.Errorf("read about sample %q: %w", f.Name, err)
	}
	return string(b), nil
}

type table struct {
	*gzip.Reader
	in fs.File
}

// Close closes the decompression and the file under it.
func (t *table) Close() error { return errors.Join(t.Reader.Close(), t.in.Close()) }
