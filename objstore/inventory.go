package objstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/dpesim/dpesim/sim/sqlite"
)

// Bucket is a bucket, and when it was made.
type Bucket struct {
	Name    string
	Created time.Time
}

// Buckets lists the buckets by name.
func (s *Server) Buckets(ctx context.Context) ([]Bucket, error) {
	var out []Bucket
	err := s.store.db.View(ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT name, created_ms FROM buckets ORDER BY name`)
		out, err = sqlite.Collect(rows, err, func(r *sql.Rows) (b Bucket, err error) {
			var ms int64
			err = r.Scan(&b.Name, &ms)
			b.Created = sqlite.FromMillis(ms)
			return b, err
		})
		return err
	})
	if err != nil {
		return nil, forCaller("objstore.Buckets", err)
	}
	return out, nil
}

// Keys lists the keys of a bucket's objects in the order of their bytes. A bucket that does not exist has none.
func (s *Server) Keys(ctx context.Context, bucket string) ([]string, error) {
	var out []string
	err := s.store.db.View(ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT key FROM objects WHERE bucket = ? ORDER BY key`, bucket)
		out, err = sqlite.Collect(rows, err, func(r *sql.Rows) (k string, err error) { return k, r.Scan(&k) })
		return err
	})
	if err != nil {
		return nil, forCaller("objstore.Keys", err)
	}
	return out, nil
}
