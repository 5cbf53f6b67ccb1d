// Package store keeps what clients push to the registry: blobs as files named by their digest, manifests and tags in one
// SQLite database. What was answered as stored is there after a crash; what a crash cut short is swept at the next Open.
//
// It knows no protocol and no user: sim/registry asks it for what it has checked.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/durable"
	"github.com/dpesim/dpesim/sim/sqlite"
)

//go:embed migration/*.sql
var files embed.FS

// algorithms are those of the digests that name files. Source: OCI image specification 1.1, "Registered algorithms".
var algorithms = []string{"sha256", "sha512"}

// Store is the content of repositories. It is safe for concurrent use. Open makes it, Close ends it.
//
// Its methods return NotFound for what is not there.
type Store struct {
	dir string
	db  *sqlite.DB

	mu sync.Mutex // a blob's rows and its file change together
}

// Manifest is a manifest of one repository.
type Manifest struct {
	Digest, MediaType string
	Subject           string // digest of the manifest that it is about; empty: none
	Content           []byte
}

// Open opens or makes the store in the folder dir.
func Open(ctx context.Context, dir string, c *clock.Clock) (*Store, error) {
	s := &Store{dir: dir}
	if err := errors.Join(os.RemoveAll(s.uploads()), os.MkdirAll(s.uploads(), 0o700)); err != nil {
		return nil, fmt.Errorf("open the registry's folder: %w", err)
	}
	for _, a := range algorithms {
		if err := os.MkdirAll(filepath.Join(dir, "blobs", a), 0o700); err != nil {
			return nil, fmt.Errorf("open the registry's folder: %w", err)
		}
	}
	migrations, err := fs.Sub(files, "migration")
	if err != nil {
		return nil, err
	}
	if s.db, err = sqlite.Open(ctx, filepath.Join(dir, "registry.db"), migrations, c); err != nil {
		return nil, err
	}
	if err := s.sweep(ctx); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	return s, nil
}

// Close closes the store.
func (s *Store) Close() error { return s.db.Close() }

func (s *Store) uploads() string { return filepath.Join(s.dir, "uploads") }

// path gives the file of a blob.
func (s *Store) path(digest string) string {
	algorithm, hex, _ := strings.Cut(digest, ":")
	return filepath.Join(s.dir, "blobs", algorithm, hex)
}

// sweep removes the files that no repository holds: a crash came between the file and the row.
func (s *Store) sweep(ctx context.Context) error {
	for _, a := range algorithms {
		entries, err := os.ReadDir(filepath.Join(s.dir, "blobs", a))
		if err != nil {
			return fmt.Errorf("sweep the registry's folder: %w", err)
		}
		for _, e := range entries {
			digest := a + ":" + e.Name()
			if held, err := s.held(ctx, digest); err != nil {
				return err
			} else if !held {
				if err := os.Remove(s.path(digest)); err != nil {
					return fmt.Errorf("sweep the registry's folder: %w", err)
				}
			}
		}
	}
	return nil
}

// held tells whether any repository holds a blob.
func (s *Store) held(ctx context.Context, digest string) (held bool, err error) {
	err = s.db.View(ctx, func(tx *sqlite.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM blob WHERE digest = ?)`, digest).Scan(&held)
	})
	return held, err
}

// TempFile makes a file for an upload. It becomes a blob by [Store.PutBlob]; the caller removes it otherwise.
func (s *Store) TempFile() (*os.File, error) { return os.CreateTemp(s.uploads(), "upload-*") }

// PutBlob makes the file at path, whose content has the digest and was synced, a blob of a repository. The file is moved,
// or removed if the blob is there already.
func (s *Store) PutBlob(ctx context.Context, repository, digest, path string, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	held, err := s.held(ctx, digest)
	if err != nil {
		return err
	}
	if held {
		err = os.Remove(path)
	} else {
		err = durable.Rename(path, s.path(digest))
	}
	if err != nil {
		return fmt.Errorf("store a blob: %w", err)
	}
	return s.link(ctx, repository, digest, size)
}

func (s *Store) link(ctx context.Context, repository, digest string, size int64) error {
	return s.db.Update(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO blob (repository, digest, size_bytes) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, repository, digest, size)
		return err
	})
}

// Mount makes a blob of one repository a blob of another one too.
func (s *Store) Mount(ctx context.Context, repository, from, digest string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	size, err := s.size(ctx, from, digest)
	if err != nil {
		return err
	}
	return s.link(ctx, repository, digest, size)
}

func (s *Store) size(ctx context.Context, repository, digest string) (size int64, err error) {
	err = s.db.View(ctx, func(tx *sqlite.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT size_bytes FROM blob WHERE repository = ? AND digest = ?`, repository, digest).Scan(&size)
	})
	return size, err
}

// Holders lists the repositories that hold a blob, in order.
func (s *Store) Holders(ctx context.Context, digest string) (out []string, err error) {
	err = s.db.View(ctx, func(tx *sqlite.Tx) error {
		out, err = texts(tx.QueryContext(ctx, `SELECT repository FROM blob WHERE digest = ? ORDER BY repository`, digest))
		return err
	})
	return out, err
}

// Blob opens a blob; the caller closes the file.
func (s *Store) Blob(ctx context.Context, repository, digest string) (*os.File, int64, error) {
	size, err := s.size(ctx, repository, digest)
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(s.path(digest))
	if errors.Is(err, fs.ErrNotExist) { // deleted since, or taken out of the folder by hand
		return nil, 0, &sim.Error{Kind: sim.NotFound, Err: err}
	}
	return f, size, err
}

// DeleteBlob takes a blob out of a repository, and removes it if that was the last that held it.
func (s *Store) DeleteBlob(ctx context.Context, repository, digest string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.db.Update(ctx, func(tx *sqlite.Tx) error {
		return one(tx.ExecContext(ctx, `DELETE FROM blob WHERE repository = ? AND digest = ?`, repository, digest))
	})
	if err != nil {
		return err
	}
	if held, err := s.held(ctx, digest); err != nil || held {
		return err
	}
	_ = os.Remove(s.path(digest)) // Windows keeps a file that is being read: the next sweep has it
	return nil
}

// Missing gives those of some blobs that a repository does not hold.
func (s *Store) Missing(ctx context.Context, repository string, digests []string) (missing []string, err error) {
	return s.absent(ctx, `SELECT EXISTS (SELECT 1 FROM blob WHERE repository = ? AND digest = ?)`, repository, digests)
}

// MissingManifests gives those of some manifests that a repository does not hold.
func (s *Store) MissingManifests(ctx context.Context, repository string, digests []string) (missing []string, err error) {
	return s.absent(ctx, `SELECT EXISTS (SELECT 1 FROM manifest WHERE repository = ? AND digest = ?)`, repository, digests)
}

func (s *Store) absent(ctx context.Context, query, repository string, digests []string) (out []string, err error) {
	err = s.db.View(ctx, func(tx *sqlite.Tx) error {
		for _, d := range digests {
			var found bool
			if err := tx.QueryRowContext(ctx, query, repository, d).Scan(&found); err != nil {
				return err
			}
			if !found && !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
		return nil
	})
	return out, err
}

// one returns NotFound if a statement changed nothing.
func one(r sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return sql.ErrNoRows
}

func texts(rows *sql.Rows, err error) ([]string, error) {
	return sqlite.Collect(rows, err, func(r *sql.Rows) (s string, err error) {
		err = r.Scan(&s)
		return s, err
	})
}
