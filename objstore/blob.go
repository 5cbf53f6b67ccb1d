package objstore

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/dpesim/dpesim/sim/durable"
)

// tempPrefix marks files that are being written. Blob names are hex, so the two never meet.
const tempPrefix = "tmp-"

// blobs is a folder of immutable files with random names.
type blobs struct {
	dir string
	log *slog.Logger
}

// blob describes a file that is safe on disk.
type blob struct {
	name        string
	size        int64
	md5, sha256 string // hex
}

func openBlobs(dir string, log *slog.Logger) (*blobs, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &blobs{dir: dir, log: log}, nil
}

// write copies r to a new blob. When it returns nil, the bytes and the name have reached the disk: temp file, sync,
// rename, sync of the folder. It stops with ctx.
func (b *blobs) write(ctx context.Context, r io.Reader) (_ blob, err error) {
	f, err := os.CreateTemp(b.dir, tempPrefix)
	if err != nil {
		return blob{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreClosedFile(f.Close()))
			_ = os.Remove(f.Name()) // the sweep at the next start takes what stays
		}
	}()
	s := sha256.New()
	w := io.MultiWriter(f, s)
	m, ok := r.(summer)
	if !ok {
		h := md5.New()
		m, w = h, io.MultiWriter(f, s, h)
	}
	n, err := io.CopyBuffer(writerOnly{w}, ctxReader{ctx, r}, make([]byte, 128<<10))
	if err != nil {
		return blob{}, err
	}
	if err := f.Sync(); err != nil {
		return blob{}, err
	}
	if err := f.Close(); err != nil {
		return blob{}, err
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails (package crypto/rand)
	name := hex.EncodeToString(id)
	if err := durable.Rename(f.Name(), filepath.Join(b.dir, name)); err != nil {
		return blob{}, err
	}
	return blob{name: name, size: n, md5: hex.EncodeToString(m.Sum(nil)), sha256: hex.EncodeToString(s.Sum(nil))}, nil
}

func (b *blobs) open(name string) (*os.File, error) { return os.Open(filepath.Join(b.dir, name)) }

// remove removes a blob that no row names any more. What cannot be removed now (Windows: while it is read) goes at the
// next start.
func (b *blobs) remove(name string) {
	if err := os.Remove(filepath.Join(b.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		b.log.Warn("blob stays until the next start", "blob", name, "err", err)
	}
}

// sweep removes every file of the folder that is not in live.
func (b *blobs) sweep(live map[string]bool) error {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if live[name] || !strings.HasPrefix(name, tempPrefix) && !isBlobName(name) {
			continue // what we did not write is not ours to remove
		}
		if err := os.Remove(filepath.Join(b.dir, name)); err != nil {
			return fmt.Errorf("sweep blobs: %w", err)
		}
		b.log.Info("orphan blob removed", "blob", name)
	}
	return nil
}

func isBlobName(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 16
}

func ignoreClosedFile(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// summer is a reader that computes the MD5 of what it gives, as gofakes3's does: once is enough.
type summer interface {
	Sum(into []byte) []byte
}

// writerOnly hides ReadFrom, so that the copy uses our buffer.
type writerOnly struct{ io.Writer }

// ctxReader ends with ctx.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
