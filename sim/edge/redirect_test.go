package edge_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// Helm up to 3.13 asks a registry on localhost over plain HTTP, whatever its certificate is.
func TestReadingOverPlainHTTPIsSentToHTTPS(t *testing.T) {
	t.Parallel()
	r := start(t)
	ln, err := r.Listen("registry.example", "", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, c := range []struct {
		method, host, path string
		status             int
	}{
		{http.MethodGet, "localhost:8443", "/v2/charts/dpe/manifests/15.1.0?a=b%20c", http.StatusPermanentRedirect},
		{http.MethodHead, "Registry.Example:8443", "/v2/", http.StatusPermanentRedirect},
		{http.MethodPost, "localhost:8443", "/v2/", http.StatusBadRequest}, // its body would be sent twice, once in clear
		{http.MethodGet, "nobody.example:8443", "/v2/", http.StatusBadRequest},
		{http.MethodGet, "127.0.0.1:8443", "/", http.StatusBadRequest},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+r.Addr().String()+c.path, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = c.host
		res, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s %s%s: %v", c.method, c.host, c.path, err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		want := ""
		if c.status == http.StatusPermanentRedirect {
			want = "https://" + c.host + c.path
		}
		if err != nil || res.StatusCode != c.status || res.Header.Get("Location") != want {
			t.Errorf("%s %s%s: %s to %q, %v; want %d to %q", c.method, c.host, c.path, res.Status, res.Header.Get("Location"), err, c.status, want)
		}
		if c.method != http.MethodHead && !strings.Contains(string(body), "speaks TLS") {
			t.Errorf("%s %s%s does not say why: %q", c.method, c.host, c.path, body)
		}
	}
}
