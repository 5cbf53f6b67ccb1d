// Package driver reads custom drivers: connectors of the organisation's own that an engine fetches as one archive when it
// starts (seed, "How to deploy custom drivers?").
//
// The archive is not trusted: [Unpack] refuses what does not belong in it, and its bounds hold whatever the archive says
// of itself. JARs are looked into, not executed.
package driver

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/dpesim/dpesim/sim"
)

// The bounds of an archive (assumption): the JDBC drivers that are in use have some 100 MiB at most.
const (
	MaxArchive  = 1 << 30 // bytes, packed
	maxUnpacked = 4 << 30 // bytes, all files together
	maxFiles    = 10_000  // entries
	maxConfig   = 1 << 20 // bytes of a .properties file
	maxName     = 63      // letters of a driver's name
	// MaxDrivers is how many custom drivers an engine loads: it names each one to DPM.
	MaxDrivers = 100
)

// Where an archive holds what.
const (
	root      = "drivers"
	configDir = root + "/configs"
	filesDir  = root + "/drivers"
)

// property is what the names of a driver's properties begin with; an id and the names below follow (product-facts, section 2).
const property = "plugin.jdbcdatasource.ataccama.one.driver."

// Driver is a custom driver that was unpacked.
type Driver struct {
	Name       string            // letters; of its folders
	ID         string            // in the names of its properties
	Class      string            // of the JDBC driver, java.sql.Driver
	Properties map[string]string // all of its configuration; may hold passwords
	Files      []string          // class path, relative to the folder that it was unpacked into, sorted
}

// Unpack reads a zip of size bytes and writes its drivers into dir, which must exist and be empty. It gives them sorted
// by name, and the entries that it left out because they stand outside the folder drivers. It returns Invalid, with a
// sentence that names the entry, for an archive that does not follow the standard structure, and Unavailable if dir cannot
// be written.
func Unpack(ctx context.Context, r io.ReaderAt, size int64, dir string) (drivers []Driver, ignored []string, err error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, nil, invalid("it is no zip archive (%v)", err)
	}
	l, err := arrange(z)
	if err != nil {
		return nil, nil, err
	}
	out, err := os.OpenRoot(dir) // whatever the names are, nothing is written outside
	if err != nil {
		return nil, nil, unwritable(err)
	}
	defer out.Close() //nolint:errcheck // a directory
	left := int64(maxUnpacked)
	for _, name := range slices.Sorted(maps.Keys(l.drivers)) {
		p := l.drivers[name]
		d := Driver{Name: name}
		for _, f := range append([]*zip.File{p.config}, p.files...) {
			if left, err = write(ctx, out, f, left); err != nil {
				return nil, nil, err
			}
		}
		for _, f := range p.files {
			d.Files = append(d.Files, f.Name)
		}
		slices.Sort(d.Files)
		if err := d.configure(out, p.config.Name); err != nil {
			return nil, nil, err
		}
		if err := d.findClass(out); err != nil {
			return nil, nil, err
		}
		drivers = append(drivers, d)
	}
	return drivers, l.ignored, nil
}

// configure reads the driver's properties.
func (d *Driver) configure(out *os.Root, file string) error {
	text, err := fs.ReadFile(out.FS(), file)
	if err != nil {
		return unwritable(err)
	}
	if d.Properties, err = parseProperties(text); err != nil {
		return invalid("%s cannot be read: %v", file, err)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Properties)) {
		id, ours := strings.CutPrefix(name, property)
		id, class := strings.CutSuffix(id, ".driver-class")
		switch {
		case !ours || !class:
		case d.ID != "":
			return invalid("%s configures two drivers, %q and %q", file, d.ID, id)
		default:
			d.ID, d.Class = id, strings.TrimSpace(d.Properties[name])
		}
	}
	if d.ID == "" || d.Class == "" {
		return invalid("%s names no driver class: the property %s<id>.driver-class is missing or empty", file, property)
	}
	return nil
}

// findClass makes sure that the class is on the class path: as a file, or in one of the JARs.
func (d *Driver) findClass(out *os.Root) error {
	want := strings.ReplaceAll(d.Class, ".", "/") + ".class"
	for _, name := range d.Files {
		if name == path.Join(filesDir, d.Name, want) {
			return nil
		}
		if !strings.EqualFold(path.Ext(name), ".jar") {
			continue
		}
		found, err := holds(out, name, want)
		if err != nil || found {
			return err
		}
	}
	return invalid("the class %s of the driver %s is in none of the files of %s", d.Class, d.Name, path.Join(filesDir, d.Name))
}

// holds looks for a file in a JAR.
func holds(out *os.Root, jar, want string) (bool, error) {
	f, err := out.Open(jar)
	if err != nil {
		return false, unwritable(err)
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return false, unwritable(err)
	}
	z, err := zip.NewReader(f, info.Size())
	if err != nil {
		return false, invalid("%s is no JAR (%v)", jar, err)
	}
	return slices.ContainsFunc(z.File, func(f *zip.File) bool { return f.Name == want }), nil
}

// write unpacks one file and gives what is left of the bytes that may be unpacked.
func write(ctx context.Context, out *os.Root, f *zip.File, left int64) (int64, error) {
	if err := out.MkdirAll(path.Dir(f.Name), 0o700); err != nil {
		return 0, unwritable(err)
	}
	to, err := out.OpenFile(f.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, unwritable(err)
	}
	limit := left
	if path.Dir(path.Dir(f.Name)) == configDir {
		limit = min(limit, maxConfig)
	}
	n, err := unpack(ctx, to, f, limit)
	if e := to.Close(); err == nil && e != nil {
		err = unwritable(e)
	}
	return left - n, err
}

func unpack(ctx context.Context, to io.Writer, f *zip.File, limit int64) (int64, error) {
	from, err := f.Open()
	if err != nil {
		return 0, invalid("%s cannot be unpacked (%v)", f.Name, err)
	}
	defer from.Close() //nolint:errcheck // only read
	source := &reader{ctx: ctx, r: io.LimitReader(from, limit+1)}
	n, err := io.Copy(to, source)
	switch {
	case ctx.Err() != nil:
		return n, ctx.Err()
	case source.err != nil: // the checksum differs, the data is cut off
		return n, invalid("%s cannot be unpacked (%v)", f.Name, source.err)
	case err != nil:
		return n, unwritable(err)
	case n > limit:
		return n, invalid("%s is too large: a .properties file may have %d bytes, all files together %d", f.Name, maxConfig, int64(maxUnpacked))
	}
	return n, nil
}

// reader ends with ctx, and remembers its error so that it can be told from the writer's.
type reader struct {
	ctx context.Context // of the one copy, as in http.Request
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

func invalid(format string, args ...any) *sim.Error {
	return sim.Errorf(sim.Invalid, "the archive of custom drivers cannot be used: %s", fmt.Sprintf(format, args...)).
		WithHelp("an archive has %s/<name>/<name>.properties and the driver's files in %s/<name>/; <name> has letters only; upload a mended one", configDir, filesDir)
}

func unwritable(err error) *sim.Error {
	return &sim.Error{Kind: sim.Unavailable, Msg: "the custom drivers cannot be unpacked into the scratch volume", Help: "check the scratch volume of the pod: is it full?", Err: err}
}
