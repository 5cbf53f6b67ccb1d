package clustertest_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"k8s.io/client-go/kubernetes"

	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/cluster/clustertest"
	"github.com/dpesim/dpesim/sim/kind"
	"github.com/dpesim/dpesim/sim/simtest"
	"github.com/dpesim/dpesim/sim/stack"
)

// Against a real cluster that is made for it: what the transcripts have is what Kubernetes still says.
// DPESIM_TEST_RECORD names a folder in which they are recorded.
func TestKind(t *testing.T) { // not parallel: one cluster takes what the machine has
	simtest.RequireBuilt(t, "clustertest")
	simtest.RequireBuilt(t, "kind")
	c, err := kind.Open(t.Context(), kind.Options{
		Name: fmt.Sprintf("dpesim-conformance-%d", os.Getpid()), NodeImage: os.Getenv("DPESIM_KIND_NODE_IMAGE"), Dir: t.TempDir(), Progress: func(what string) { t.Log("kind: " + what) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	hub := newHub(t, clock.New(), c.Target().Gateway.String(), program(t))
	if err := c.Trust(stack.Reach{Registry: hub.host, Inside: hub.host, CA: hub.ca.PEM()}); err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(c.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	pull(t, client, hub.image())
	clustertest.Run(t, clustertest.Target{Kubeconfig: c.Kubeconfig(), Image: hub.image(), Locked: hub.host, Record: os.Getenv("DPESIM_TEST_RECORD")})
}

// program builds testpod and gives it as the layer of an image.
func program(t *testing.T) v1.Layer {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "testpod")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", exe, "./testpod/testpod")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build testpod: %v\n%s", err, out)
	}
	b, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	w := tar.NewWriter(&file)
	if err := w.WriteHeader(&tar.Header{Name: "testpod", Mode: 0o755, Size: int64(len(b))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return layer
}
