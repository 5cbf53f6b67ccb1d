package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	helmchart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	helmregistry "helm.sh/helm/v4/pkg/registry"

	"github.com/dpesim/dpesim/sim"
)

// PublishChart publishes a packaged Helm chart as the OCI artifact that `helm push` makes of it, under repository
// ("charts/dpe"), tagged with its version. The same archive again changes nothing; another one takes over the tag. It
// returns Invalid if the archive is no chart, or if its name and version are not those of the repository and the tag
// (as helm's strict mode demands).
func (r *Registry) PublishChart(repository, version string, archive []byte) error {
	c, err := loader.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		return &sim.Error{Kind: sim.Invalid, Msg: "the archive is not a Helm chart", Help: "push what `helm package` makes", Err: err}
	}
	if m := c.Metadata; repository != m.Name && !strings.HasSuffix(repository, "/"+m.Name) || m.Version != version {
		return sim.Errorf(sim.Invalid, "the archive holds %s %s, not %s %s", m.Name, m.Version, repository, version).
			WithHelp("the repository must end in the chart's name and the tag must be its version")
	}
	config, err := json.Marshal(c.Metadata)
	if err != nil {
		return fmt.Errorf("encode chart metadata: %w", err)
	}
	layer, meta := content(helmregistry.ChartLayerMediaType, archive), content(helmregistry.ConfigMediaType, config)
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2,
		"config":        meta.Descriptor,
		"layers":        []ocispec.Descriptor{layer.Descriptor},
		"annotations":   annotations(c.Metadata, c.ModTime),
	})
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	made := Artifact{Manifest: content(ocispec.MediaTypeImageManifest, manifest), Blobs: []Content{layer, meta}}
	tag := strings.ReplaceAll(version, "+", "_") // helm's rule: a tag cannot hold a plus sign
	return r.Publish(repository, tag, func() (Artifact, error) { return made, nil })
}

// content makes content of bytes.
func content(mediaType string, b []byte) Content {
	return Content{
		Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))},
		ReaderAt:   bytes.NewReader(b),
	}
}

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
