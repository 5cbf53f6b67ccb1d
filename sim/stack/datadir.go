package stack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"

	"github.com/dpesim/dpesim/sim"
)

// format is the version of the data directory's layout. Databases inside carry their own.
const format = 1

// dataDir is the directory that holds all state of a run. One process owns it at a time.
type dataDir struct {
	path      string
	temporary bool
	lock      *flock.Flock
}

// openDataDir takes path, or a fresh temporary directory if path is empty. It returns Conflict if another dpesim uses it
// or a newer one wrote it, and Invalid if it holds something else.
func openDataDir(path string) (*dataDir, error) {
	d := &dataDir{path: path}
	if path == "" {
		p, err := os.MkdirTemp("", "dpesim-")
		if err != nil {
			return nil, fmt.Errorf("make a temporary data directory: %w", err)
		}
		d.path, d.temporary = p, true
	} else {
		p, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("resolve %s: %w", path, err)
		}
		d.path = p
		if err := os.MkdirAll(p, 0o700); err != nil {
			return nil, fmt.Errorf("make the data directory: %w", err)
		}
	}
	if err := d.claim(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *dataDir) claim() error {
	stamp := d.join("format")
	switch b, err := os.ReadFile(stamp); {
	case err == nil:
		n, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil || n < 1 {
			return sim.Errorf(sim.Invalid, "%s does not hold a format number", stamp).WithHelp("is %s really a dpesim data directory?", d.path)
		}
		if n > format {
			return sim.Errorf(sim.Conflict, "the data directory %s has format %d, this dpesim knows up to %d", d.path, n, format).
				WithHelp("use the dpesim that wrote it, or another --data directory")
		}
	case errors.Is(err, fs.ErrNotExist):
		entries, err := os.ReadDir(d.path)
		if err != nil {
			return fmt.Errorf("read the data directory: %w", err)
		}
		if len(entries) > 0 {
			return sim.Errorf(sim.Invalid, "%s is not empty and was not made by dpesim", d.path).WithHelp("name an empty or new directory with --data")
		}
		if err := os.WriteFile(stamp, []byte(strconv.Itoa(format)+"\n"), 0o600); err != nil {
			return fmt.Errorf("stamp the data directory: %w", err)
		}
	default:
		return fmt.Errorf("read the data directory's format: %w", err)
	}
	d.lock = flock.New(d.join("lock"))
	ok, err := d.lock.TryLock()
	if err != nil {
		return fmt.Errorf("lock the data directory: %w", err)
	}
	if !ok {
		return sim.Errorf(sim.Conflict, "another dpesim uses the data directory %s", d.path).WithHelp("stop it, or name another directory with --data")
	}
	return nil
}

// join gives a path inside the directory.
func (d *dataDir) join(elem ...string) string {
	return filepath.Join(append([]string{d.path}, elem...)...)
}

// dir gives a directory inside the directory and makes it if need be.
func (d *dataDir) dir(elem ...string) (string, error) {
	p := d.join(elem...)
	if err := os.MkdirAll(p, 0o700); err != nil {
		return "", fmt.Errorf("make a data directory: %w", err)
	}
	return p, nil
}

// close gives the directory up, and removes it if it is temporary.
func (d *dataDir) close() error {
	var err error
	if d.lock != nil {
		err = d.lock.Unlock()
	}
	if d.temporary {
		err = errors.Join(err, os.RemoveAll(d.path))
	}
	return err
}
