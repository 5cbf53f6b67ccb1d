package objstore

import (
	"context"
	"database/sql"
	"io"
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

// Objects lists at most limit of a bucket's objects whose keys come after a key, in the order of their bytes; after "" is
// from the first. It returns NotFound if there is no such bucket.
func (s *Server) Objects(ctx context.Context, bucket, after string, limit int) ([]Object, error) {
	var out []Object
	err := s.store.db.View(ctx, func(tx *sqlite.Tx) error {
		if err := needBucket(ctx, tx, bucket); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT `+objectColumns+` FROM objects WHERE bucket = ? AND key > ? ORDER BY key LIMIT ?`, bucket, after, limit)
		out, err = sqlite.Collect(rows, err, func(r *sql.Rows) (Object, error) {
			x, err := scanRecord(r.Scan)
			return x.Object, err
		})
		return err
	})
	if err != nil {
		return nil, forCaller("objstore.Objects", err)
	}
	return out, nil
}

// OpenObject opens an object for reading; the caller closes it. What is read stays what it was, also if the object is
// replaced or deleted meanwhile. It returns NotFound if there is no such bucket or key.
func (s *Server) OpenObject(ctx context.Context, bucket, key string) (Object, io.ReadSeekCloser, error) {
	r, f, err := s.session(ctx, "").open(bucket, key)
	if err != nil {
		return Object{}, nil, forCaller("objstore.OpenObject", err)
	}
	return r.Object, f, nil
}
