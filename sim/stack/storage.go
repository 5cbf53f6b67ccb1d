package stack

import (
	"context"
	"io"

	"github.com/dpesim/dpesim/objstore"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// Buckets lists the buckets of an environment's object storage.
func (c cloud) Buckets(ctx context.Context, id sim.EnvironmentID) ([]api.Bucket, error) {
	e, err := c.clouds.get(id)
	if err != nil {
		return nil, err
	}
	all, err := e.storage.Buckets(ctx)
	out := make([]api.Bucket, len(all))
	for i, b := range all {
		out[i] = api.Bucket{Name: b.Name, Created: b.Created}
	}
	return out, err
}

// Objects lists objects of a bucket.
func (c cloud) Objects(ctx context.Context, id sim.EnvironmentID, bucket string, f api.ObjectFilter) ([]api.StoredObject, error) {
	e, err := c.clouds.get(id)
	if err != nil {
		return nil, err
	}
	all, err := e.storage.Objects(ctx, bucket, f.After, f.Limit)
	out := make([]api.StoredObject, len(all))
	for i, o := range all {
		out[i] = storedObject(o)
	}
	return out, err
}

// OpenObject opens an object.
func (c cloud) OpenObject(ctx context.Context, id sim.EnvironmentID, bucket, key string) (api.StoredObject, io.ReadSeekCloser, error) {
	e, err := c.clouds.get(id)
	if err != nil {
		return api.StoredObject{}, nil, err
	}
	o, r, err := e.storage.OpenObject(ctx, bucket, key)
	return storedObject(o), r, err
}

func storedObject(o objstore.Object) api.StoredObject {
	return api.StoredObject{Key: o.Key, SizeBytes: o.Size, ETag: o.ETag, ContentType: o.ContentType, Modified: o.Modified}
}
