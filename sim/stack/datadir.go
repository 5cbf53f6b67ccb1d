package stack

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/durable"
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

// claim refuses what is not ours before it leaves anything behind, then locks, then looks again: another process may have
// been faster.
func (d *dataDir) claim() error {
	if _, err := d.recognise(); err != nil {
		return err
	}
	d.lock = flock.New(d.join(lockFile))
	switch ok, err := d.lock.TryLock(); {
	case err != nil:
		return fmt.Errorf("lock the data directory: %w", err)
	case !ok:
		return sim.Errorf(sim.Conflict, "another dpesim uses the data directory %s", d.path).WithHelp("stop it, or name another directory with --data")
	}
	if known, err := d.recognise(); err != nil || known {
		return err
	}
	return durable.WriteFile(d.join(formatFile), []byte(strconv.Itoa(format)+"\n"), 0o600)
}

// Files at the top of a data directory that tell that it is one.
const (
	formatFile = "format"
	lockFile   = "lock"
)

// recognise tells whether the directory is one of a format that this dpesim knows. It returns an error if it is neither
// that nor empty.
func (d *dataDir) recognise() (known bool, err error) {
	stamp := d.join(formatFile)
	b, err := os.ReadFile(stamp)
	if errors.Is(err, fs.ErrNotExist) {
		return false, d.empty()
	} else if err != nil {
		return false, fmt.Errorf("read the data directory's format: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || n < 1 {
		return false, sim.Errorf(sim.Invalid, "%s does not hold a format number", stamp).WithHelp("is %s really a dpesim data directory?", d.path)
	}
	if n > format {
		return false, sim.Errorf(sim.Conflict, "the data directory %s has format %d, this dpesim knows up to %d", d.path, n, format).
			WithHelp("use the dpesim that wrote it, or another --data directory")
	}
	return true, nil
}

// empty returns Invalid if the directory holds more than what a dpesim leaves that ended before it had stamped it.
func (d *dataDir) empty() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("read the data directory: %w", err)
	}
	for _, e := range entries {
		if e.Name() != lockFile && !strings.HasPrefix(e.Name(), formatFile+".") {
			return sim.Errorf(sim.Invalid, "%s is not empty and was not made by dpesim", d.path).WithHelp("name an empty or new directory with --data")
		}
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

// tokenFile holds the token that the portal takes from who runs the simulator. Who reads it may do everything there.
const tokenFile = "token"

// token gives the token, made at the first start.
func (d *dataDir) token() (sim.Secret, error) {
	path := d.join(tokenFile)
	b, err := os.ReadFile(path)
	if err == nil {
		if t := strings.TrimSpace(string(b)); t != "" {
			return sim.Secret(t), nil
		}
		return "", sim.Errorf(sim.Invalid, "%s is empty", path).WithHelp("delete it: another token is made at the next start")
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the portal's token: %w", err)
	}
	t := sim.Secret("dpesim_" + rand.Text())
	return t, durable.WriteFile(path, []byte(t.Reveal()+"\n"), 0o600)
}

// close gives the directory up, and removes it if it is temporary. It is called once.
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
