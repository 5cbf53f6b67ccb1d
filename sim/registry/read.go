package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// reader is what repositories can be asked for. Every method returns a problem for what is not there.
type reader interface {
	Tags(ctx context.Context, repository string) ([]string, error) // in the order of their bytes
	Manifest(ctx context.Context, repository, reference string) (Content, error)
	Blob(ctx context.Context, repository, digest string) (Content, error) // closed if it is an io.Closer
	Referrers(ctx context.Context, repository, subject string) ([]ocispec.Descriptor, error)
}

// read answers GET and HEAD.
func (r *Registry) read(w http.ResponseWriter, req *http.Request, rt route, t Token) error {
	from := r.readerOf(rt.repository)
	switch rt.resource {
	case resourceManifest, resourceBlob:
		get := from.Blob
		if rt.resource == resourceManifest {
			get = from.Manifest
		}
		c, err := get(req.Context(), rt.repository, rt.reference)
		if err != nil {
			return err
		}
		if f, ok := c.ReaderAt.(io.Closer); ok {
			defer func() { _ = f.Close() }() // only read
		}
		serveContent(w, req, rt, c)
		r.tellPulled(req, rt, c, t)
		return nil
	case resourceTags:
		tags, err := from.Tags(req.Context(), rt.repository)
		if err != nil {
			return err
		}
		return serveTags(w, req, rt.repository, tags)
	case resourceReferrers:
		all, err := from.Referrers(req.Context(), rt.repository, rt.reference)
		if err != nil {
			return err
		}
		return serveReferrers(w, req, all)
	case resourcePing, resourceUploads, resourceUpload:
	}
	return errMethod
}

// readerOf gives what holds a repository.
func (r *Registry) readerOf(repository string) reader {
	if isVendor(repository) {
		return &r.vendor
	}
	return r.kept
}

// serveContent hands out a manifest whole, or a blob or the part of it that is asked for.
func serveContent(w http.ResponseWriter, req *http.Request, rt route, c Content) {
	h := w.Header()
	h.Set("Docker-Content-Digest", c.Digest.String())
	h.Set("ETag", `"`+c.Digest.String()+`"`)
	h.Set("Content-Type", c.MediaType)
	if rt.resource == resourceBlob {
		h.Set("Content-Type", "application/octet-stream") // a blob may be of several types: manifests say which
	}
	http.ServeContent(w, req, "", time.Time{}, io.NewSectionReader(c, 0, c.Size))
}

// maxPage is how many tags are listed at once, if the client does not ask for fewer.
const maxPage = 1000

// serveTags lists tags after the query's last, at most n. Source: OCI distribution specification 1.1, "Listing tags".
func serveTags(w http.ResponseWriter, req *http.Request, repository string, tags []string) error {
	q := req.URL.Query()
	n := maxPage
	if s := q.Get("n"); s != "" {
		asked, err := strconv.Atoi(s)
		if err != nil || asked < 0 {
			return &problem{http.StatusBadRequest, codePagination, "invalid number of results requested: n is a number from 0"}
		}
		n = min(n, asked)
	}
	if last := q.Get("last"); last != "" {
		i, found := slices.BinarySearch(tags, last)
		if found {
			i++
		}
		tags = tags[i:]
	}
	if len(tags) > n {
		tags = tags[:n]
		if n > 0 {
			next := url.Values{"n": {strconv.Itoa(n)}, "last": {tags[n-1]}}
			w.Header().Set("Link", fmt.Sprintf(`</v2/%s/tags/list?%s>; rel="next"`, repository, next.Encode()))
		}
	}
	return answer(w, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{repository, tags})
}

// answer writes a JSON document.
func answer(w http.ResponseWriter, mediaType string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode an answer: %w", err)
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b) // the client has gone if this fails
	return nil
}
