package portal_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
)

func TestStorageConsoleShowsAndDownloads(t *testing.T) {
	t.Parallel()
	s, e, _ := owned(t)
	ctx, otto := t.Context(), s.session(t, "otto")
	const wicked = "in/<script>alert(1)</script> \"x\".html"
	s.cloud.put("sample-data", wicked, "<script>alert(1)</script>")
	for i := range 150 {
		s.cloud.put("results", fmt.Sprintf("job/%03d.json", i), strings.Repeat("x", 1536))
	}
	if body := s.see(t, otto, "/environments/prod/storage"); !strings.Contains(body, "sample-data") || !strings.Contains(body, "dpesim s3 put prod") {
		t.Errorf("buckets: %s", body)
	}
	next := regexp.MustCompile(`<a class="button" href="([^"]+)">More</a>`)
	seen, pages := 0, 0
	for path := "/environments/prod/storage/results"; path != ""; pages++ {
		body := s.see(t, otto, path)
		checkPage(t, body)
		seen += strings.Count(body, "1.5 KiB")
		path = ""
		if m := next.FindStringSubmatch(body); m != nil {
			path = html.UnescapeString(m[1])
		}
	}
	if seen != 150 || pages != 2 {
		t.Errorf("%d objects on %d pages", seen, pages)
	}
	body := s.see(t, otto, "/environments/prod/storage/sample-data")
	checkPage(t, body)
	link := regexp.MustCompile(`href="([^"]+)" download`).FindStringSubmatch(body)
	if strings.Contains(body, "<script>alert") || link == nil {
		t.Fatalf("objects: %s", body)
	}
	got := s.send(t, http.MethodGet, html.UnescapeString(link[1]), "", otto)
	if got.code != http.StatusOK || got.body != "<script>alert(1)</script>" || got.header.Get("Content-Type") != "application/octet-stream" ||
		!strings.HasPrefix(got.header.Get("Content-Disposition"), "attachment;") || got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("download: %d %v %q", got.code, got.header, got.body)
	}
	if last := must(s.as("ada").Audit(ctx, api.AuditFilter{Limit: 1}))(t)[0]; last.Action != "object downloaded" || last.User != "otto" || last.Detail["object"] != "sample-data/"+wicked {
		t.Errorf("the audit log tells %+v", last)
	}
	for path, word := range map[string]string{"/storage/none": "bucket does not exist", "/storage/results/object?key=none": "key does not exist"} {
		if got := s.send(t, http.MethodGet, "/environments/prod"+path, "", otto, "Accept: text/html"); got.code != http.StatusNotFound || !strings.Contains(got.body, word) {
			t.Errorf("%s: %d %s", path, got.code, got.body)
		}
	}
	n := 0
	for o, err := range s.as("otto").AllObjects(ctx, e.ID, "results", api.ObjectFilter{Limit: 40}) {
		if err != nil || o.SizeBytes != 1536 {
			t.Fatalf("%+v %v", o, err)
		}
		n++
	}
	if b := must(s.as("otto").Buckets(ctx, e.ID))(t); n != 150 || len(b) != 2 || b[0].Name != "results" {
		t.Errorf("%d objects; buckets %+v", n, b)
	}
}

// TestDownloadNeedsTheScopeOfSecrets: objects are the customer's data, so that a token that only reads does not give them.
func TestDownloadNeedsTheScopeOfSecrets(t *testing.T) {
	t.Parallel()
	s, _, _ := owned(t)
	s.cloud.put("b", "k", "data")
	token := must(s.as("otto").AddToken(t.Context(), api.TokenSpec{Name: "CI", Scopes: []api.Scope{api.ScopeRead}}))(t)
	got := s.send(t, http.MethodGet, "/environments/prod/storage/b/object?key=k", "", "Authorization: Bearer "+token.Secret.Reveal())
	if got.code != http.StatusForbidden || got.body == "data" || !strings.Contains(got.body, "secrets") {
		t.Errorf("%d %s", got.code, got.body)
	}
	for _, q := range []string{"", "key=..%2f..%2fportal.db", "key=%00", "key=" + url.QueryEscape("k\r\nSet-Cookie: a=b")} {
		got := s.send(t, http.MethodGet, "/environments/prod/storage/b/object?"+q, "", s.session(t, "otto"))
		if got.code != http.StatusNotFound || got.header.Get("Set-Cookie") != "" {
			t.Errorf("%q: %d %v", q, got.code, got.header)
		}
	}
}
