package registry

import (
	"bytes"
	"context"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/registry/internal/store"
)

// kept is what clients pushed, as a reader.
type kept struct{ *store.Store }

var _ reader = kept{}

// Tags lists the tags of a repository.
func (k kept) Tags(ctx context.Context, repository string) ([]string, error) {
	if known, err := k.Known(ctx, repository); err != nil || !known {
		return nil, cmpErr(err, errNameUnknown)
	}
	return k.Store.Tags(ctx, repository)
}

// Manifest gives a manifest by tag or digest.
func (k kept) Manifest(ctx context.Context, repository, reference string) (Content, error) {
	m, err := k.Store.Manifest(ctx, repository, reference)
	switch {
	case sim.KindOf(err) == sim.NotFound:
		if known, err := k.Known(ctx, repository); err != nil || !known {
			return Content{}, cmpErr(err, errNameUnknown)
		}
		return Content{}, errManifestUnknown
	case err != nil:
		return Content{}, err
	}
	return Content{
		Descriptor: ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.Digest(m.Digest), Size: int64(len(m.Content))},
		ReaderAt:   bytes.NewReader(m.Content),
	}, nil
}

// Blob gives a blob, whose file the caller closes.
func (k kept) Blob(ctx context.Context, repository, d string) (Content, error) {
	f, size, err := k.Store.Blob(ctx, repository, d)
	if err != nil {
		return Content{}, unknown(err, errBlobUnknown)
	}
	return Content{Descriptor: ocispec.Descriptor{Digest: digest.Digest(d), Size: size}, ReaderAt: f}, nil
}

// Referrers lists what is about a manifest.
func (k kept) Referrers(ctx context.Context, repository, subject string) ([]ocispec.Descriptor, error) {
	all, err := k.Store.Referrers(ctx, repository, subject)
	if err != nil {
		return nil, err
	}
	out := []ocispec.Descriptor{}
	for _, m := range all {
		d, err := readManifest(m.MediaType, m.Content)
		if err != nil {
			return nil, err
		}
		out = append(out, ocispec.Descriptor{
			MediaType: m.MediaType, Digest: digest.Digest(m.Digest), Size: int64(len(m.Content)),
			ArtifactType: d.artifactType(), Annotations: d.Annotations,
		})
	}
	return out, nil
}

// unknown gives a problem in the place of NotFound.
func unknown(err error, p *problem) error {
	if sim.KindOf(err) == sim.NotFound {
		return p
	}
	return err
}

// cmpErr gives an error, or else a problem.
func cmpErr(err error, p *problem) error {
	if err != nil {
		return err
	}
	return p
}
