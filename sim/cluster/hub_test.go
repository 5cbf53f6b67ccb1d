package cluster_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"runtime"
	"strconv"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/pki"
)

// hub is the internet of a cluster under test: one registry that goes by several names.
//
//   - registry-1.docker.io, which pods know as docker.io, serves the image "app" with any tag, to everybody;
//   - basic.example wants the user "edge" with the password "s3cret";
//   - token.example wants the same from a token server.
//
// Other names do not resolve.
type hub struct {
	ca      *pki.CA
	addr    string
	digest  string            // of the image "app"
	size    int64             // of all that it is made of, in bytes
	content map[string][]byte // by digest
}

func newHub(tb testing.TB, c *clock.Clock) *hub {
	tb.Helper()
	h := &hub{content: map[string][]byte{}}
	var err error
	if h.ca, err = pki.Open(tb.TempDir(), c); err != nil {
		tb.Fatal(err)
	}
	platform := v1.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH}
	config := h.add(tb, types.OCIConfigJSON, v1.ConfigFile{OS: platform.OS, Architecture: platform.Architecture, Config: v1.Config{
		Entrypoint: []string{"app"}, Cmd: []string{"serve"}, Env: []string{"PATH=/bin", "B=image"}, User: "65532:65532",
		WorkingDir: "/home", Labels: map[string]string{"kind": "test"},
	}})
	nothing := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}
	manifest := h.add(tb, types.OCIManifestSchema1, v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: config,
		Layers: []v1.Descriptor{{MediaType: types.OCILayer, Digest: nothing, Size: 1000}},
	})
	manifest.Platform = &platform
	other := v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: nothing, Platform: &v1.Platform{OS: "plan9", Architecture: "mips"}}
	index := h.add(tb, types.OCIImageIndex, v1.IndexManifest{
		SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{other, manifest},
	})
	h.digest, h.size = index.Digest.String(), config.Size+manifest.Size+index.Size+1000
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.admit(w, r) {
			h.serve(w, r)
		}
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that do not trust it
	srv.TLS = h.ca.ServerTLS("registry-1.docker.io", "basic.example", "token.example")
	srv.StartTLS()
	tb.Cleanup(srv.Close)
	h.addr = srv.Listener.Addr().String()
	return h
}

// add keeps content, and gives what refers to it.
func (h *hub) add(tb testing.TB, kind types.MediaType, content any) v1.Descriptor {
	tb.Helper()
	raw, err := json.Marshal(content)
	if err != nil {
		tb.Fatal(err)
	}
	digest, size, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		tb.Fatal(err)
	}
	h.content[digest.String()] = raw
	return v1.Descriptor{MediaType: kind, Digest: digest, Size: size}
}

// serve answers for the repositories of the image "app", any tag of which is the same.
func (h *hub) serve(w http.ResponseWriter, r *http.Request) {
	dir, which := path.Split(r.URL.Path)
	_, kind := path.Split(strings.TrimSuffix(dir, "/"))
	if kind == "manifests" && !strings.HasPrefix(which, "sha256:") {
		which = h.digest
	}
	raw, ok := h.content[which]
	if !ok || !strings.HasPrefix(dir, "/v2/library/app/") && !strings.HasPrefix(dir, "/v2/team/app/") {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Docker-Content-Digest", which)
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	_, _ = w.Write(raw)
}

// admit answers a request that may not pass, and tells whether it may.
func (h *hub) admit(w http.ResponseWriter, r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	known := ok && user == "edge" && password == "s3cret"
	host, _, _ := strings.Cut(r.Host, ":")
	switch {
	case host == "basic.example" && !known:
		w.Header().Set("WWW-Authenticate", `Basic realm="basic.example"`)
	case host == "token.example" && r.URL.Path == "/token" && r.Method != http.MethodGet:
		w.WriteHeader(http.StatusMethodNotAllowed)
		return false
	case host == "token.example" && r.URL.Path == "/token" && known && r.FormValue("scope") == "repository:team/app:pull":
		_, _ = w.Write([]byte(`{"token":"pass"}`))
		return false
	case host == "token.example" && r.URL.Path == "/token":
	case host == "token.example" && r.Header.Get("Authorization") != "Bearer pass":
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://token.example/token",service="hub",scope="repository:team/app:pull"`)
	default:
		return true
	}
	w.WriteHeader(http.StatusUnauthorized)
	return false
}

func (h *hub) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	switch addr {
	case "registry-1.docker.io:443", "basic.example:443", "token.example:443":
		return new(net.Dialer).DialContext(ctx, network, h.addr)
	}
	host, _, _ := net.SplitHostPort(addr)
	return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
}
