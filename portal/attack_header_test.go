package portal_test

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
)

// there fills the parameters of routes with what is there in [owned].
func there() map[string]string {
	return map[string]string{":env": "prod", ":label": "finance", ":user": "mia", ":job": "job-1", ":bucket": "sample-data", ":namespace": "dpe", ":pod": "finance-0"}
}

// TestEveryAnswerIsGuarded asks every route that is read, and looks at what its answer tells the browser: not to be framed, not
// to guess, not to run what is inline, and not to keep what is somebody's.
func TestEveryAnswerIsGuarded(t *testing.T) {
	t.Parallel()
	s, e, _ := owned(t)
	must(s.SubmitJob(t.Context(), e.ID, api.JobSpec{Bucket: "b", Key: "k"}))(t)
	s.cloud.put("sample-data", "a.csv", "<script>own()</script>")
	session := s.session(t, "tess")
	for _, route := range append(routesWith("", there()), [2]string{"GET", "/environments/prod/storage/sample-data/object?key=a.csv"}) {
		if route[0] != http.MethodGet || strings.HasSuffix(route[1], "*") {
			continue
		}
		got := s.send(t, route[0], route[1], "", session, "Accept: text/html")
		h := got.header
		for name, want := range map[string]string{
			"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q", route[1], name, h.Get(name))
			}
		}
		csp := h.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "object-src 'none'"} {
			if !strings.Contains(csp, part) || strings.Contains(csp, "unsafe") {
				t.Errorf("%s: the content security policy is %q", route[1], csp)
			}
		}
		// The same for everybody: the document, and what the product comes in.
		public := slices.Contains([]string{"/livez", "/readyz", api.Prefix + "/openapi.json", api.Prefix + "/releases", api.Prefix + "/drivers", api.Prefix + "/sizing"}, route[1])
		if keep := h.Get("Cache-Control"); keep != "no-store" && !(public && keep == "no-cache") {
			t.Errorf("%s: %d with Cache-Control %q", route[1], got.code, keep)
		}
		if strings.HasSuffix(route[1], "object?key=a.csv") && !strings.HasPrefix(h.Get("Content-Disposition"), "attachment") {
			t.Errorf("an object is shown in the portal's origin: %v", h)
		}
	}
}

// TestNoHostButThePortalsIsAnswered asks every route by another's name, in each way that a request can have one.
func TestNoHostButThePortalsIsAnswered(t *testing.T) {
	t.Parallel()
	s, _, _ := owned(t)
	own := strings.TrimPrefix(s.URL(), "http://")
	for _, route := range routesWith("", there()) {
		if strings.HasPrefix(route[1], api.Prefix+"/events") {
			continue
		}
		if got := s.send(t, route[0], route[1], "", "Host: evil.example"); got.code != http.StatusForbidden {
			t.Errorf("%s %s of evil.example: %d", route[0], route[1], got.code)
		}
		if route[0] != http.MethodGet || strings.HasSuffix(route[1], "*") {
			continue
		}
		got := s.send(t, route[0], route[1], "", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "Forwarded: host=evil.example", "X-Host: evil.example", "X-Original-URL: /evil.example", "X-Rewrite-URL: /evil.example", "Accept: text/html")
		if got.code == http.StatusForbidden || strings.Contains(got.body, "evil.example") || strings.Contains(got.header.Get("Location"), "evil.example") || strings.Contains(got.header.Get("Link"), "evil.example") {
			t.Errorf("%s believes what a proxy would say: %d %v", route[1], got.code, got.header)
		}
	}
	for name, head := range map[string]string{
		"absolute":  "GET http://evil.example/environments HTTP/1.1\r\nHost: " + own + "\r\n\r\n",
		"two hosts": "GET /environments HTTP/1.1\r\nHost: " + own + "\r\nHost: evil.example\r\n\r\n",
		"none":      "GET /environments HTTP/1.1\r\n\r\n",
		"userinfo":  "GET /environments HTTP/1.1\r\nHost: " + own + "@evil.example\r\n\r\n",
	} {
		c := must(net.Dial("tcp", own))(t)
		_ = must(io.WriteString(c, head))(t)
		b := make([]byte, 64)
		n := must(c.Read(b))(t)
		_ = c.Close()
		if line := string(b[:n]); !strings.HasPrefix(line, "HTTP/1.1 403") && !strings.HasPrefix(line, "HTTP/1.1 400") {
			t.Errorf("%s: %s", name, line)
		}
	}
}

