package objstore

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/johannesboyne/gofakes3"

	"github.com/dpesim/dpesim/sim/sqlite"
)

// checkKey refuses what cannot be a key. Control characters are S3's to allow, but no XML listing could show them.
func checkKey(key string) error {
	switch {
	case key == "":
		return newError(gofakes3.ErrInvalidArgument, "An object needs a key")
	case len(key) > gofakes3.KeySizeLimit:
		return newError(gofakes3.ErrKeyTooLong, "Your key is too long: %d bytes, at most %d", len(key), gofakes3.KeySizeLimit)
	case !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl):
		return newError(gofakes3.ErrInvalidArgument, "A key must be UTF-8 without control characters")
	}
	return nil
}

// defaultContentType is what S3 gives an object that came without one.
const defaultContentType = "binary/octet-stream"

// kept picks the headers of a request that S3 gives back with the object. gofakes3 picks others.
func kept(h http.Header) map[string]string {
	out := map[string]string{}
	for k, v := range h {
		switch {
		case k == "Content-Encoding":
			if e := withoutAWSChunked(v[0]); e != "" {
				out[k] = e
			}
		case k == "Content-Type", k == "Content-Disposition", k == "Content-Language", k == "Cache-Control", k == "Expires",
			strings.HasPrefix(k, "X-Amz-Meta-"), isChecksumHeader(k):
			out[k] = strings.Join(v, ",")
		}
	}
	return out
}

// described makes the Object that kept headers describe.
func described(bucket, key string, headers map[string]string) Object {
	o := Object{Bucket: bucket, Key: key, ContentType: headers["Content-Type"], Metadata: maps.Clone(headers)}
	if o.ContentType == "" {
		o.ContentType = defaultContentType
	}
	delete(o.Metadata, "Content-Type")
	return o
}

// withoutAWSChunked removes the coding that ends at this server.
func withoutAWSChunked(v string) string {
	parts := strings.Split(v, ",")
	parts = slices.DeleteFunc(parts, func(p string) bool {
		p = strings.TrimSpace(p)
		return p == "" || strings.EqualFold(p, "aws-chunked")
	})
	return strings.TrimSpace(strings.Join(parts, ","))
}

// keep stores an object and tells of it. Every way of writing one ends here or in CompleteMultipartUpload.
func (s *session) keep(bucket, key string, headers map[string]string, r io.Reader, size int64, cond *gofakes3.PutConditions) (record, error) {
	if err := checkKey(key); err != nil {
		return record{}, err
	}
	if err := s.db.View(s.ctx, func(tx *sqlite.Tx) error { return needBucket(s.ctx, tx, bucket) }); err != nil {
		return record{}, err // before the body is read
	}
	d, err := s.put(s.ctx, described(bucket, key, headers), size, r, conditional(cond), func(d *record) {
		if s.checksum != nil { // of a trailer: known only now
			if h, v := s.checksum(); h != "" {
				d.Metadata[h] = v
			}
		}
	})
	if err == nil {
		s.tellStored(d)
	}
	return d, err
}

func (s *session) tellStored(d record) {
	s.tell("object stored", map[string]string{
		"bucket": d.Bucket, "key": d.Key, "size_bytes": strconv.FormatInt(d.Size, 10), "sha256": d.SHA256,
	})
}

// conditional makes the check of If-Match and If-None-Match, which S3 evaluates together with the write.
func conditional(c *gofakes3.PutConditions) func(old *record) error {
	if c == nil {
		return nil
	}
	return func(old *record) error {
		switch {
		case c.IfNoneMatch != nil && *c.IfNoneMatch != "*":
			return newError(gofakes3.ErrNotImplemented, "A write with If-None-Match takes * only")
		case c.IfNoneMatch != nil && old != nil:
			return newError(gofakes3.ErrPreconditionFailed, "The object exists already")
		case c.IfMatch != nil && old == nil:
			return newError(codeNoSuchKey, "The object that If-Match speaks of does not exist")
		case c.IfMatch != nil && *c.IfMatch != "*" && strings.Trim(*c.IfMatch, `"`) != old.ETag:
			return newError(gofakes3.ErrPreconditionFailed, "The object's ETag is another")
		}
		return nil
	}
}

