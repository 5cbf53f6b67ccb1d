package image_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/dpesim/dpesim/dpe/image"
	"github.com/dpesim/dpesim/sim"
)

// An archive is an OCI image layout: another implementation reads it, and each blob is what its name says. What releases share is in it once.
func TestAnArchiveHasImagesByName(t *testing.T) {
	t.Parallel()
	b := builder(t, self(t))
	named := map[string]image.Image{}
	for _, r := range []sim.Release{"14.5.0", "15.1.0"} {
		named["localhost:1/images/dpe:"+string(r)] = build(t, b, r)
	}
	dir := t.TempDir()
	archive, w := io.Pipe()
	go func() { w.CloseWithError(image.Archive(w, named)) }()
	seen := map[string]bool{}
	for files := tar.NewReader(archive); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if seen[h.Name] {
			t.Errorf("%s is there twice", h.Name)
		}
		seen[h.Name] = true
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.New()
		if _, err := io.Copy(io.MultiWriter(f, sum), files); err != nil {
			t.Fatal(err)
		}
		if name := filepath.Base(path); len(name) == 64 && name != hex.EncodeToString(sum.Sum(nil)) {
			t.Errorf("%s is something else", h.Name)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index, validate.Fast); err != nil {
		t.Error(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != len(named) {
		t.Errorf("it has %d images", len(manifest.Manifests))
	}
	for _, m := range manifest.Manifests {
		img, ok := named[m.Annotations["io.containerd.image.name"]]
		if !ok || img.Index.Digest.String() != m.Digest.String() {
			t.Errorf("the name of %s is %v", m.Digest, m.Annotations)
		}
	}
}

// Writing ends when nobody reads any more.
func TestAnArchiveThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	img := build(t, builder(t, self(t)), "15.1.0")
	archive, w := io.Pipe()
	archive.Close()
	if err := image.Archive(w, map[string]image.Image{"x": img}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	var all bytes.Buffer
	if err := image.Archive(&all, nil); err != nil || all.Len() == 0 {
		t.Errorf("an archive of nothing: %v", err)
	}
}