// TestSignInLeadsNowhereElse signs in with every way to write another site's address.
func TestSignInLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	s := start(t)
	portal := must(url.Parse(s.URL()))(t)
	for _, next := range []string{
		"https://evil.example", "//evil.example", "///evil.example", `/\evil.example`, `\\evil.example`, "/\t/evil.example", "\t//evil.example", "/\n/evil.example", "http:evil.example", "javascript:own()",
		"data:text/html,own", "/%09/evil.example", "/%2f/evil.example", "/.//evil.example", "/environments/..//evil.example", "/environments?next=//evil.example", "//[", "/\u2028/evil.example", " //evil.example", "/\x00/evil.example", "@evil.example", "/@evil.example", "evil.example",
	} {
		got := s.post(t, "/sign-in", url.Values{"pick": {"ada"}, "next": {next}})
		to := got.header.Get("Location")
		at, err := portal.Parse(to)
		if got.code != http.StatusSeeOther || err != nil || at.Host != portal.Host || at.Scheme != portal.Scheme || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t\x00") {
			t.Errorf("next=%q leads to %q: %d, %v", next, to, got.code, err)
		}
		page := s.get(t, "/sign-in?next="+url.QueryEscape(next)).body
		for _, x := range elements(t, page) {
			if v := x.attr["value"]; x.attr["name"] == "next" && (!strings.HasPrefix(v, "/") || strings.HasPrefix(v, "//")) {
				t.Errorf("next=%q stands in the form as %q", next, v)
			}
		}
	}
}

// TestMethodsAreWhatTheySay sends reads that claim to be changes: headers and fields by which some servers believe it.
func TestMethodsAreWhatTheySay(t *testing.T) {
	t.Parallel()
	s, _, _ := owned(t)
	changes := func() int {
		n := 0
		for _, e := range must(s.Audit(t.Context(), api.AuditFilter{}))(t) {
			if !strings.HasSuffix(e.Action, " read") { // a look at a secret is told as well
				n++
			}
		}
		return n
	}
	before := changes()
	for _, route := range routesWith("", there()) {
		if route[0] == http.MethodGet || strings.HasSuffix(route[1], "*") {
			continue
		}
		got := s.send(t, http.MethodGet, route[1]+"?_method="+route[0]+"&confirm=finance&name=x", "", "X-HTTP-Method-Override: "+route[0], "X-Method-Override: "+route[0], "X-HTTP-Method: "+route[0], "Accept: text/html")
		if got.code >= 500 || got.code == http.StatusSeeOther {
			t.Errorf("GET of %s as %s: %d", route[1], route[0], got.code)
		}
	}
	if after := changes(); after != before {
		t.Errorf("%d changes were made by reads", after-before)
	}
}

// TestTheSessionsCookieIsTheBrowsersAlone looks at the flags, over HTTP and HTTPS, of the cookie that signs in and of the one
// that signs out.
func TestTheSessionsCookieIsTheBrowsersAlone(t *testing.T) {
	t.Parallel()
	s, secureBase, secure := overTLS(t)
	secure.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	seen := map[string]bool{}
	for base, client := range map[string]*http.Client{s.URL(): {CheckRedirect: secure.CheckRedirect}, secureBase: secure} {
		var kept *http.Cookie
		for _, path := range []string{"/sign-in", "/sign-in", "/sign-out"} {
			req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, base+path, strings.NewReader("pick=ada")))(t)
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if kept != nil {
				req.AddCookie(kept)
			}
			res := must(client.Do(req))(t)
			_ = res.Body.Close()
			set := res.Cookies()
			if len(set) != 1 {
				t.Fatalf("%s%s sets %v", base, path, set)
			}
			c := set[0]
			if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.Secure != strings.HasPrefix(base, "https") {
				t.Errorf("%s%s: %v", base, path, c)
			}
			if out := path == "/sign-out"; out != (c.MaxAge < 0) || out != (c.Value == "") || !out && (seen[c.Value] || len(c.Value) < 26) {
				t.Errorf("%s%s: %v", base, path, c)
			}
			seen[c.Value], kept = true, c
		}
		client.CloseIdleConnections()
	}
}

// TestDownloadsHaveHarmlessNames downloads objects whose keys would be something in a header or on a disk.
func TestDownloadsHaveHarmlessNames(t *testing.T) {
	t.Parallel()
	s, e, _ := owned(t)
	for _, key := range []string{"a\r\nX-Injected: 1.csv", `a"; filename="b.exe`, "../../etc/passwd", `..\..\autoexec.bat`, "ü €.csv", "a\x00b", ".", "..", "a/b/", strings.Repeat("long", 300), "<script>own()</script>"} {
		s.cloud.put("sample-data", key, "x")
		got := s.send(t, http.MethodGet, "/environments/"+string(e.ID)+"/storage/sample-data/object?key="+url.QueryEscape(key), "")
		d := got.header.Get("Content-Disposition")
		if got.code != http.StatusOK || !strings.HasPrefix(d, "attachment") || got.header.Get("X-Injected") != "" || strings.ContainsAny(d, "\r\n\x00/\\<>") {
			t.Errorf("%q: %d %q", key, got.code, d)
		}
	}
}
