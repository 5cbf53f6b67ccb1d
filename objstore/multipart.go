package objstore

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/johannesboyne/gofakes3"

	"github.com/dpesim/dpesim/sim/sqlite"
)

// MinPart is the least size of every part of a multipart upload but the last, in bytes.
// Source: Amazon S3 User Guide, "Multipart upload limits" (5 MiB).
const MinPart = 5 << 20

// upload is a multipart upload under way.
type upload struct {
	id, bucket, key string
	contentType     string
	metadata        map[string]string
}

// part is a part that was uploaded.
type part struct {
	number     int
	size       int64
	md5, blob  string
	modifiedMS int64
}

// CreateMultipartUpload begins an upload, which survives a restart.
func (s *session) CreateMultipartUpload(bucket, key string, _ map[string]string) (gofakes3.UploadID, error) {
	if err := checkKey(key); err != nil {
		return "", err
	}
	o := described(bucket, key, s.sent)
	meta, err := json.Marshal(o.Metadata)
	if err != nil {
		return "", s.fail("create multipart upload", err)
	}
	id := rand.Text()
	err = s.db.Update(s.ctx, func(tx *sqlite.Tx) error {
		if err := needBucket(s.ctx, tx, bucket); err != nil {
			return err
		}
		_, err := tx.ExecContext(s.ctx, `INSERT INTO uploads (id, bucket, key, content_type, metadata, initiated_ms) VALUES (?, ?, ?, ?, ?, ?)`,
			id, bucket, key, o.ContentType, string(meta), sqlite.Millis(tx.Now))
		return err
	})
	return gofakes3.UploadID(id), s.fail("create multipart upload", err)
}

// findUpload returns NoSuchUpload unless the upload is of that bucket and key.
func findUpload(ctx context.Context, tx *sqlite.Tx, bucket, key string, id gofakes3.UploadID) (upload, error) {
	u := upload{id: string(id), bucket: bucket, key: key}
	var meta string
	err := tx.QueryRowContext(ctx, `SELECT content_type, metadata FROM uploads WHERE id = ? AND bucket = ? AND key = ?`,
		string(id), bucket, key).Scan(&u.contentType, &meta)
	if errors.Is(err, sql.ErrNoRows) {
		return upload{}, newError(gofakes3.ErrNoSuchUpload, "The specified multipart upload does not exist: it may have been completed or aborted")
	}
	if err != nil {
		return upload{}, err
	}
	return u, json.Unmarshal([]byte(meta), &u.metadata)
}

func listParts(ctx context.Context, tx *sqlite.Tx, id gofakes3.UploadID, after int, limit int64) ([]part, error) {
	rows, err := tx.QueryContext(ctx, `SELECT number, size_bytes, md5, blob, modified_ms FROM parts WHERE upload = ? AND number > ? ORDER BY number LIMIT ?`,
		string(id), after, limit)
	return sqlite.Collect(rows, err, func(r *sql.Rows) (p part, err error) {
		return p, r.Scan(&p.number, &p.size, &p.md5, &p.blob, &p.modifiedMS)
	})
}

// UploadPart stores one part; a part of the same number is replaced.
func (s *session) UploadPart(bucket, key string, id gofakes3.UploadID, number int, size int64, r io.Reader) (string, error) {
	const op = "upload part"
	err := s.db.View(s.ctx, func(tx *sqlite.Tx) error {
		_, err := findUpload(s.ctx, tx, bucket, key, id)
		return err
	})
	if err != nil {
		return "", s.fail(op, err)
	}
	b, err := s.blobs.write(s.ctx, r)
	if err != nil {
		return "", s.fail(op, err)
	}
	if b.size != size {
		s.blobs.remove(b.name)
		return "", errIncompleteBody(size, b.size)
	}
	old, ready := "", false
	err = s.db.Update(s.ctx, func(tx *sqlite.Tx) error {
		if _, err := findUpload(s.ctx, tx, bucket, key, id); err != nil {
			return err
		}
		err := tx.QueryRowContext(s.ctx, `SELECT blob FROM parts WHERE upload = ? AND number = ?`, string(id), number).Scan(&old)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		_, err = tx.ExecContext(s.ctx, `INSERT OR REPLACE INTO parts (upload, number, size_bytes, md5, modified_ms, blob) VALUES (?, ?, ?, ?, ?, ?)`,
			string(id), number, b.size, b.md5, sqlite.Millis(tx.Now), b.name)
		ready = err == nil
		return err
	})
	switch {
	case err != nil && !ready:
		s.blobs.remove(b.name)
	case err == nil && old != "":
		s.blobs.remove(old)
	}
	return `"` + b.md5 + `"`, s.fail(op, err)
}

