package portal_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// put stores an object of every environment.
func (c *cloud) put(bucket, key, content string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.objects[bucket] == nil {
		c.objects[bucket] = map[string]string{}
	}
	c.objects[bucket][key] = content
}

func (c *cloud) Buckets(context.Context, sim.EnvironmentID) ([]api.Bucket, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []api.Bucket
	for _, name := range slices.Sorted(maps.Keys(c.objects)) {
		out = append(out, api.Bucket{Name: name, Created: epoch})
	}
	return out, nil
}

func (c *cloud) Objects(_ context.Context, _ sim.EnvironmentID, bucket string, f api.ObjectFilter) ([]api.StoredObject, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all, known := c.objects[bucket]
	if !known {
		return nil, sim.Errorf(sim.NotFound, "The specified bucket does not exist: %s", bucket)
	}
	var out []api.StoredObject
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if key > f.After && len(out) < f.Limit {
			out = append(out, api.StoredObject{Key: key, SizeBytes: int64(len(all[key])), ETag: "e", ContentType: "text/html", Modified: epoch})
		}
	}
	return out, nil
}

func (c *cloud) OpenObject(_ context.Context, _ sim.EnvironmentID, bucket, key string) (api.StoredObject, io.ReadSeekCloser, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	content, known := c.objects[bucket][key]
	if !known {
		return api.StoredObject{}, nil, sim.Errorf(sim.NotFound, "The specified key does not exist: %s", key)
	}
	return api.StoredObject{Key: key, SizeBytes: int64(len(content)), ContentType: "text/html", Modified: epoch}, nopSeekCloser{bytes.NewReader([]byte(content))}, nil
}

type nopSeekCloser struct{ *bytes.Reader }

func (nopSeekCloser) Close() error { return nil }
