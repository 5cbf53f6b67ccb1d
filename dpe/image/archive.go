package image

import (
	"archive/tar"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// containerdName is the annotation by which containerd names an image that it imports. Source: containerd,
// core/images/annotations.go.
const containerdName = "io.containerd.image.name"

// Archive writes images as one archive in the OCI image layout, which `ctr images import` and `docker load` read. The keys of named
// are the references that the images shall have, as "localhost:8443/images/dpe:15.1.0". What images share is written once.
func Archive(w io.Writer, named map[string]Image) error {
	out := tar.NewWriter(w)
	layout, err := document("", ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	if err != nil {
		return err
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	written := map[digest.Digest]bool{}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		img := named[name]
		entry := img.Index.Descriptor
		entry.Annotations = map[string]string{containerdName: name}
		index.Manifests = append(index.Manifests, entry)
		for _, b := range slices.Concat(img.Blobs, img.Manifests, []Blob{img.Index}) {
			if written[b.Digest] {
				continue
			}
			written[b.Digest] = true
			if err := put(out, ocispec.ImageBlobsDir+"/"+b.Digest.Algorithm().String()+"/"+b.Digest.Encoded(), b); err != nil {
				return err
			}
		}
	}
	top, err := document(ocispec.MediaTypeImageIndex, index)
	if err != nil {
		return err
	}
	if err := put(out, ocispec.ImageLayoutFile, layout); err != nil {
		return err
	}
	if err := put(out, ocispec.ImageIndexFile, top); err != nil {
		return err
	}
	return out.Close()
}

// put writes a blob as a file of an archive.
func put(w *tar.Writer, name string, b Blob) error {
	if err := w.WriteHeader(header(name, 0o644, b.Size)); err != nil {
		return fmt.Errorf("write %s into an archive: %w", name, err)
	}
	if _, err := io.Copy(w, io.NewSectionReader(b, 0, b.Size)); err != nil {
		return fmt.Errorf("write %s into an archive: %w", name, err)
	}
	return nil
}
