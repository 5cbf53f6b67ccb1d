package clustertest_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
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
	"github.com/dpesim/dpesim/sim/cluster/clustertest"
	"github.com/dpesim/dpesim/sim/pki"
)

// registryName is by what name nodes find the registry.
const registryName = "registry.example"

// hub is a registry that asks for tokens, as most do: anybody gets one for suite/testpod:1, which the pods of the suite run, and
// who logs in for locked/testpod:1 too.
type hub struct {
	ca   *pki.CA
	addr string // where it listens
	host string // its name and port, as images have it
}

// image is what the pods of the suite run.
func (h *hub) image() string { return h.host + "/suite/testpod:1" }

// newHub serves the registry at an address of this machine. The image's file system is that of the layers.
func newHub(t *testing.T, c *clock.Clock, address string, layers ...v1.Layer) *hub {
	t.Helper()
	ca, err := pki.Open(t.TempDir(), c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	h := &hub{ca: ca, addr: l.Addr().String(), host: net.JoinHostPort(registryName, port)}
	srv := &httptest.Server{Listener: l, TLS: ca.ServerTLS(registryName), Config: &http.Server{Handler: h.guard(registry.New(registry.Logger(log.New(io.Discard, "", 0)))), ReadHeaderTimeout: time.Minute}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: runtime.GOOS, Architecture: runtime.GOARCH, Config: v1.Config{Entrypoint: []string{"/testpod"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.AppendLayers(img, layers...); err != nil {
		t.Fatal(err)
	}
	for _, repository := range []string{"/suite", "/locked"} {
		ref, err := name.ParseReference(h.host + repository + "/testpod:1")
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, img, remote.WithAuth(&authn.Basic{Username: clustertest.User, Password: clustertest.Password}), remote.WithContext(t.Context()),
			remote.WithTransport(&http.Transport{DialContext: h.dial, TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}})); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// guard gives tokens and lets those through who come with one.
func (h *hub) guard(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		if !ok {
			user, password = r.FormValue("username"), r.FormValue("password")
		}
		token := "all"
		if user != clustertest.User || password != clustertest.Password {
			if token = "suite"; user != "" || !strings.HasPrefix(r.FormValue("scope"), "repository:suite/") {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
		}
		fmt.Fprintf(w, `{"token":%q,"access_token":%[1]q}`, token)
	})
	mux.HandleFunc("/v2/", func(w http.ResponseWriter, r *http.Request) {
		switch token := r.Header.Get("Authorization"); {
		case token == "Bearer all", token == "Bearer suite" && strings.HasPrefix(r.URL.Path, "/v2/suite/"):
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="https://%s/token",service="hub"`, h.host))
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	return mux
}

// dial leads to the registry, by its name alone.
func (h *hub) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if addr == h.host {
		addr = h.addr
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// pull has the node pull the image, so that it is there as it is on the cluster from which the transcripts come.
func pull(t *testing.T, client kubernetes.Interface, image string) {
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
