package image

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dpesim/dpesim/sim"
)

// module is what dpesim's executables say of themselves.
const module = "github.com/dpesim/dpesim"

// Platform is an operating system and an architecture in Go's words, "linux/amd64".
type Platform string

func (p Platform) oci() *ocispec.Platform {
	system, architecture, _ := strings.Cut(string(p), "/")
	return &ocispec.Platform{OS: system, Architecture: architecture}
}

// Executable is a dpesim program for one platform. The file is held open: what is put in its place later does not
// change it.
type Executable struct {
	Platform
	name string // in errors
	file *os.File
	size int64
}

// Self gives the running program.
func Self() (*Executable, error) {
	path := "/proc/self/exe" // this very file, even if another has its name by now
	if runtime.GOOS != "linux" {
		var err error
		if path, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("find the running program: %w", err)
		}
	}
	e, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("open the running program: %w", err)
	}
	e.Platform, e.name = Platform(runtime.GOOS+"/"+runtime.GOARCH), "the running program"
	return e, nil
}

// Contained returns Invalid, with the reason and the remedy, unless the program runs in a container that has nothing else.
func (e *Executable) Contained() error {
	_, err := e.inspect()
	return err
}

// Open gives the dpesim program for Linux at path. It returns NotFound if there is none and Invalid if the file is
// something else, or a program that needs libraries which the image does not have.
func Open(path string) (*Executable, error) {
	e, err := open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &sim.Error{Kind: sim.NotFound, Msg: "there is no file " + path, Help: buildHelp, Err: err}
	} else if err != nil {
		return nil, fmt.Errorf("open an executable for the image: %w", err)
	}
	if e.Platform, err = e.inspect(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func open(path string) (*Executable, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = sim.Errorf(sim.Invalid, "%s is not a file", path).WithHelp(buildHelp)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Executable{name: path, file: f, size: info.Size()}, nil
}

// Close closes the file.
func (e *Executable) Close() error { return e.file.Close() }

// layer makes the layer that holds the executable.
func (e *Executable) layer() (Blob, error) {
	return fileLayer(Entrypoint[1:], 0o755, e.file, e.size)
}

// buildHelp says how to get what Open takes.
const buildHelp = "give a dpesim for Linux with --image-binary: CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build -o dpesim-linux ."

// machines are the architectures of Linux that Go builds for and the name in Go's words. Source: the ELF
// specification's e_machine; go tool dist list.
var machines = map[elf.Machine]string{
	elf.EM_X86_64:  "amd64",
	elf.EM_AARCH64: "arm64",
	elf.EM_RISCV:   "riscv64",
	elf.EM_S390:    "s390x",
}

// inspect tells the platform of a program that runs in a container.
func (e *Executable) inspect() (Platform, error) {
	refuse := func(format string, args ...any) (Platform, error) {
		return "", sim.Errorf(sim.Invalid, "%s is not a dpesim for Linux: %s", e.name, fmt.Sprintf(format, args...)).WithHelp(buildHelp)
	}
	x, err := elf.NewFile(e.file)
	if err != nil {
		return refuse("it is %s", guess(e.file))
	}
	architecture, known := machines[x.Machine]
	if !known || x.Class != elf.ELFCLASS64 {
		return refuse("its architecture (%v, %v) is none of amd64, arm64, riscv64 and s390x", x.Machine, x.Class)
	}
	if x.Type != elf.ET_EXEC && x.Type != elf.ET_DYN {
		return refuse("it is no program, but an ELF file of type %v", x.Type)
	}
	info, err := buildinfo.Read(e.file)
	if err != nil || info.Main.Path != module {
		return refuse("it was not built from the module %s", module)
	}
	for _, p := range x.Progs {
		if p.Type == elf.PT_INTERP {
			return refuse("it is linked dynamically, and the image has no C library (CGO_ENABLED=0 links it statically)")
		}
	}
	return Platform("linux/" + architecture), nil
}

// guess says what a file is that is no ELF file, as far as its first bytes tell.
func guess(f io.ReaderAt) string {
	head := make([]byte, 4)
	n, _ := f.ReadAt(head, 0) // a short file is told by n
	switch head = head[:n]; {
	case n == 0:
		return "empty"
	case bytes.HasPrefix(head, []byte("MZ")):
		return "a Windows program"
	case bytes.Equal(head, []byte{0xcf, 0xfa, 0xed, 0xfe}), bytes.Equal(head, []byte{0xca, 0xfe, 0xba, 0xbe}):
		return "a macOS program"
	case bytes.HasPrefix(head, []byte("#!")):
		return "a script"
	}
	return "no program"
}
