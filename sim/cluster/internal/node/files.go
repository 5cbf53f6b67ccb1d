package node

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// files is a read-only tree of small files in memory: what a container's volumes hold, rooted at "/".
type files map[string]file // by path, as fs.ValidPath wants it

type file struct {
	data []byte
	mode fs.FileMode // permission bits
	at   time.Time
}

// put adds a file at an absolute path.
func (f files) put(abs string, x file) { f[strings.TrimPrefix(path.Clean(abs), "/")] = x }

// Open opens a file, or a directory that files are under.
func (f files) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if x, ok := f[name]; ok {
		return &openFile{info{path.Base(name), x}, bytes.NewReader(x.data)}, nil
	}
	below := map[string]info{}
	prefix := name + "/"
	if name == "." {
		prefix = ""
	}
	for p, x := range f {
		rest, ok := strings.CutPrefix(p, prefix)
		if !ok {
			continue
		}
		child, _, deeper := strings.Cut(rest, "/")
		if deeper {
			x = file{mode: fs.ModeDir | 0o755, at: x.at}
		}
		below[child] = info{child, x}
	}
	if len(below) == 0 && name != "." {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	d := &openDir{info: info{path.Base(name), file{mode: fs.ModeDir | 0o755}}}
	for _, i := range below {
		d.entries = append(d.entries, fs.FileInfoToDirEntry(i))
	}
	slices.SortFunc(d.entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return d, nil
}

type info struct {
	name string
	file file
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return int64(len(i.file.data)) }
func (i info) Mode() fs.FileMode  { return i.file.mode }
func (i info) ModTime() time.Time { return i.file.at }
func (i info) IsDir() bool        { return i.file.mode.IsDir() }
func (i info) Sys() any           { return nil }

type openFile struct {
	info
	*bytes.Reader
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }
func (f *openFile) Size() int64                { return f.info.Size() }

type openDir struct {
	info
	entries []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }
func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: fs.ErrInvalid}
}

// ReadDir gives the next n entries, or all that are left if n < 1.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n < 1 {
		n = len(d.entries)
	} else if len(d.entries) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.entries))
	out := d.entries[:n]
	d.entries = d.entries[n:]
	return out, nil
}
