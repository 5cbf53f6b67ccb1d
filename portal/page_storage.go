package portal

import (
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

// bucketPage gives the path of the storage console's page about a bucket.
func bucketPage(env sim.EnvironmentID, bucket string) string {
	return environmentPage(env, "storage/"+url.PathEscape(bucket))
}

// showBuckets handles GET /environments/{env}/storage: the console of the object storage.
func (p *Portal) showBuckets(c echo.Context) error {
	ctx, env := c.Request().Context(), environmentOf(c)
	f, err := p.environmentFrame(c, "Object storage", "")
	if err != nil {
		return err
	}
	view := ui.StoragePage{Frame: f, Address: p.opts.Cloud.Endpoints(env).ObjectStorage}
	all, err := p.buckets(ctx, env)
	if view.Unavailable, err = unavailable(err); err != nil {
		return err
	}
	for _, b := range all {
		view.Buckets = append(view.Buckets, ui.Bucket{Name: b.Name, Path: bucketPage(env, b.Name), Created: b.Created})
	}
	return page(c, http.StatusOK)(ui.Storage(view))
}

// showObjects handles GET /environments/{env}/storage/{bucket}.
func (p *Portal) showObjects(c echo.Context) error {
	ctx, env, bucket := c.Request().Context(), environmentOf(c), c.Param("bucket")
	f, err := p.environmentFrame(c, bucket, "")
	if err != nil {
		return err
	}
	after := c.QueryParam("after")
	view := ui.BucketPage{Frame: f, Name: bucket}
	objects, err := p.objects(ctx, env, bucket, api.ObjectFilter{After: after, Limit: pageDefault + 1})
	if view.Unavailable, err = unavailable(err); err != nil {
		return err
	}
	here := bucketPage(env, bucket)
	if after != "" {
		view.First = here
	}
	if len(objects) > pageDefault {
		objects = objects[:pageDefault]
		view.More = here + "?after=" + url.QueryEscape(objects[pageDefault-1].Key)
	}
	for _, o := range objects {
		view.Objects = append(view.Objects, ui.StoredObject{
			Key: o.Key, Path: here + "/object?key=" + url.QueryEscape(o.Key), Size: bytesWords(o.SizeBytes), Type: o.ContentType, Modified: o.Modified,
		})
	}
	return page(c, http.StatusOK)(ui.BucketOf(view))
}

// bytesWords writes a size for people: "512 B", "1.5 MiB".
func bytesWords(n int64) string {
	if n < 1<<10 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, unit := float64(n)/(1<<10), 0
	units := []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	for f >= 1<<10 && unit < len(units)-1 {
		f /= 1 << 10
		unit++
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + units[unit]
}

// fileName gives the name to save an object under: the last part of its key, without what paths and headers cannot have.
func fileName(key string) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, path.Base(key))
	if strings.Trim(name, "._") == "" {
		return "object"
	}
	return name
}