// ListMultipartUploads lists the uploads under way by key, then by age.
func (s *session) ListMultipartUploads(bucket string, marker *gofakes3.UploadListMarker, prefix gofakes3.Prefix, limit int64) (*gofakes3.ListMultipartUploadsResult, error) {
	out := &gofakes3.ListMultipartUploadsResult{Bucket: bucket, Prefix: prefix.Prefix, Delimiter: prefix.Delimiter, MaxUploads: limit}
	if prefix.HasDelimiter || marker != nil && marker.UploadID != "" {
		return nil, newError(gofakes3.ErrNotImplemented, "Listing uploads takes a prefix and a key-marker; delimiter and upload-id-marker are not implemented")
	}
	from := ""
	if marker != nil {
		out.KeyMarker, from = marker.Object, marker.Object
	}
	err := s.db.View(s.ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.QueryContext(s.ctx, `SELECT id, key, initiated_ms FROM uploads WHERE bucket = ? AND key > ? ORDER BY key, initiated_ms, id`, bucket, from)
		all, err := sqlite.Collect(rows, err, func(r *sql.Rows) (i gofakes3.ListMultipartUploadItem, err error) {
			var ms int64
			err = r.Scan(&i.UploadID, &i.Key, &ms)
			i.Initiated = gofakes3.NewContentTime(sqlite.FromMillis(ms))
			return i, err
		})
		for _, i := range all {
			switch {
			case !strings.HasPrefix(i.Key, prefix.Prefix):
			case int64(len(out.Uploads)) >= limit && i.Key != out.Uploads[len(out.Uploads)-1].Key: // a page ends between keys
				out.IsTruncated, out.NextKeyMarker = true, out.Uploads[len(out.Uploads)-1].Key
				return nil
			default:
				out.Uploads = append(out.Uploads, i)
			}
		}
		return err
	})
	return out, s.fail("list multipart uploads", err)
}

// ListParts lists the parts of an upload by number.
func (s *session) ListParts(bucket, key string, id gofakes3.UploadID, marker int, limit int64) (*gofakes3.ListMultipartUploadPartsResult, error) {
	out := &gofakes3.ListMultipartUploadPartsResult{Bucket: bucket, Key: key, UploadID: id, PartNumberMarker: marker, MaxParts: limit, StorageClass: gofakes3.StorageStandard}
	err := s.db.View(s.ctx, func(tx *sqlite.Tx) error {
		if _, err := findUpload(s.ctx, tx, bucket, key, id); err != nil {
			return err
		}
		parts, err := listParts(s.ctx, tx, id, marker, limit+1)
		for i, p := range parts {
			if int64(i) == limit {
				out.IsTruncated = true
				break
			}
			out.NextPartNumberMarker = p.number
			out.Parts = append(out.Parts, gofakes3.ListMultipartUploadPartItem{
				PartNumber: p.number, ETag: `"` + p.md5 + `"`, Size: p.size,
				LastModified: gofakes3.NewContentTime(sqlite.FromMillis(p.modifiedMS)),
			})
		}
		return err
	})
	return out, s.fail("list parts", err)
}

// AbortMultipartUpload ends an upload and forgets its parts.
func (s *session) AbortMultipartUpload(bucket, key string, id gofakes3.UploadID) error {
	var parts []part
	err := s.db.Update(s.ctx, func(tx *sqlite.Tx) (err error) {
		if _, err := findUpload(s.ctx, tx, bucket, key, id); err != nil {
			return err
		}
		if parts, err = listParts(s.ctx, tx, id, 0, gofakes3.MaxUploadPartNumber); err != nil {
			return err
		}
		return dropUpload(s.ctx, tx, id)
	})
	if err == nil {
		s.removeParts(parts)
	}
	return s.fail("abort multipart upload", err)
}

