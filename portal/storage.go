package portal

import (
	"context"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
)

func (p *Portal) storageRoutes(r *router) {
	r.api(http.MethodGet, "/environments/:env/buckets", needManage, p.getBuckets, op("buckets", "List the buckets of the object storage by name").gives(200, []api.Bucket{}))
	r.api(http.MethodGet, "/environments/:env/buckets/:bucket/objects", needManage, p.getObjects, op("objects", "List the objects of a bucket in the order of their keys").gives(200, []api.StoredObject{}).query("after", "Only keys that come after this one", "").paged(pageDefault))
}

// getBuckets handles GET /environments/{env}/buckets.
func (p *Portal) getBuckets(c echo.Context) error {
	out, err := p.buckets(c.Request().Context(), environmentOf(c))
	if err != nil {
		return err
	}
	return ok(c, notNil(out))
}

// getObjects handles GET /environments/{env}/buckets/{bucket}/objects.
func (p *Portal) getObjects(c echo.Context) error {
	n, err := limit(c, pageDefault)
	if err != nil {
		return err
	}
	out, err := p.objects(c.Request().Context(), environmentOf(c), c.Param("bucket"), api.ObjectFilter{After: c.QueryParam("after"), Limit: n + 1})
	if err != nil {
		return err
	}
	return ok(c, cut(c, out, n, "after", func(o api.StoredObject) string { return o.Key }))
}

func (p *Portal) buckets(ctx context.Context, env sim.EnvironmentID) ([]api.Bucket, error) {
	if _, err := p.store.Environment(ctx, env); err != nil {
		return nil, err
	}
	out, err := p.opts.Cloud.Buckets(ctx, env)
	if err != nil {
		return nil, fmt.Errorf("list buckets of environment %s: %w", env, err)
	}
	return out, nil
}

func (p *Portal) objects(ctx context.Context, env sim.EnvironmentID, bucket string, f api.ObjectFilter) ([]api.StoredObject, error) {
	if _, err := p.store.Environment(ctx, env); err != nil {
		return nil, err
	}
	out, err := p.opts.Cloud.Objects(ctx, env, bucket, f)
	if err != nil {
		return nil, fmt.Errorf("list objects of bucket %s: %w", bucket, err)
	}
	return out, nil
}

// downloadObject handles GET /environments/{env}/storage/{bucket}/object?key=. Objects are the customer's data: the answer
// is never shown in the browser, whatever it holds, and the audit log tells who had it.
func (p *Portal) downloadObject(c echo.Context) (err error) {
	ctx, env, bucket, key := c.Request().Context(), environmentOf(c), c.Param("bucket"), c.QueryParam("key")
	if _, err := p.store.Environment(ctx, env); err != nil {
		return err
	}
	o, r, err := p.opts.Cloud.OpenObject(ctx, env, bucket, key)
	if err != nil {
		return fmt.Errorf("open object: %w", err)
	}
	defer func() { _ = r.Close() }() // it was only read
	if err := p.store.Record(ctx, store.Act{Action: "object downloaded", Environment: env, Detail: map[string]string{"object": bucket + "/" + key}}); err != nil {
		return err
	}
	attach(c, fileName(key))
	c.Response().Header().Set(echo.HeaderContentType, echo.MIMEOctetStream)
	http.ServeContent(c.Response(), c.Request(), "", o.Modified, r)
	return nil
}
