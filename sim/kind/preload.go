package kind

import (
	"errors"
	"fmt"
	"io"
	"regexp"

	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"

	"github.com/dpesim/dpesim/dpe/image"
	"github.com/dpesim/dpesim/sim/stack"
)

// forget removes the engine's images of earlier runs from a node: their program may be another one, and a kubelet that finds a
// name does not pull it.
func (c *Cluster) forget(n nodes.Node) error {
	script := fmt.Sprintf(`old=$(ctr --namespace=k8s.io images ls -q) && printf '%%s\n' "$old" | grep -E '^[^/]+/%s[:@]' | xargs -r ctr --namespace=k8s.io images rm`,
		regexp.QuoteMeta(image.Repository))
	if err := n.Command("sh", "-c", script).Run(); err != nil {
		return c.failed("does not forget the engine's image of earlier runs", err)
	}
	return nil
}

// preload brings the engine's images to a node, by the names that pods have for them.
func (c *Cluster) preload(n nodes.Node, r stack.Reach) error {
	archive, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := r.Images(w)
		written <- err
		_ = w.CloseWithError(err) // never fails
	}()
	err := nodeutils.LoadImageArchive(n, archive)
	_ = archive.Close() // if it was not read to its end, writing ends now
	if e := <-written; e != nil && !errors.Is(e, io.ErrClosedPipe) {
		return fmt.Errorf("write the engine's image: %w", e)
	}
	if err != nil {
		return c.failed("does not take the engine's image", err)
	}
	return nil
}
