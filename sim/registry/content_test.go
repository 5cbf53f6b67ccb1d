package registry_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/registry"
)

func digestOf(s string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s))) }

// plain starts a registry over a folder on plain HTTP, and gives what stops it.
func plain(tb testing.TB, dir string) (r *registry.Registry, url string, stop func()) {
	tb.Helper()
	ln, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	r, err = registry.Open(tb.Context(), registry.Options{Dir: dir, Service: "registry.test", Listener: ln, Clock: clock.New()})
	if err != nil {
		tb.Fatal(err)
	}
	for _, x := range []registry.Token{token, pusher} {
		if err := r.PutToken(tb.Context(), x); err != nil {
			tb.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx) }()
	return r, "http://" + ln.Addr().String(), func() {
		cancel()
		if err := <-served; err != nil {
			tb.Error(err)
		}
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	}
}

// send sends one request as the pusher.
func send(tb testing.TB, method, url, mediaType, body string) *http.Response {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, url, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	basic(pusher)(req)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	_ = res.Body.Close()
	return res
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// manifestOf refers to one blob as its configuration.
func manifestOf(blob string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":%d},"layers":[]}`, digestOf(blob), len(blob))
}

func TestWhatWasPushedIsThereAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, url, stop := plain(t, dir)
	if res := send(t, http.MethodPost, url+"/v2/mirror/x/blobs/uploads/?digest="+digestOf("{}"), "application/octet-stream", "{}"); res.StatusCode != http.StatusCreated {
		t.Fatalf("blob: %s", res.Status)
	}
	if res := send(t, http.MethodPut, url+"/v2/mirror/x/manifests/one", manifestType, manifestOf("{}")); res.StatusCode != http.StatusCreated {
		t.Fatalf("manifest: %s", res.Status)
	}
	open := send(t, http.MethodPost, url+"/v2/mirror/x/blobs/uploads/", "application/octet-stream", "") // stays under way
	stop()
	// What a crash leaves: an upload that was cut, a blob that no row names.
	orphan := filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(digestOf("orphan"), "sha256:"))
	for _, path := range []string{orphan, filepath.Join(dir, "uploads", "upload-1")} {
		if err := os.WriteFile(path, []byte("orphan"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, url, stop = plain(t, dir)
	defer stop()
	for path, status := range map[string]int{
		"/v2/mirror/x/manifests/one":                           http.StatusOK,
		"/v2/mirror/x/manifests/" + digestOf(manifestOf("{}")): http.StatusOK,
		"/v2/mirror/x/blobs/" + digestOf("{}"):                 http.StatusOK,
		"/v2/mirror/x/blobs/" + digestOf("orphan"):             http.StatusNotFound,
		"/v2/mirror/y/blobs/" + digestOf("{}"):                 http.StatusNotFound, // of another repository
		open.Header.Get("Location"):                            http.StatusNotFound,
	} {
		if res := send(t, http.MethodGet, url+path, "", ""); res.StatusCode != status {
			t.Errorf("%s: %s, want %d", path, res.Status, status)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "uploads", "*"))
	if _, e := os.Stat(orphan); err != nil || len(left) != 0 || !os.IsNotExist(e) {
		t.Errorf("not swept: %v, %v, %v", left, e, err)
	}
}

func TestABlobIsRemovedWithItsLastRepository(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, url, stop := plain(t, dir)
	defer stop()
	d := digestOf("shared")
	file := filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(d, "sha256:"))
	send(t, http.MethodPost, url+"/v2/a/blobs/uploads/?digest="+d, "application/octet-stream", "shared")
	if res := send(t, http.MethodPost, url+"/v2/b/blobs/uploads/?from=a&mount="+d, "", ""); res.StatusCode != http.StatusCreated {
		t.Fatalf("mount: %s", res.Status)
	}
	send(t, http.MethodDelete, url+"/v2/a/blobs/"+d, "", "")
	if res := send(t, http.MethodGet, url+"/v2/b/blobs/"+d, "", ""); res.StatusCode != http.StatusOK {
		t.Errorf("the other repository lost it: %s", res.Status)
	}
	send(t, http.MethodDelete, url+"/v2/b/blobs/"+d, "", "")
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the file stays: %v", err)
	}
}

func TestWhatIsNotWholeIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, url, stop := plain(t, dir)
	defer stop()
	for _, x := range []struct {
		method, path, mediaType, body string
		status                        int
	}{
		{http.MethodPost, "/v2/a/blobs/uploads/?digest=" + digestOf("other"), "", "body", http.StatusBadRequest},
		{http.MethodPost, "/v2/a/blobs/uploads/?digest=md5:x", "", "body", http.StatusBadRequest},
		{http.MethodPut, "/v2/a/manifests/x", manifestType, manifestOf("missing"), http.StatusBadRequest},
		{http.MethodPut, "/v2/a/manifests/x", manifestType, "{", http.StatusBadRequest},
		{http.MethodPut, "/v2/a/manifests/x", "application/json", manifestOf("{}"), http.StatusBadRequest},
		{http.MethodPut, "/v2/a/manifests/x", manifestType, strings.Repeat(" ", 4<<20+1), http.StatusRequestEntityTooLarge},
		{http.MethodPut, "/v2/a/manifests/" + digestOf("other"), manifestType, `{"schemaVersion":2}`, http.StatusBadRequest},
		{http.MethodPut, "/v2/a/manifests/-x", manifestType, "{}", http.StatusBadRequest},
		{http.MethodPut, "/v2/charts/dpe/manifests/15.3.0", manifestType, manifestOf("{}"), http.StatusForbidden}, // the vendor's, for everybody
		{http.MethodPut, "/v2/images/mine/manifests/1", manifestType, manifestOf("{}"), http.StatusForbidden},
		{http.MethodDelete, "/v2/images/dpe/manifests/15.3.0", "", "", http.StatusForbidden},
		{http.MethodPatch, "/v2/a/manifests/x", "", "", http.StatusMethodNotAllowed},
		{http.MethodGet, "/v2/_catalog", "", "", http.StatusNotFound},
		{http.MethodGet, "/v2/A/tags/list", "", "", http.StatusBadRequest},
		{http.MethodGet, "/v2/a/tags/list?n=-1", "", "", http.StatusNotFound},
	} {
		if res := send(t, x.method, url+x.path, x.mediaType, x.body); res.StatusCode != x.status {
			t.Errorf("%s %s: %s, want %d", x.method, x.path, res.Status, x.status)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "uploads", "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestTagsComeInPages(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, v := range []string{"15.1.0", "14.5.0", "15.3.0"} {
		if err := f.PublishChart(repository, v, archive(t, v, "")); err != nil {
			t.Fatal(err)
		}
	}
	res, _ := f.do(t, http.MethodGet, "/v2/"+repository+"/tags/list?n=2", basic(token), "")
	if want := `</v2/charts/dpe/tags/list?last=15.1.0&n=2>; rel="next"`; res.Header.Get("Link") != want {
		t.Errorf("link %q, want %q", res.Header.Get("Link"), want)
	}
	if res, _ := f.do(t, http.MethodGet, "/v2/"+repository+"/tags/list?n=2&last=15.1.0", basic(token), ""); res.StatusCode != http.StatusOK || res.Header.Get("Link") != "" {
		t.Errorf("last page: %s, %q", res.Status, res.Header.Get("Link"))
	}
	if res, doc := f.do(t, http.MethodGet, "/v2/"+repository+"/tags/list?n=x", basic(token), ""); res.StatusCode != http.StatusBadRequest || !strings.HasPrefix(doc, "PAGINATION_NUMBER_INVALID") {
		t.Errorf("n=x: %s, %s", res.Status, doc)
	}
}