func dropUpload(ctx context.Context, tx *sqlite.Tx, id gofakes3.UploadID) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM uploads WHERE id = ?`, string(id)) // and its parts, by the foreign key
	return err
}

func (s *session) removeParts(parts []part) {
	for _, p := range parts {
		s.blobs.remove(p.blob)
	}
}

// CompleteMultipartUpload joins the named parts to one object: it is copied once more, so that an object is one blob with
// one digest.
func (s *session) CompleteMultipartUpload(bucket, key string, id gofakes3.UploadID, in *gofakes3.CompleteMultipartUploadRequest) (gofakes3.VersionID, string, error) {
	const op = "complete multipart upload"
	var u upload
	var all []part
	err := s.db.View(s.ctx, func(tx *sqlite.Tx) (err error) {
		if u, err = findUpload(s.ctx, tx, bucket, key, id); err != nil {
			return err
		}
		all, err = listParts(s.ctx, tx, id, 0, gofakes3.MaxUploadPartNumber)
		return err
	})
	if err != nil {
		return "", "", s.fail(op, err)
	}
	chosen, etag, err := choose(all, in.Parts)
	if err != nil {
		return "", "", s.fail(op, err)
	}
	joined := &concat{blobs: s.blobs, parts: chosen}
	b, err := s.blobs.write(s.ctx, joined)
	if err = errors.Join(err, joined.Close()); err != nil {
		return "", "", s.fail(op, err)
	}
	d := record{Object: Object{Bucket: bucket, Key: key, Size: b.size, ETag: etag, SHA256: b.sha256, ContentType: u.contentType, Metadata: u.metadata}, blob: b.name}
	d, err = s.commit(s.ctx, d, nil, func(tx *sqlite.Tx) error {
		if _, err := findUpload(s.ctx, tx, bucket, key, id); err != nil {
			return err // completed or aborted by somebody else meanwhile
		}
		if all, err = listParts(s.ctx, tx, id, 0, gofakes3.MaxUploadPartNumber); err != nil {
			return err
		}
		return dropUpload(s.ctx, tx, id)
	})
	if err != nil {
		return "", "", s.fail(op, err)
	}
	s.removeParts(all)
	s.tellStored(d)
	return "", `"` + etag + `"`, nil
}

// choose checks the list of a completion against the parts that are there and computes the object's ETag: the MD5 of
// the parts' MD5s and their number.
func choose(have []part, want []gofakes3.CompletedPart) ([]part, string, error) {
	if len(want) == 0 {
		return nil, "", newError(gofakes3.ErrMalformedXML, "Name at least one part")
	}
	byNumber := map[int]part{}
	for _, p := range have {
		byNumber[p.number] = p
	}
	sum, out := md5.New(), make([]part, 0, len(want))
	for i, w := range want {
		p, ok := byNumber[w.PartNumber]
		switch {
		case i > 0 && w.PartNumber <= want[i-1].PartNumber:
			return nil, "", newError(gofakes3.ErrInvalidPartOrder, "The parts must be named in ascending order")
		case !ok:
			return nil, "", newError(gofakes3.ErrInvalidPart, "Part %d was not uploaded", w.PartNumber)
		case strings.Trim(w.ETag, `"`) != p.md5:
			return nil, "", newError(gofakes3.ErrInvalidPart, "Part %d has another ETag", w.PartNumber)
		}
		digest, err := hex.DecodeString(p.md5)
		if err != nil {
			return nil, "", fmt.Errorf("stored MD5 of part %d: %w", p.number, err)
		}
		_, _ = sum.Write(digest)
		out = append(out, p)
	}
	for _, p := range out[:len(out)-1] {
		if p.size < MinPart {
			return nil, "", newError(codeEntityTooSmall, "Part %d has %d bytes; every part but the last needs %d", p.number, p.size, MinPart)
		}
	}
	return out, fmt.Sprintf("%x-%d", sum.Sum(nil), len(out)), nil
}

// concat reads parts one after the other and holds one file open at a time.
type concat struct {
	blobs *blobs
	parts []part
	open  io.ReadCloser
}

func (c *concat) Read(p []byte) (int, error) {
	for {
		if c.open == nil {
			if len(c.parts) == 0 {
				return 0, io.EOF
			}
			f, err := c.blobs.open(c.parts[0].blob)
			if err != nil {
				return 0, err
			}
			c.open, c.parts = f, c.parts[1:]
		}
		n, err := c.open.Read(p)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		if err := c.Close(); n > 0 || err != nil {
			return n, err
		}
	}
}

// Close closes the file in hand.
func (c *concat) Close() error {
	if c.open == nil {
		return nil
	}
	f := c.open
	c.open = nil
	return f.Close()
}

var _ gofakes3.MultipartBackend = (*session)(nil)
