package clustertest_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/pki"
)

// image is what the pods of the suite run, and host where it comes from.
const (
	host  = "registry.example"
	image = host + "/suite/testpod:1"
)

// hub is a registry that holds the image, and the way there.
type hub struct {
	ca   *pki.CA
	addr string
}

func newHub(t *testing.T, c *clock.Clock) *hub {
	t.Helper()
	ca, err := pki.Open(t.TempDir(), c)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	srv.TLS = ca.ServerTLS(host)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	h := &hub{ca: ca, addr: srv.Listener.Addr().String()}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: runtime.GOOS, Architecture: runtime.GOARCH, Config: v1.Config{Entrypoint: []string{"/testpod"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithTransport(&http.Transport{DialContext: h.dial, TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}), remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	return h
}

// dial leads to the registry, by its name alone.
func (h *hub) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if addr == host+":443" {
		addr = h.addr
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// pull has the node pull the image, so that it is there as it is on the cluster from which the transcripts come.
func pull(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	pods := client.CoreV1().Pods("default")
	spec := corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "main", Image: image}}}
	if _, err := pods.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "first"}, Spec: spec}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		p, err := pods.Get(ctx, "first", metav1.GetOptions{})
		return err == nil && p.Status.Phase == corev1.PodSucceeded, err
	}); err != nil {
		t.Fatalf("the image was not pulled: %v", err)
	}
	if err := pods.Delete(t.Context(), "first", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}