// DeleteObject removes an object; one that does not exist is no error.
func (s *session) DeleteObject(bucket, key string) (gofakes3.ObjectDeleteResult, error) {
	var old record
	err := s.db.Update(s.ctx, func(tx *sqlite.Tx) (err error) {
		if old, err = find(s.ctx, tx, bucket, key); err != nil {
			return err
		}
		_, err = tx.ExecContext(s.ctx, `DELETE FROM objects WHERE bucket = ? AND key = ?`, bucket, key)
		return err
	})
	if codeOf(err) == codeNoSuchKey {
		return gofakes3.ObjectDeleteResult{}, nil
	}
	if err != nil {
		return gofakes3.ObjectDeleteResult{}, s.fail("delete object", err)
	}
	s.blobs.remove(old.blob)
	s.tell("object deleted", map[string]string{"bucket": bucket, "key": key})
	return gofakes3.ObjectDeleteResult{}, nil
}

// maxDelete is how many keys one DeleteObjects request may name. Source: Amazon S3 API Reference, DeleteObjects.
const maxDelete = 1000

// DeleteMulti removes objects one by one and reports on each.
func (s *session) DeleteMulti(bucket string, keys ...string) (gofakes3.MultiDeleteResult, error) {
	var out gofakes3.MultiDeleteResult
	if len(keys) == 0 || len(keys) > maxDelete {
		return out, newError(gofakes3.ErrMalformedXML, "Name between 1 and %d keys, not %d", maxDelete, len(keys))
	}
	for _, key := range keys {
		if _, err := s.DeleteObject(bucket, key); err != nil {
			e := gofakes3.ErrorResultFromError(err)
			e.Key = key
			out.Error = append(out.Error, e)
			continue
		}
		out.Deleted = append(out.Deleted, gofakes3.ObjectID{Key: key})
	}
	return out, nil
}

// CopyObject copies an object inside the store, with its headers or, as x-amz-metadata-directive may say, the request's.
// gofakes3 hands in a mixture of both.
func (s *session) CopyObject(srcBucket, srcKey, dstBucket, dstKey string, request map[string]string) (gofakes3.CopyObjectResult, error) {
	src, f, err := s.open(srcBucket, srcKey)
	if err != nil {
		return gofakes3.CopyObjectResult{}, s.fail("copy object", err)
	}
	defer func() { _ = f.Close() }() // only read
	headers := map[string]string{"Content-Type": src.ContentType}
	switch directive := request["X-Amz-Metadata-Directive"]; directive {
	case "", "COPY":
		if srcBucket == dstBucket && srcKey == dstKey {
			return gofakes3.CopyObjectResult{}, newError(codeInvalidRequest, "Copying an object to itself changes nothing; set x-amz-metadata-directive to REPLACE to change its metadata")
		}
		maps.Copy(headers, src.Metadata)
	case "REPLACE":
		headers = maps.Clone(s.sent)
		for k, v := range src.Metadata {
			if isChecksumHeader(k) { // of the content, which stays
				headers[k] = v
			}
		}
	default:
		return gofakes3.CopyObjectResult{}, newError(gofakes3.ErrInvalidArgument, "Unknown metadata directive %q; it is COPY or REPLACE", directive)
	}
	d, err := s.keep(dstBucket, dstKey, headers, f, src.Size, nil)
	if err != nil {
		return gofakes3.CopyObjectResult{}, s.fail("copy object", err)
	}
	return gofakes3.CopyObjectResult{ETag: `"` + d.ETag + `"`, LastModified: gofakes3.NewContentTime(d.Modified)}, nil
}

var _ gofakes3.Backend = (*session)(nil)
