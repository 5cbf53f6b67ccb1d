package api

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/dpesim/dpesim/sim"
)

// Bucket is a bucket of an environment's object storage.
type Bucket struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
}

// StoredObject is an object in a bucket.
type StoredObject struct {
	Key         string    `json:"key"`
	SizeBytes   int64     `json:"size_bytes"`
	ETag        string    `json:"etag"` // of S3, without quotes
	ContentType string    `json:"content_type"`
	Modified    time.Time `json:"modified"`
}

// ObjectFilter says which objects of a bucket to read.
type ObjectFilter struct {
	After string // only keys that come after it; empty: from the first
	Limit int    // at most so many; of the API, 0: 100
}

// Buckets lists the buckets of an environment's object storage by name.
func (c *Client) Buckets(ctx context.Context, env sim.EnvironmentID) ([]Bucket, error) {
	return get[[]Bucket](ctx, c, call{method: http.MethodGet, path: environmentPath(env, "buckets")})
}

// AllObjects gives all objects of a bucket that f chooses, in the order of their keys, read in pages of f.Limit. It ends
// after an error.
func (c *Client) AllObjects(ctx context.Context, env sim.EnvironmentID, bucket string, f ObjectFilter) iter.Seq2[StoredObject, error] {
	q := url.Values{}
	if f.After != "" {
		q.Set("after", f.After)
	}
	if f.Limit != 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return pages[StoredObject](ctx, c, call{path: environmentPath(env, "buckets", bucket, "objects"), query: q})
}
