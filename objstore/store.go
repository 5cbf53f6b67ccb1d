package objstore

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/sqlite"
)

//go:embed migration/*.sql
var migrations embed.FS

// store is the durable half: rows say what exists, blobs hold the bytes. A row is committed after its blob is safe on
// disk and removed before its blob is, so that a crash leaves at worst a blob that no row names.
type store struct {
	env   sim.EnvironmentID
	db    *sqlite.DB
	blobs *blobs
	bus   *event.Bus
	log   *slog.Logger
}

func openStore(ctx context.Context, opt Options) (*store, error) {
	f, err := os.OpenFile(opt.Path, os.O_CREATE|os.O_RDWR, 0o600) // it will hold secret keys
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	sub, err := fs.Sub(migrations, "migration")
	if err != nil {
		return nil, err
	}
	db, err := sqlite.Open(ctx, opt.Path, sub, opt.Clock)
	if err != nil {
		return nil, err
	}
	st := &store{env: opt.Environment, db: db, bus: opt.Bus, log: opt.Log}
	if st.blobs, err = openBlobs(opt.Dir, opt.Log); err == nil {
		err = st.sweep(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return st, nil
}

// sweep removes the blobs that no row names: what uploads and deletions left that a crash cut short.
func (st *store) sweep(ctx context.Context) error {
	live := map[string]bool{}
	err := st.db.View(ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT blob FROM objects UNION ALL SELECT blob FROM parts ORDER BY blob`)
		names, err := sqlite.Collect(rows, err, func(r *sql.Rows) (n string, err error) { return n, r.Scan(&n) })
		for _, n := range names {
			live[n] = true
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list live blobs: %w", err)
	}
	return st.blobs.sweep(live)
}

// Object describes a stored object.
type Object struct {
	Bucket, Key string
	Size        int64  // bytes
	ETag        string // without quotes
	SHA256      string // hex, of the content
	ContentType string
	Metadata    map[string]string // other headers that are kept, by canonical name: X-Amz-Meta-*, checksums, ...
	Modified    time.Time         // product time, to the millisecond
}

// record is an Object as it stands in the database.
type record struct {
	Object
	blob string
}

const objectColumns = `bucket, key, size_bytes, etag, sha256, content_type, metadata, modified_ms, blob`

func scanRecord(scan func(...any) error) (record, error) {
	var r record
	var meta string
	var ms int64
	if err := scan(&r.Bucket, &r.Key, &r.Size, &r.ETag, &r.SHA256, &r.ContentType, &meta, &ms, &r.blob); err != nil {
		return record{}, err
	}
	r.Modified = sqlite.FromMillis(ms)
	if err := json.Unmarshal([]byte(meta), &r.Metadata); err != nil {
		return record{}, fmt.Errorf("read metadata of %s/%s: %w", r.Bucket, r.Key, err)
	}
	return r, nil
}

// find reads the row of an object. It returns NotFound if the bucket or the key does not exist.
func find(ctx context.Context, tx *sqlite.Tx, bucket, key string) (record, error) {
	row := tx.QueryRowContext(ctx, `SELECT `+objectColumns+` FROM objects WHERE bucket = ? AND key = ?`, bucket, key)
	r, err := scanRecord(row.Scan)
	if errors.Is(err, sql.ErrNoRows) {
		if err := needBucket(ctx, tx, bucket); err != nil {
			return record{}, err
		}
		return record{}, errNoSuchKey(key)
	}
	return r, err
}

func needBucket(ctx context.Context, tx *sqlite.Tx, name string) error {
	var one int
	err := tx.QueryRowContext(ctx, `SELECT 1 FROM buckets WHERE name = ?`, name).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return errNoSuchBucket(name)
	}
	return err
}

// commit makes d, whose blob is on disk, the object of its bucket and key, if check (nil: always) allows it in view of
// what was there (nil: nothing). further runs in the same transaction. It returns the row it wrote.
func (st *store) commit(ctx context.Context, d record, check func(old *record) error, further func(*sqlite.Tx) error) (record, error) {
	var old *record
	ready := false // from here on a failed commit may have been written all the same: the blob must stay
	err := st.db.Update(ctx, func(tx *sqlite.Tx) error {
		o, err := find(ctx, tx, d.Bucket, d.Key)
		switch {
		case err == nil:
			old = &o
		case codeOf(err) != codeNoSuchKey:
			return err
		}
		if check != nil {
			if err := check(old); err != nil {
				return err
			}
		}
		meta, err := json.Marshal(d.Metadata)
		if err != nil {
			return err
		}
		if d.Metadata == nil {
			meta = []byte("{}")
		}
		ms := sqlite.Millis(tx.Now)
		d.Modified = sqlite.FromMillis(ms)
		_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO objects (`+objectColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			d.Bucket, d.Key, d.Size, d.ETag, d.SHA256, d.ContentType, string(meta), ms, d.blob)
		if err == nil && further != nil {
			err = further(tx)
		}
		ready = err == nil
		return err
	})
	if err != nil {
		if !ready {
			st.blobs.remove(d.blob)
		}
		return record{}, err
	}
	if old != nil {
		st.blobs.remove(old.blob)
	}
	return d, nil
}

// put stores the bytes of r. A size that is not negative must be what r has.
func (st *store) put(ctx context.Context, o Object, size int64, r io.Reader, check func(old *record) error, late func(*record)) (record, error) {
	b, err := st.blobs.write(ctx, r)
	if err != nil {
		return record{}, err
	}
	if size >= 0 && b.size != size {
		st.blobs.remove(b.name)
		return record{}, errIncompleteBody(size, b.size)
	}
	d := record{Object: o, blob: b.name}
	d.Size, d.ETag, d.SHA256 = b.size, b.md5, b.sha256
	if late != nil {
		late(&d)
	}
	return st.commit(ctx, d, check, nil)
}
