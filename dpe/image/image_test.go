package image_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dpesim/dpesim/dpe/image"
	"github.com/dpesim/dpesim/sim"
)

func self(tb testing.TB) *image.Executable {
	tb.Helper()
	e, err := image.Self()
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func builder(tb testing.TB, e ...*image.Executable) *image.Builder {
	tb.Helper()
	b := image.New(e...)
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

func build(tb testing.TB, b *image.Builder, r sim.Release) image.Image {
	tb.Helper()
	img, err := b.Build(r)
	if err != nil {
		tb.Fatal(err)
	}
	return img
}

// content reads a blob and makes sure that it is what its descriptor says.
func content(tb testing.TB, b image.Blob) []byte {
	tb.Helper()
	all, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size))
	if err != nil {
		tb.Fatal(err)
	}
	if got := fmt.Sprintf("sha256:%x", sha256.Sum256(all)); int64(len(all)) != b.Size || got != b.Digest.String() {
		tb.Fatalf("%s: %d bytes with digest %s, want %d with %s", b.MediaType, len(all), got, b.Size, b.Digest)
	}
	if n, err := b.ReadAt(make([]byte, 1), b.Size); n != 0 || !errors.Is(err, io.EOF) {
		tb.Errorf("%s: there is something after the end: %d, %v", b.MediaType, n, err)
	}
	return all
}

func decode[T any](tb testing.TB, b image.Blob) T {
	tb.Helper()
	var out T
	if err := json.Unmarshal(content(tb, b), &out); err != nil {
		tb.Fatal(err)
	}
	return out
}

func TestTheImageIsTheRunningProgramAndWhatItNeeds(t *testing.T) {
	t.Parallel()
	img := build(t, builder(t, self(t)), "15.3.0")
	index := decode[ocispec.Index](t, img.Index)
	if len(index.Manifests) != 1 || index.Manifests[0].Platform.OS != runtime.GOOS || index.Manifests[0].Platform.Architecture != runtime.GOARCH ||
		index.Manifests[0].Digest != img.Manifests[0].Digest {
		t.Fatalf("index: %+v", index)
	}
	manifest := decode[ocispec.Manifest](t, img.Manifests[0])
	find := func(d ocispec.Descriptor) image.Blob {
		i := slices.IndexFunc(img.Blobs, func(b image.Blob) bool { return b.Digest == d.Digest && b.Size == d.Size })
		if i < 0 {
			t.Fatalf("the image does not hold %+v", d)
		}
		return img.Blobs[i]
	}
	config := decode[ocispec.Image](t, find(manifest.Config))
	if c := config.Config; !slices.Equal(c.Entrypoint, []string{"/dpesim"}) || !slices.Equal(c.Cmd, []string{"dpe", "run"}) || c.User != "65532:65532" ||
		c.WorkingDir != "/" || c.Labels["org.opencontainers.image.version"] != "15.3.0" || c.Labels["org.opencontainers.image.title"] != "dpe" ||
		c.Labels["dev.dpesim.image"] != "dpe" || config.OS != runtime.GOOS || config.Architecture != runtime.GOARCH {
		t.Errorf("configuration: %+v", config)
	}
	files := map[string][]byte{}
	for i, l := range manifest.Layers {
		if l.MediaType != "application/vnd.oci.image.layer.v1.tar" || config.RootFS.DiffIDs[i] != l.Digest {
			t.Errorf("layer %d: %+v, %v", i, l, config.RootFS.DiffIDs)
		}
		r := tar.NewReader(bytes.NewReader(content(t, find(l))))
		for {
			h, err := r.Next()
			if err == io.EOF { //nolint:errorlint // as archive/tar says
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if h.Uid != 0 || h.Gid != 0 || h.ModTime.Unix() != 0 || h.Uname != "" {
				t.Errorf("%s says where it comes from: %+v", h.Name, h)
			}
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			files[fmt.Sprintf("%s %o", h.Name, h.Mode)] = b
		}
	}
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(files["dpesim 755"], program) {
		t.Errorf("the program is not this one: %d bytes, want %d, %v", len(files["dpesim 755"]), len(program), err)
	}
	if _, ok := files["tmp/ 1777"]; !ok {
		t.Error("there is no /tmp for everybody")
	}
	if !strings.Contains(string(files["etc/passwd 644"]), "nonroot:x:65532:65532:") {
		t.Errorf("passwd: %s", files["etc/passwd 644"])
	}
	if pool := x509.NewCertPool(); !pool.AppendCertsFromPEM(files["etc/ssl/certs/ca-certificates.crt 644"]) {
		t.Error("there are no certificate authorities")
	}
	if !slices.Contains(config.Config.Env, "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt") {
		t.Errorf("environment: %v", config.Config.Env)
	}
}

func TestTheSameProgramHasTheSameDigestAndReleasesShareItsLayer(t *testing.T) {
	t.Parallel()
	one, two := builder(t, self(t)), builder(t, self(t))
	a, b := build(t, one, "15.1.0"), build(t, two, "15.1.0")
	if a.Index.Digest != b.Index.Digest {
		t.Errorf("two digests: %s, %s", a.Index.Digest, b.Index.Digest)
	}
	c := build(t, one, "15.3.0")
	if c.Index.Digest == a.Index.Digest {
		t.Error("two releases have one digest")
	}
	layers := func(i image.Image) any { return decode[ocispec.Manifest](t, i.Manifests[0]).Layers }
	if fmt.Sprint(layers(a)) != fmt.Sprint(layers(c)) {
		t.Errorf("the releases do not share their layers: %v, %v", layers(a), layers(c))
	}
}

// compile makes a small program that says it is of dpesim's module.
func compile(t *testing.T, env ...string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module github.com/dpesim/dpesim\ngo 1.26\n", "main.go": "package main\nfunc main() {}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", "program", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append([]string{"CGO_ENABLED=0", "GOFLAGS="}, env...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("the go command does not build for %v here: %v\n%s", env, err, out)
	}
	return filepath.Join(dir, "program")
}

