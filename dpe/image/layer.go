package image

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	block   = 512       // of a tar archive, in bytes
	trailer = 2 * block // two blocks of zeros end it (POSIX.1-2017, pax, "ustar Interchange Format")
)

// header makes a tar header without a time or an owner of this machine.
func header(name string, mode, size int64) *tar.Header {
	h := &tar.Header{Name: name, Mode: mode, Size: size, ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
	if strings.HasSuffix(name, "/") {
		h.Typeflag = tar.TypeDir
	}
	return h
}

// layer digests content, which is a whole tar archive.
func layer(content io.ReaderAt, size int64) (Blob, error) {
	d, err := digest.FromReader(io.NewSectionReader(content, 0, size))
	if err != nil {
		return Blob{}, fmt.Errorf("digest a layer: %w", err)
	}
	return Blob{Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: d, Size: size}, ReaderAt: content}, nil
}

// fileLayer makes an archive of one file around the file's own bytes.
func fileLayer(name string, mode int64, file io.ReaderAt, size int64) (Blob, error) {
	var head bytes.Buffer
	if err := tar.NewWriter(&head).WriteHeader(header(name, mode, size)); err != nil {
		return Blob{}, fmt.Errorf("make a layer of %s: %w", name, err)
	}
	padding := (block - size%block) % block
	tail := make([]byte, padding+trailer)
	var c concat
	c.add(bytes.NewReader(head.Bytes()), int64(head.Len()))
	c.add(file, size)
	c.add(bytes.NewReader(tail), int64(len(tail)))
	return layer(c, c.size())
}

// baseLayer makes the layer that every image has.
func baseLayer() (Blob, error) {
	certificates := authorities()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []struct {
		name string
		mode int64
		text string
	}{
		{"etc/", 0o755, ""},
		{"etc/group", 0o644, "root:x:0:\nnonroot:x:65532:\n"},
		{"etc/passwd", 0o644, "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"},
		{"etc/ssl/", 0o755, ""},
		{"etc/ssl/certs/", 0o755, ""},
		{certFile[1:], 0o644, certificates},
		{"tmp/", 0o1777, ""},
	} {
		if err := w.WriteHeader(header(f.name, f.mode, int64(len(f.text)))); err != nil {
			return Blob{}, fmt.Errorf("make the base layer: %w", err)
		}
		if _, err := io.WriteString(w, f.text); err != nil {
			return Blob{}, fmt.Errorf("make the base layer: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return Blob{}, fmt.Errorf("make the base layer: %w", err)
	}
	return layer(bytes.NewReader(b.Bytes()), int64(b.Len()))
}

// authorities gives the public certificate authorities as PEM. They are Mozilla's, of the version of
// golang.org/x/crypto/x509roots/fallback that go.mod pins, and so the same whatever machine the image is made on. Those
// that Mozilla trusts under a condition, which a PEM file cannot tell, are left out.
func authorities() string {
	var b strings.Builder
	b.WriteString("# Mozilla's certificate authorities, from golang.org/x/crypto/x509roots/fallback\n")
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return b.String()
}

// concat reads one thing after another.
type concat []section

type section struct {
	from, to int64 // place in the whole
	content  io.ReaderAt
}

func (c *concat) add(content io.ReaderAt, size int64) {
	from := c.size()
	*c = append(*c, section{from, from + size, content})
}

func (c concat) size() int64 {
	if len(c) == 0 {
		return 0
	}
	return c[len(c)-1].to
}

// ReadAt reads from wherever off is. It reports io.ErrUnexpectedEOF if a part is shorter than it was.
func (c concat) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("read at the negative offset %d", off)
	}
	for _, s := range c {
		if off >= s.to {
			continue
		}
		want := min(int64(len(p)-n), s.to-off)
		m, err := s.content.ReadAt(p[n:n+int(want)], off-s.from)
		n += m
		off += int64(m)
		if int64(m) < want {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return n, err
		}
		if n == len(p) {
			return n, nil
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
