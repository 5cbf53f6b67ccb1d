package objstore

import (
	"context"
	"database/sql"
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"

	"github.com/johannesboyne/gofakes3"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/sqlite"
)

// session is the store as one request sees it: gofakes3's backends are not handed a context, so each request gets a
// backend of its own that carries it.
type session struct {
	*store
	ctx      context.Context               // of the request: gofakes3 leaves no other way
	label    sim.Label                     // on whose behalf, for events
	sent     map[string]string             // headers of the request that an object keeps; see kept
	checksum func() (header, value string) // of the body, once it was read; nil: none
}

func (s *Server) session(ctx context.Context, label sim.Label) *session {
	return &session{store: s.store, ctx: ctx, label: label}
}

// tell publishes an event of this request.
func (s *session) tell(what string, detail map[string]string) {
	s.bus.Publish(s.ctx, sim.Event{Part: sim.PartObjstore, Environment: s.env, DPE: s.label, What: what, Detail: detail})
}

// fail logs what a client must not see and returns what it may.
func (s *session) fail(op string, err error) error {
	out := forClient(err)
	if codeOf(out) == gofakes3.ErrInternal {
		s.log.Error("request failed", "op", op, "err", err)
	}
	return out
}

// ListBuckets lists the buckets by name.
func (s *session) ListBuckets() ([]gofakes3.BucketInfo, error) {
	var out []gofakes3.BucketInfo
	err := s.db.View(s.ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.QueryContext(s.ctx, `SELECT name, created_ms FROM buckets ORDER BY name`)
		out, err = sqlite.Collect(rows, err, func(r *sql.Rows) (b gofakes3.BucketInfo, err error) {
			var ms int64
			err = r.Scan(&b.Name, &ms)
			b.CreationDate = gofakes3.NewContentTime(sqlite.FromMillis(ms))
			return b, err
		})
		return err
	})
	return out, s.fail("list buckets", err)
}

// CreateBucket makes a bucket.
func (s *session) CreateBucket(name string) error {
	err := s.db.Update(s.ctx, func(tx *sqlite.Tx) error {
		r, err := tx.ExecContext(s.ctx, `INSERT INTO buckets (name, created_ms) VALUES (?, ?) ON CONFLICT DO NOTHING`, name, sqlite.Millis(tx.Now))
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return newError(codeBucketAlreadyOwnedByYou, "The bucket %s exists already and is yours", name)
	})
	if err == nil {
		s.tell("bucket created", map[string]string{"bucket": name})
	}
	return s.fail("create bucket", err)
}

// BucketExists tells whether there is such a bucket.
func (s *session) BucketExists(name string) (bool, error) {
	err := s.db.View(s.ctx, func(tx *sqlite.Tx) error { return needBucket(s.ctx, tx, name) })
	if codeOf(err) == gofakes3.ErrNoSuchBucket {
		return false, nil
	}
	return err == nil, s.fail("find bucket", err)
}

// DeleteBucket removes a bucket that holds neither objects nor uploads under way.
func (s *session) DeleteBucket(name string) error {
	err := s.db.Update(s.ctx, func(tx *sqlite.Tx) error {
		if err := needBucket(s.ctx, tx, name); err != nil {
			return err
		}
		var full bool
		if err := tx.QueryRowContext(s.ctx, `SELECT EXISTS (SELECT 1 FROM objects WHERE bucket = ?1) OR EXISTS (SELECT 1 FROM uploads WHERE bucket = ?1)`,
			name).Scan(&full); err != nil {
			return err
		}
		if full {
			return newError(gofakes3.ErrBucketNotEmpty, "The bucket %s holds objects or multipart uploads under way; delete or abort them first", name)
		}
		_, err := tx.ExecContext(s.ctx, `DELETE FROM buckets WHERE name = ?`, name)
		return err
	})
	if err == nil {
		s.tell("bucket deleted", map[string]string{"bucket": name})
	}
	return s.fail("delete bucket", err)
}

// ForceDeleteBucket is MinIO's own extension, which nobody here needs.
func (s *session) ForceDeleteBucket(string) error {
	return newError(gofakes3.ErrNotImplemented, "Deleting a bucket together with its objects is not implemented; delete the objects first")
}

// lookup reads an object's row.
func (s *session) lookup(bucket, key string) (r record, err error) {
	err = s.db.View(s.ctx, func(tx *sqlite.Tx) error {
		r, err = find(s.ctx, tx, bucket, key)
		return err
	})
	return r, err
}

// open reads an object's row and opens its blob.
func (s *session) open(bucket, key string) (record, *os.File, error) {
	for {
		r, err := s.lookup(bucket, key)
		if err != nil {
			return record{}, nil, err
		}
		f, err := s.blobs.open(r.blob)
		if !os.IsNotExist(err) {
			return r, f, err
		}
		again, err2 := s.lookup(bucket, key) // it was replaced or deleted in between, or the blob is lost
		if err2 != nil {
			return record{}, nil, err2
		}
		if again.blob == r.blob {
			return record{}, nil, err
		}
	}
}

// etagHeader carries the ETag through gofakes3, which can only make one of an MD5; the reply takes it from there.
const etagHeader = "X-Dpesim-Etag"

func (r record) gofakes3() (*gofakes3.Object, error) {
	meta := map[string]string{"Content-Type": r.ContentType, "Last-Modified": r.Modified.Format(http.TimeFormat), etagHeader: r.ETag}
	maps.Copy(meta, r.Metadata)
	sum, _, _ := strings.Cut(r.ETag, "-")
	hash, err := hex.DecodeString(sum)
	return &gofakes3.Object{Name: r.Key, Metadata: meta, Size: r.Size, Hash: hash, Contents: http.NoBody}, err
}

// GetObject opens an object, or a range of it, for reading.
func (s *session) GetObject(bucket, key string, want *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	r, f, err := s.open(bucket, key)
	if err != nil {
		return nil, s.fail("get object", err)
	}
	o, err := r.gofakes3()
	if err == nil {
		o.Range, err = rangeOf(want, r.Size)
	}
	if err == nil && o.Range != nil {
		_, err = f.Seek(o.Range.Start, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, s.fail("get object", err)
	}
	length := r.Size
	if o.Range != nil {
		length = o.Range.Length
	}
	o.Contents = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(f, length), f}
	return o, nil
}

// rangeOf resolves a range. A suffix longer than the object is all of it (RFC 9110, section 14.1.2), which gofakes3
// refuses.
func rangeOf(want *gofakes3.ObjectRangeRequest, size int64) (*gofakes3.ObjectRange, error) {
	if want != nil && want.FromEnd && want.End > size && size > 0 {
		return &gofakes3.ObjectRange{Length: size}, nil
	}
	return want.Range(size)
}

// HeadObject describes an object.
func (s *session) HeadObject(bucket, key string) (*gofakes3.Object, error) {
	r, err := s.lookup(bucket, key)
	if err != nil {
		return nil, s.fail("head object", err)
	}
	o, err := r.gofakes3()
	return o, s.fail("head object", err)
}

// PutObject stores an object; conditions are checked in the transaction that makes it visible.
func (s *session) PutObject(bucket, key string, _ map[string]string, r io.Reader, size int64, cond *gofakes3.PutConditions) (gofakes3.PutObjectResult, error) {
	_, err := s.keep(bucket, key, s.sent, r, size, cond)
	return gofakes3.PutObjectResult{}, s.fail("put object", err)
}
