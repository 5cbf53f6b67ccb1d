package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dpesim/dpesim/sim/registry/internal/store"
)

// maxManifest is the largest manifest that is taken, in bytes. Source: OCI distribution specification 1.1, "Pushing
// manifests": registries should take 4 MiB.
const maxManifest = 4 << 20

// Media types of manifests that are taken: OCI's, and Docker's that images from elsewhere still have. Source: image
// manifest version 2, schema 2, of the distribution registry.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// document is what a manifest or an index refers to.
type document struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	ArtifactType  string               `json:"artifactType"`
	Config        *ocispec.Descriptor  `json:"config"`
	Layers        []ocispec.Descriptor `json:"layers"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
	Subject       *ocispec.Descriptor  `json:"subject"`
	Annotations   map[string]string    `json:"annotations"`
}

// readManifest reads a manifest of a media type and checks its form. It returns a problem for what is none.
func readManifest(mediaType string, b []byte) (document, error) {
	var d document
	invalid := func(format string, args ...any) (document, error) {
		return document{}, &problem{http.StatusBadRequest, codeManifestInvalid, "manifest invalid: " + fmt.Sprintf(format, args...)}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return invalid("it is no JSON of a manifest")
	}
	if d.SchemaVersion != 2 {
		return invalid("its schemaVersion is not 2")
	}
	if d.MediaType != "" && d.MediaType != mediaType {
		return invalid("its mediaType is not the Content-Type")
	}
	refers := append(append([]ocispec.Descriptor{}, d.Layers...), d.Manifests...)
	switch mediaType {
	case ocispec.MediaTypeImageManifest, dockerManifest:
		if d.Config == nil || len(d.Manifests) > 0 {
			return invalid("an image's manifest has a config and no manifests")
		}
		refers = append(refers, *d.Config)
	case ocispec.MediaTypeImageIndex, dockerIndex:
		if d.Config != nil || len(d.Layers) > 0 {
			return invalid("an index has manifests, and neither a config nor layers")
		}
	default:
		return invalid("the registry does not take the media type %q", mediaType)
	}
	if d.Subject != nil {
		refers = append(refers, *d.Subject)
	}
	for _, x := range refers {
		if err := checkDigest(x.Digest.String()); err != nil {
			return invalid("it refers to %q, which is no digest", x.Digest)
		}
	}
	return d, nil
}

// artifactType is what a referrer is listed as. Source: OCI distribution specification 1.1, "Listing referrers".
func (d document) artifactType() string {
	if d.ArtifactType == "" && d.Config != nil {
		return d.Config.MediaType
	}
	return d.ArtifactType
}

// blobs lists the blobs that must be there before the manifest. Layers that are not distributable stay elsewhere.
func (d document) blobs() (out []string) {
	for _, x := range d.Layers {
		if !strings.Contains(x.MediaType, ".nondistributable.") && !strings.Contains(x.MediaType, ".foreign.") {
			out = append(out, x.Digest.String())
		}
	}
	if d.Config != nil {
		out = append(out, d.Config.Digest.String())
	}
	return out
}

// putManifest handles PUT of a manifest.
func (r *Registry) putManifest(w http.ResponseWriter, req *http.Request, rt route) error {
	ctx := req.Context()
	b, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxManifest))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &problem{http.StatusRequestEntityTooLarge, codeSizeInvalid, "a manifest may have 4 MiB"}
	} else if err != nil {
		return &problem{http.StatusBadRequest, codeManifestInvalid, "manifest invalid: it did not arrive whole"}
	}
	mediaType, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil {
		return &problem{http.StatusBadRequest, codeManifestInvalid, "manifest invalid: the request has no Content-Type"}
	}
	d, err := readManifest(mediaType, b)
	if err != nil {
		return err
	}
	m := store.Manifest{Digest: digest.FromBytes(b).String(), MediaType: mediaType, Content: b}
	if d.Subject != nil {
		m.Subject = d.Subject.Digest.String()
	}
	tags := req.URL.Query()["tag"]
	if strings.Contains(rt.reference, ":") {
		want := digest.Digest(rt.reference)
		if m.Digest = want.Algorithm().FromBytes(b).String(); m.Digest != rt.reference {
			return &problem{http.StatusBadRequest, codeDigestInvalid, "provided digest did not match uploaded content"}
		}
	} else {
		tags = append(tags, rt.reference)
	}
	for _, t := range tags {
		if err := checkTag(t); err != nil {
			return err
		}
	}
	if err := r.complete(req, rt.repository, d); err != nil {
		return err
	}
	if err := r.kept.PutManifest(ctx, rt.repository, m, tags...); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Location", "/v2/"+rt.repository+"/manifests/"+m.Digest)
	h.Set("Docker-Content-Digest", m.Digest)
	if m.Subject != "" {
		h.Set("OCI-Subject", m.Subject)
	}
	for _, t := range req.URL.Query()["tag"] {
		h.Add("OCI-Tag", t)
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// complete returns a problem if a manifest refers to what its repository does not hold.
func (r *Registry) complete(req *http.Request, repository string, d document) error {
	missing, err := r.kept.Missing(req.Context(), repository, d.blobs())
	if err != nil {
		return err
	}
	var manifests []string
	for _, x := range d.Manifests {
		manifests = append(manifests, x.Digest.String())
	}
	more, err := r.kept.MissingManifests(req.Context(), repository, manifests)
	if err != nil {
		return err
	}
	if missing = append(missing, more...); len(missing) > 0 {
		return &problem{http.StatusBadRequest, codeManifestBlobUnknown, "manifest references a manifest or blob unknown to the registry: " + strings.Join(missing, ", ")}
	}
	return nil
}

// serveReferrers lists what is about a manifest, whether or not that is there. Source: OCI distribution specification
// 1.1, "Listing referrers".
func serveReferrers(w http.ResponseWriter, req *http.Request, all []ocispec.Descriptor) error {
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	index.SchemaVersion = 2
	only := req.URL.Query().Get("artifactType")
	if only != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	for _, d := range all {
		if only == "" || d.ArtifactType == only {
			index.Manifests = append(index.Manifests, d)
		}
	}
	return answer(w, ocispec.MediaTypeImageIndex, index)
}
