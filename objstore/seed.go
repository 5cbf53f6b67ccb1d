package objstore

import (
	"context"
	"io"

	"github.com/johannesboyne/gofakes3"
)

// EnsureBucket makes a bucket unless it exists. It returns Invalid for a name that S3 does not allow.
func (s *Server) EnsureBucket(ctx context.Context, name string) error {
	const op = "objstore.EnsureBucket"
	if err := gofakes3.ValidateBucketName(name); err != nil {
		return forCaller(op, err)
	}
	err := s.session(ctx, "").CreateBucket(name)
	if code := codeOf(err); err == nil || code == codeBucketAlreadyOwnedByYou {
		return nil
	}
	return forCaller(op, err)
}

// PutObject stores what r holds as the S3 face does: when it returns nil the object is safe on disk. It returns NotFound
// if there is no such bucket and Invalid for a key that cannot be one.
func (s *Server) PutObject(ctx context.Context, bucket, key, contentType string, r io.Reader) (Object, error) {
	d, err := s.session(ctx, "").keep(bucket, key, map[string]string{"Content-Type": contentType}, r, -1, nil)
	if err != nil {
		return Object{}, forCaller("objstore.PutObject", err)
	}
	return d.Object, nil
}
