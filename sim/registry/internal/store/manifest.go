package store

import (
	"context"
	"database/sql"
	"strings"

	"github.com/dpesim/dpesim/sim/sqlite"
)

// Known tells whether a repository holds anything.
func (s *Store) Known(ctx context.Context, repository string) (known bool, err error) {
	err = s.db.View(ctx, func(tx *sqlite.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM manifest WHERE repository = ?1) OR EXISTS (SELECT 1 FROM blob WHERE repository = ?1)`, repository).Scan(&known)
	})
	return known, err
}

// Tags lists the tags of a repository, in the order of their bytes.
func (s *Store) Tags(ctx context.Context, repository string) (out []string, err error) {
	err = s.db.View(ctx, func(tx *sqlite.Tx) error {
		out, err = texts(tx.QueryContext(ctx, `SELECT name FROM tag WHERE repository = ? ORDER BY name`, repository))
		return err
	})
	return out, err
}

// Manifest gives a manifest by tag or digest.
func (s *Store) Manifest(ctx context.Context, repository, reference string) (m Manifest, err error) {
	query := `SELECT m.digest, m.media_type, m.subject, m.content FROM manifest m JOIN tag t ON t.repository = m.repository AND t.digest = m.digest
		WHERE t.repository = ? AND t.name = ?`
	if strings.Contains(reference, ":") {
		query = `SELECT digest, media_type, subject, content FROM manifest WHERE repository = ? AND digest = ?`
	}
	err = s.db.View(ctx, func(tx *sqlite.Tx) error {
		return tx.QueryRowContext(ctx, query, repository, reference).Scan(&m.Digest, &m.MediaType, &m.Subject, &m.Content)
	})
	return m, err
}

// PutManifest stores a manifest and lets tags name it, all or nothing.
func (s *Store) PutManifest(ctx context.Context, repository string, m Manifest, tags ...string) error {
	return s.db.Update(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO manifest (repository, digest, media_type, subject, content) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET media_type = excluded.media_type, subject = excluded.subject`, repository, m.Digest, m.MediaType, m.Subject, m.Content)
		for i := 0; err == nil && i < len(tags); i++ {
			_, err = tx.ExecContext(ctx, `INSERT INTO tag (repository, name, digest) VALUES (?, ?, ?)
				ON CONFLICT DO UPDATE SET digest = excluded.digest`, repository, tags[i], m.Digest)
		}
		return err
	})
}

// DeleteManifest deletes a manifest by its digest, with the tags that name it, or a tag alone.
func (s *Store) DeleteManifest(ctx context.Context, repository, reference string) error {
	query := `DELETE FROM tag WHERE repository = ? AND name = ?`
	if strings.Contains(reference, ":") {
		query = `DELETE FROM manifest WHERE repository = ? AND digest = ?`
	}
	return s.db.Update(ctx, func(tx *sqlite.Tx) error { return one(tx.ExecContext(ctx, query, repository, reference)) })
}

// Referrers lists the manifests that are about the manifest with a digest, whether or not there is one, by their digests.
func (s *Store) Referrers(ctx context.Context, repository, subject string) (out []Manifest, err error) {
	err = s.db.View(ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT digest, media_type, subject, content FROM manifest WHERE repository = ? AND subject = ? ORDER BY digest`, repository, subject)
		out, err = sqlite.Collect(rows, err, func(r *sql.Rows) (m Manifest, err error) {
			err = r.Scan(&m.Digest, &m.MediaType, &m.Subject, &m.Content)
			return m, err
		})
		return err
	})
	return out, err
}
