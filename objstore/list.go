package objstore

import (
	"database/sql"
	"strings"

	"github.com/johannesboyne/gofakes3"

	"github.com/dpesim/dpesim/sim/sqlite"
)

// ListBucket lists keys in the order of their bytes, rolled up at the delimiter. The marker that it hands out is the last
// key or common prefix of the page.
//
// A marker that is itself a common prefix of this query skips all that it stands for; any other marker hides no prefix that
// still has keys behind it (assumption: S3's documentation leaves it open).
func (s *session) ListBucket(bucket string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	if prefix == nil {
		prefix = &gofakes3.Prefix{}
	}
	out := gofakes3.NewObjectList()
	err := s.db.View(s.ctx, func(tx *sqlite.Tx) error {
		if err := needBucket(s.ctx, tx, bucket); err != nil {
			return err
		}
		return s.list(tx, bucket, prefix, page, out)
	})
	return out, s.fail("list bucket", err)
}

func (s *session) list(tx *sqlite.Tx, bucket string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage, out *gofakes3.ObjectList) error {
	if page.MaxKeys <= 0 {
		return nil // max-keys=0 asks for nothing
	}
	from := prefix.Prefix // the first key that may come
	if page.HasMarker && page.Marker >= from {
		from = page.Marker + "\x00" // the smallest key after it
		if p, ok := rollUp(page.Marker, prefix); ok && p == page.Marker {
			from = successor(p)
		}
	}
	count, last := int64(0), ""
	for {
		rows, err := tx.QueryContext(s.ctx, `SELECT `+objectColumns+` FROM objects WHERE bucket = ? AND key >= ? ORDER BY key LIMIT ?`,
			bucket, from, page.MaxKeys-count+1)
		batch, err := sqlite.Collect(rows, err, func(r *sql.Rows) (record, error) { return scanRecord(r.Scan) })
		if err != nil {
			return err
		}
		jumped := false
		for _, r := range batch {
			if !strings.HasPrefix(r.Key, prefix.Prefix) {
				return nil // past the last key with the prefix
			}
			if count == page.MaxKeys {
				out.IsTruncated, out.NextMarker = true, last
				return nil
			}
			count++
			if p, ok := rollUp(r.Key, prefix); ok {
				out.AddPrefix(p)
				last, from, jumped = p, successor(p), true
				break // go on behind everything that the prefix stands for
			}
			out.Add(&gofakes3.Content{Key: r.Key, ETag: `"` + r.ETag + `"`, Size: r.Size, LastModified: gofakes3.NewContentTime(r.Modified)})
			last = r.Key
		}
		if !jumped {
			return nil // the batch held all that there is
		}
	}
}

// rollUp gives the common prefix that stands for key, if the delimiter occurs behind the prefix.
func rollUp(key string, p *gofakes3.Prefix) (string, bool) {
	if !p.HasDelimiter || p.Delimiter == "" || !strings.HasPrefix(key, p.Prefix) {
		return "", false
	}
	head, _, ok := strings.Cut(key[len(p.Prefix):], p.Delimiter)
	return p.Prefix + head + p.Delimiter, ok
}

// successor gives the smallest string that is greater than every string with the prefix p. Keys are UTF-8, so no byte
// of p is 0xff.
func successor(p string) string {
	return p[:len(p)-1] + string([]byte{p[len(p)-1] + 1})
}
