package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/dpesim/dpesim/sim/cluster/internal/image"
	"github.com/dpesim/dpesim/sim/durable"
)

// images are those that one node has. They are kept in a file, as a node's disk keeps them over a restart. It is safe for
// concurrent use.
type images struct {
	file string
	turn chan struct{} // cap 1, full while one is pulled: one after the other, as a kubelet does (serializeImagePulls)

	mu   sync.Mutex
	have map[string]*image.Image // by name in full
}

func openImages(file string) (*images, error) {
	i := &images{file: file, turn: make(chan struct{}, 1), have: map[string]*image.Image{}}
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return i, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &i.have)
	}
	if err != nil {
		return nil, fmt.Errorf("read the images of a node: %w", err)
	}
	return i, nil
}

// get gives an image that the node has, or nil.
func (i *images) get(n image.Name) *image.Image {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.have[n.String()]
}

func (i *images) put(x *image.Image) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.have[x.Name] = x
	raw, err := json.Marshal(i.have)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(i.file), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(i.file, raw, 0o600)
}

// list gives the images as a node tells them: the largest first.
func (i *images) list() []corev1.ContainerImage {
	i.mu.Lock()
	defer i.mu.Unlock()
	var out []corev1.ContainerImage
	for _, x := range i.have {
		out = append(out, corev1.ContainerImage{Names: []string{x.ID, x.Name}, SizeBytes: x.Size})
	}
	slices.SortFunc(out, func(a, b corev1.ContainerImage) int {
		if a.SizeBytes != b.SizeBytes {
			return int(min(max(b.SizeBytes-a.SizeBytes, -1), 1))
		}
		return strings.Compare(a.Names[1], b.Names[1])
	})
	return out
}

// size gives what the images take up, in bytes: an image of two names counts once.
func (i *images) size() int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	seen, sum := map[string]bool{}, int64(0)
	for _, x := range i.have {
		if !seen[x.ID] {
			seen[x.ID] = true
			sum += x.Size
		}
	}
	return sum
}
