package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dpesim/dpesim/sim/draw"
)

// drawFor gives the draws of this opening of a cluster that is kept in dir. Names and UIDs are drawn from the seed, and
// an opening that began the same sequence again would draw those that the store already holds; so each opening after the
// first has a seed of its own, which the run's seed and the number of the opening determine.
func drawFor(dir string, d *draw.Source) (*draw.Source, error) {
	if dir == "" {
		return d, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the cluster's data: %w", err)
	}
	path := filepath.Join(dir, "openings")
	n := uint64(0)
	b, err := os.ReadFile(path)
	if err == nil {
		n, err = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("count the openings of the cluster's data: %w", err)
	}
	if err := os.WriteFile(path+".new", strconv.AppendUint(nil, n+1, 10), 0o600); err != nil {
		return nil, fmt.Errorf("count the openings of the cluster's data: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return nil, fmt.Errorf("count the openings of the cluster's data: %w", err)
	}
	if n == 0 {
		return d, nil
	}
	const golden = 0x9e3779b97f4a7c15 // 2^64 over the golden ratio: openings of neighbouring seeds stay apart
	return draw.New(d.Seed() + n*golden), nil
}