func TestAnotherProgramAddsItsPlatform(t *testing.T) {
	t.Parallel()
	e, err := image.Open(compile(t, "GOOS=linux", "GOARCH="+runtime.GOARCH))
	if err != nil {
		t.Fatal(err)
	}
	if want := image.Platform("linux/" + runtime.GOARCH); e.Platform != want {
		t.Errorf("platform %s, want %s", e.Platform, want)
	}
	img := build(t, builder(t, self(t), e), "15.3.0")
	index := decode[ocispec.Index](t, img.Index)
	platforms := 2
	if runtime.GOOS == "linux" {
		platforms = 1 // it takes the place of the running program
	}
	if len(index.Manifests) != platforms {
		t.Errorf("%d platforms, want %d: %+v", len(index.Manifests), platforms, index.Manifests)
	}
	i := slices.IndexFunc(index.Manifests, func(d ocispec.Descriptor) bool { return d.Platform.OS == "linux" })
	program := decode[ocispec.Manifest](t, img.Manifests[i]).Layers[1]
	if info, err := os.Stat(compile(t)); err == nil && program.Size > info.Size()+1<<20 {
		t.Errorf("the layer has %d bytes: the running program's", program.Size)
	}
}

func TestWhatIsNoDpesimForLinuxIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	elf := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 57)...) // 64 bit, little endian
	elf[16], elf[18], elf[20], elf[52], elf[54], elf[58] = 2, 62, 1, 64, 56, 64
	arm := slices.Clone(elf)
	arm[18] = 40 // EM_ARM
	object := slices.Clone(elf)
	object[16] = 1 // ET_REL
	for name, want := range map[string]string{
		write("dynamic", interpreted(t)):             "it is linked dynamically",
		write("script", []byte("#!/bin/sh\n")):       "it is a script",
		write("windows", []byte("MZ\x90\x00")):       "it is a Windows program",
		write("mac", []byte("\xcf\xfa\xed\xfe....")): "it is a macOS program",
		write("text", []byte("hello, world")):        "it is no program",
		write("empty", nil):                          "it is empty",
		write("cut", elf[:20]):                       "it is no program",
		write("foreign", elf):                        "it was not built from the module github.com/dpesim/dpesim",
		write("arm", arm):                            "its architecture (EM_ARM, ELFCLASS64) is none of",
		write("object", object):                      "it is no program, but an ELF file of type ET_REL",
		dir:                                          "is not a file",
	} {
		_, err := image.Open(name)
		if sim.KindOf(err) != sim.Invalid || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want Invalid with %q", filepath.Base(name), err, want)
		}
	}
	if _, err := image.Open(filepath.Join(dir, "missing")); sim.KindOf(err) != sim.NotFound {
		t.Errorf("a missing file: %v", err)
	}
}

// interpreted gives a program that asks for a dynamic linker, as one that was built with cgo does.
func interpreted(t *testing.T) []byte {
	t.Helper()
	path := compile(t, "GOOS=linux", "GOARCH=amd64")
	e, err := image.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.Contained(), e.Close()); err != nil {
		t.Error(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// ELF-64: e_phoff, e_phentsize, e_phnum; p_type is the first field of a program header, 4 is PT_NOTE, 3 PT_INTERP.
	at, size, n := binary.LittleEndian.Uint64(program[32:]), uint64(binary.LittleEndian.Uint16(program[54:])), uint64(binary.LittleEndian.Uint16(program[56:]))
	for i := range n {
		if kind := program[at+i*size:]; binary.LittleEndian.Uint32(kind) == 4 {
			binary.LittleEndian.PutUint32(kind, 3)
		}
	}
	return program
}

// FuzzOpen holds that no file makes Open fail otherwise than by an error.
func FuzzOpen(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Add([]byte("MZ"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if e, err := image.Open(path); err == nil {
			_ = e.Close()
		}
	})
}
