package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	helmchart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	helmregistry "helm.sh/helm/v4/pkg/registry"

	"github.com/dpesim/dpesim/sim"
)

// chart is an artifact that was pushed.
type chart struct {
	repository, version string
}

// repositoryPattern is the form of a repository's name. Source: OCI distribution specification 1.1, "Pulling manifests".
var repositoryPattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

// Push stores a packaged Helm chart as the OCI artifact that `helm push` makes of it, under repository
// ("charts/dpe"), tagged with its version. The same archive again changes nothing; another one takes over the tag. It
// returns Invalid if the archive is no chart, or if its name and version are not those of the repository and the tag
// (as helm's strict mode demands).
func (r *Registry) Push(ctx context.Context, repository, version string, archive []byte) error {
	if !repositoryPattern.MatchString(repository) {
		return sim.Errorf(sim.Invalid, "%q is not a repository's name", repository).WithHelp("use lower-case words joined by slashes, for example charts/dpe")
	}
	c, err := loader.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		return &sim.Error{Kind: sim.Invalid, Msg: "the archive is not a Helm chart", Help: "push what `helm package` makes", Err: err}
	}
	if m := c.Metadata; repository != m.Name && !strings.HasSuffix(repository, "/"+m.Name) || m.Version != version {
		return sim.Errorf(sim.Invalid, "the archive holds %s %s, not %s %s", m.Name, m.Version, repository, version).
			WithHelp("the repository must end in the chart's name and the tag must be its version")
	}
	digest, size, err := v1.SHA256(bytes.NewReader(archive))
	if err != nil {
		return fmt.Errorf("digest chart: %w", err)
	}
	r.mu.Lock()
	old := r.charts[digest.String()]
	r.mu.Unlock()
	if old != nil && old.repository == repository && old.version == version {
		return nil
	}
	config, err := json.Marshal(c.Metadata)
	if err != nil {
		return fmt.Errorf("encode chart metadata: %w", err)
	}
	configDigest, configSize, err := v1.SHA256(bytes.NewReader(config))
	if err != nil {
		return fmt.Errorf("digest chart metadata: %w", err)
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2,
		"config":        v1.Descriptor{MediaType: helmregistry.ConfigMediaType, Digest: configDigest, Size: configSize},
		"layers":        []v1.Descriptor{{MediaType: helmregistry.ChartLayerMediaType, Digest: digest, Size: size}},
		"annotations":   annotations(c.Metadata, c.ModTime),
	})
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	for h, b := range map[v1.Hash][]byte{digest: archive, configDigest: config} {
		if err := r.blobs.Put(ctx, repository, h, io.NopCloser(bytes.NewReader(b))); err != nil {
			return fmt.Errorf("store blob %s: %w", h, err)
		}
	}
	if err := r.putManifest(ctx, repository, version, manifest); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for d, o := range r.charts { // another archive had the tag
		if o.repository == repository && o.version == version {
			delete(r.charts, d)
		}
	}
	r.charts[digest.String()] = &chart{repository: repository, version: version}
	return nil
}

// putManifest hands a manifest to the handler in memory: it has no other door.
func (r *Registry) putManifest(ctx context.Context, repository, version string, manifest []byte) error {
	tag := strings.ReplaceAll(version, "+", "_") // helm's rule: a tag cannot hold a plus sign
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "/v2/"+repository+"/manifests/"+tag, bytes.NewReader(manifest))
	if err != nil {
		return fmt.Errorf("put manifest: %w", err)
	}
	req.Header.Set("Content-Type", string(types.OCIManifestSchema1))
	var out answer
	r.oci.ServeHTTP(&out, req)
	if out.status != http.StatusCreated {
		return fmt.Errorf("put manifest of %s:%s: status %d: %s", repository, tag, out.status, out.body.String())
	}
	return nil
}

// answer keeps the answer to a request that never left the process.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header gives the header.
func (a *answer) Header() http.Header {
	if a.header == nil {
		a.header = http.Header{}
	}
	return a.header
}

// WriteHeader keeps the status.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write keeps the body.
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

// annotations are those that helm gives a chart's manifest: some from the metadata under OCI's names, then the chart's
// own, which may replace all but the title and the version. What is created is the archive, so that the same archive has
// the same digest in every run.
func annotations(m *helmchart.Metadata, created time.Time) map[string]string {
	const oci = "org.opencontainers.image."
	out := map[string]string{}
	set := func(key, value string) {
		if strings.TrimSpace(value) != "" {
			out[oci+key] = value
		}
	}
	set("description", m.Description)
	set("url", m.Home)
	set("created", created.Format(time.RFC3339))
	if len(m.Sources) > 0 {
		set("source", m.Sources[0])
	}
	var authors []string
	for _, a := range m.Maintainers {
		if a.Email != "" {
			authors = append(authors, a.Name+" ("+a.Email+")")
		} else {
			authors = append(authors, a.Name)
		}
	}
	set("authors", strings.Join(authors, ", "))
	maps.Copy(out, m.Annotations)
	delete(out, oci+"title")
	delete(out, oci+"version")
	set("title", m.Name)
	set("version", m.Version)
	return out
}
