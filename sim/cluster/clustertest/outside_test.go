package clustertest_test

import (
	"os"
	"testing"

	"github.com/dpesim/dpesim/sim/cluster/clustertest"
)

// Against a cluster that is there: DPESIM_TEST_KUBECONFIG names its kubeconfig, DPESIM_TEST_IMAGE an image of
// testpod/testpod that its nodes have. DPESIM_TEST_RECORD names a folder in which transcripts are recorded.
func TestOutside(t *testing.T) {
	t.Parallel()
	file, image := os.Getenv("DPESIM_TEST_KUBECONFIG"), os.Getenv("DPESIM_TEST_IMAGE")
	if file == "" || image == "" {
		t.Skip("no cluster is named by DPESIM_TEST_KUBECONFIG, or no image by DPESIM_TEST_IMAGE")
	}
	kubeconfig, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	clustertest.Run(t, clustertest.Target{Kubeconfig: kubeconfig, Image: image, Record: os.Getenv("DPESIM_TEST_RECORD")})
}
