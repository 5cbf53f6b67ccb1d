package registry

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dpesim/dpesim/sim"
)

// Content is a manifest or a blob. Reading is safe for concurrent use.
type Content struct {
	ocispec.Descriptor
	io.ReaderAt
}

// Artifact is what a tag names: a manifest, and all that it refers to.
type Artifact struct {
	Manifest  Content
	Manifests []Content // that Manifest refers to, if it is an index
	Blobs     []Content // configurations and layers
}

// catalogue is what the vendor publishes: made by this process, at the first request, and the same in every run. It
// needs no disk.
type catalogue struct {
	mu           sync.Mutex
	repositories map[string]map[string]*publication // by repository and tag
}

// publication is a published artifact that may not be made yet.
type publication struct {
	build func() (Artifact, error)

	mu        sync.Mutex
	made      bool
	manifest  Content            // what the tag names
	manifests map[string]Content // by digest
	blobs     map[string]Content // by digest
}

// vendorPrefixes are the repositories that are the vendor's: nobody pushes to them.
var vendorPrefixes = []string{"charts/", "images/"}

// isVendor tells whether a repository is the vendor's.
func isVendor(repository string) bool {
	return slices.ContainsFunc(vendorPrefixes, func(p string) bool { return strings.HasPrefix(repository, p) })
}

// Publish puts an artifact under a tag of one of the vendor's repositories (charts/*, images/*), in the place of what the
// tag named. build is called at the first request for anything in the repository, and again only if it failed. It returns
// Invalid if the names are none.
func (r *Registry) Publish(repository, tag string, build func() (Artifact, error)) error {
	if !repositoryPattern.MatchString(repository) || !isVendor(repository) {
		return sim.Errorf(sim.Invalid, "%q is not a repository of the vendor's", repository).
			WithHelp("use charts/ or images/ and lower-case words joined by slashes, for example charts/dpe")
	}
	if checkTag(tag) != nil {
		return sim.Errorf(sim.Invalid, "%q is not a tag", tag).WithHelp("use a release, for example 15.3.0")
	}
	r.vendor.mu.Lock()
	defer r.vendor.mu.Unlock()
	tags := r.vendor.repositories[repository]
	if tags == nil {
		tags = map[string]*publication{}
		r.vendor.repositories[repository] = tags
	}
	tags[tag] = &publication{build: build}
	return nil
}

// get gives the artifact, made now if need be.
func (p *publication) get() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.made {
		return nil
	}
	a, err := p.build()
	if err != nil {
		return err
	}
	index := func(all ...Content) map[string]Content {
		m := map[string]Content{}
		for _, c := range all {
			m[c.Digest.String()] = c
		}
		return m
	}
	p.manifest, p.made = a.Manifest, true
	p.manifests, p.blobs = index(append(a.Manifests, a.Manifest)...), index(a.Blobs...)
	return nil
}

// published gives the tags of a repository.
func (c *catalogue) published(repository string) (map[string]*publication, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	tags, ok := c.repositories[repository]
	if !ok {
		return nil, errNameUnknown
	}
	return maps.Clone(tags), nil
}

// Tags lists the tags of a repository, in order.
func (c *catalogue) Tags(_ context.Context, repository string) ([]string, error) {
	tags, err := c.published(repository)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(tags)), nil
}

// Manifest gives a manifest by tag or digest.
func (c *catalogue) Manifest(_ context.Context, repository, reference string) (Content, error) {
	tags, err := c.published(repository)
	if err != nil {
		return Content{}, err
	}
	if p, ok := tags[reference]; ok {
		if err := p.get(); err != nil {
			return Content{}, fmt.Errorf("make %s:%s: %w", repository, reference, err)
		}
		return p.manifest, nil
	}
	return find(tags, reference, func(p *publication) map[string]Content { return p.manifests }, errManifestUnknown)
}

// Blob gives a blob by its digest.
func (c *catalogue) Blob(_ context.Context, repository, digest string) (Content, error) {
	tags, err := c.published(repository)
	if err != nil {
		return Content{}, errBlobUnknown // there are no others
	}
	return find(tags, digest, func(p *publication) map[string]Content { return p.blobs }, errBlobUnknown)
}

// Referrers lists nothing: the vendor publishes no signatures or the like.
func (c *catalogue) Referrers(context.Context, string, string) ([]ocispec.Descriptor, error) {
	return nil, nil
}

// find looks for a digest in all that a repository holds.
func find(tags map[string]*publication, digest string, in func(*publication) map[string]Content, unknown error) (Content, error) {
	if !strings.Contains(digest, ":") {
		return Content{}, unknown // a tag that there is not
	}
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		p := tags[tag]
		if err := p.get(); err != nil {
			return Content{}, fmt.Errorf("make tag %s: %w", tag, err)
		}
		if c, ok := in(p)[digest]; ok {
			return c, nil
		}
	}
	return Content{}, unknown
}

// tag gives the tag whose artifact holds a digest, as far as artifacts are made.
func (c *catalogue) tag(repository, digest string) string {
	tags, err := c.published(repository)
	if err != nil {
		return ""
	}
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		p := tags[tag]
		p.mu.Lock()
		_, isManifest := p.manifests[digest]
		_, isBlob := p.blobs[digest]
		p.mu.Unlock()
		if isManifest || isBlob {
			return tag
		}
	}
	return ""
}
