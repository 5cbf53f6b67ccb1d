package portal_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// answer is what came back.
type answer struct {
	code   int
	header http.Header
	body   string
}

// send sends a request whose headers are given as "Name: value"; without a Cookie or an Authorization it is the trainer's.
func (s *sut) send(tb testing.TB, method, path, body string, headers ...string) answer {
	tb.Helper()
	req := must(http.NewRequestWithContext(tb.Context(), method, s.URL()+path, strings.NewReader(body)))(tb)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	if req.Header.Get("Cookie") == "" && req.Header.Get("Authorization") == "" {
		req.Header.Set("Authorization", "Bearer "+operator.Reveal())
	}
	stay := &http.Client{Transport: s.HTTP.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res := must(stay.Do(req))(tb)
	defer res.Body.Close()
	return answer{res.StatusCode, res.Header, string(must(io.ReadAll(res.Body))(tb))}
}

// get reads a page as a browser does.
func (s *sut) get(tb testing.TB, path string) answer {
	tb.Helper()
	return s.send(tb, http.MethodGet, path, "", "Accept: text/html")
}

// post sends a form as a browser does.
func (s *sut) post(tb testing.TB, path string, form url.Values) answer {
	tb.Helper()
	return s.send(tb, http.MethodPost, path, form.Encode(), "Accept: text/html", "Content-Type: application/x-www-form-urlencoded",
		"Origin: "+s.URL(), "Sec-Fetch-Site: same-origin")
}

func TestForeignHostIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	for host, want := range map[string]int{
		"localhost:1234": 200, "127.0.0.1": 200, "[::1]:80": 200, "127.9.9.9:1": 200, "portal.dpesim.localhost:8443": 200, "PORTAL.dpesim.localhost": 200,
		"evil.example": 403, "portal.dpesim.localhost.evil.example": 403, "10.0.0.1": 403, "localhost.evil.example:8080": 403,
	} {
		if got := s.send(t, http.MethodGet, "/api/v1/releases", "", "Host: "+host); got.code != want {
			t.Errorf("Host %s is answered with %d, want %d", host, got.code, want)
		}
	}
}

func TestRequestFromAnotherSiteIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	body := `{"name":"Prod"}`
	for name, h := range map[string][]string{
		"origin":                  {"Origin: https://evil.example"},
		"fetch site":              {"Sec-Fetch-Site: cross-site"},
		"same host, another port": {"Origin: http://127.0.0.1:1"},
	} {
		got := s.send(t, http.MethodPost, "/api/v1/environments", body, append(h, "Content-Type: application/json")...)
		if got.code != http.StatusForbidden || !strings.Contains(got.body, "another site") {
			t.Errorf("%s: %d %s", name, got.code, got.body)
		}
		if form := s.send(t, http.MethodPost, "/environments", "name=Prod", append(h, "Content-Type: application/x-www-form-urlencoded")...); form.code != http.StatusForbidden {
			t.Errorf("%s: form is answered with %d", name, form.code)
		}
	}
	if n := len(must(s.Environments(t.Context()))(t)); n != 0 {
		t.Errorf("%d environments were created", n)
	}
}

func TestEveryAnswerHasSecurityHeaders(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, path := range []string{"/environments", "/api/v1/releases", "/nothing", "/assets/style.css", "/livez"} {
		h := s.get(t, path).header
		csp := h.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'self'") || strings.Contains(csp, "unsafe") || h.Get("X-Content-Type-Options") != "nosniff" ||
			h.Get("X-Frame-Options") != "DENY" || h.Get("X-Request-Id") == "" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

func TestSecretsAreNotStored(t *testing.T) {
	t.Parallel()
	s := start(t)
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	d := must(s.AddDPE(t.Context(), e.ID, api.DPESpec{Name: "Finance"}))(t)
	base := "/api/v1/environments/prod"
	for path, mediaType := range map[string]string{
		"/object-storage": "application/json", "/dpes/" + string(d.Label) + "/values": "text/yaml; charset=utf-8",
		"/dpes/" + string(d.Label) + "/registry-token": "text/plain; charset=utf-8",
	} {
		got := s.send(t, http.MethodGet, base+path, "")
		if got.code != 200 || got.header.Get("Cache-Control") != "no-store" || got.header.Get("Content-Type") != mediaType {
			t.Errorf("%s: %d %v", path, got.code, got.header)
		}
	}
}

func TestProblemsAreToldAsProblems(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	const js = "Content-Type: application/json"
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
		code               int
		kind, words        string
	}{
		"unknown field":   {"POST", "/api/v1/environments", `{"name":"a","colour":"red"}`, []string{js}, 400, "invalid", `unknown field \"colour\"`},
		"wrong type":      {"POST", "/api/v1/environments", `{"name":7}`, []string{js}, 400, "invalid", `field \"name\" cannot be a number`},
		"two values":      {"POST", "/api/v1/environments", `{"name":"a"}{}`, []string{js}, 400, "invalid", "not one JSON value"},
		"no JSON":         {"POST", "/api/v1/environments", `name`, []string{js}, 400, "invalid", "not JSON"},
		"nothing":         {"POST", "/api/v1/environments", ``, []string{js}, 400, "invalid", "too early"},
		"too long":        {"POST", "/api/v1/environments", `{"name":"` + strings.Repeat("a", 70<<10) + `"}`, []string{js}, 413, "invalid", "longer than"},
		"media type":      {"POST", "/api/v1/environments", `{"name":"a"}`, nil, 400, "invalid", "Content-Type"},
		"no route":        {"GET", "/api/v1/nothing", ``, nil, 404, "not_found", "nothing at this address"},
		"no method":       {"PUT", "/api/v1/environments", ``, nil, 405, "invalid", "method"},
		"no environment":  {"GET", "/api/v1/environments/nowhere", ``, nil, 404, "not_found", "nowhere"},
		"bad entity tag":  {"PATCH", "/api/v1/environments/prod/dpes/x", `{"replicas":2}`, []string{js, "If-Match: 1"}, 400, "invalid", "entity tag"},
		"bad event":       {"GET", "/api/v1/events?after=x", ``, nil, 400, "invalid", "seq"},
		"label immutable": {"PATCH", "/api/v1/environments/prod/dpes/x", `{"label":"y"}`, []string{js}, 400, "invalid", `unknown field \"label\"`},
		"name immutable":  {"PATCH", "/api/v1/environments/prod/dpes/x", `{"name":"y"}`, []string{js}, 400, "invalid", `unknown field \"name\"`},
	} {
		got := s.send(t, c.method, c.path, c.body, c.headers...)
		var p api.Problem
		if err := json.Unmarshal([]byte(got.body), &p); err != nil || got.header.Get("Content-Type") != api.ProblemType {
			t.Errorf("%s: %v %s", name, err, got.body)
		}
		if got.code != c.code || p.Status != c.code || p.Kind != c.kind || p.RequestID != got.header.Get("X-Request-Id") || !strings.Contains(got.body, c.words) {
			t.Errorf("%s: %d %s", name, got.code, got.body)
		}
	}
}

func TestEntityTagIsTheRevision(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	const path, js = "/api/v1/environments/prod/dpes", "Content-Type: application/json"
	if got := s.send(t, http.MethodPost, path, `{"name":"Finance"}`, js); got.code != 201 || got.header.Get("ETag") != `"1"` || got.header.Get("Location") != path+"/finance" {
		t.Errorf("POST: %d %v", got.code, got.header)
	}
	if got := s.send(t, http.MethodPatch, path+"/finance", `{"replicas":2}`, js, `If-Match: "1"`); got.code != 200 || got.header.Get("ETag") != `"2"` {
		t.Errorf("PATCH: %d %v", got.code, got.header)
	}
	if got := s.send(t, http.MethodPatch, path+"/finance", `{"replicas":3}`, js, `If-Match: "1"`); got.code != 409 {
		t.Errorf("PATCH of an old revision: %d", got.code)
	}
	if got := s.send(t, http.MethodGet, path+"/finance", ""); got.header.Get("ETag") != `"2"` {
		t.Errorf("GET: %v", got.header)
	}
	if got := s.send(t, http.MethodDelete, path+"/finance", ""); got.code != 204 || got.body != "" {
		t.Errorf("DELETE: %d %q", got.code, got.body)
	}
}

func TestUnreachablePortalIsUnavailable(t *testing.T) {
	t.Parallel()
	c := api.Client{BaseURL: "http://127.0.0.1:1"}
	_, err := c.Releases(t.Context())
	wantError(t, err, sim.Unavailable, "cannot be reached")
}

func FuzzBodies(f *testing.F) {
	s := start(f)
	e := s.environment(f, api.EnvironmentSpec{Name: "Prod"})
	for _, b := range []string{`{"name":"Finance","replicas":2,"drivers":["s3"]}`, `{"name":""}`, `{"replicas":-1}`, `{"replicas":1e99}`, `[]`, `null`, `{"drivers":[null]}`, "\x00", `{"name":"\ud800"}`} {
		f.Add([]byte(b))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for path, method := range map[string]string{
			"/api/v1/environments": "POST", "/api/v1/environments/prod/dpes": "POST", "/api/v1/environments/prod/dpes/finance": "PATCH",
			"/api/v1/environments/prod/jobs": "POST", "/api/v1/environments/prod/upgrade": "POST",
		} {
			req := must(http.NewRequestWithContext(t.Context(), method, s.URL()+path, bytes.NewReader(body)))(t)
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+operator.Reveal())
			res := must(s.HTTP.Do(req))(t)
			text := must(io.ReadAll(res.Body))(t)
			_ = res.Body.Close()
			if res.StatusCode >= 500 {
				t.Fatalf("%s %s %q: %d %s", method, path, body, res.StatusCode, text)
			}
			if !json.Valid(text) {
				t.Fatalf("%s %s %q: answered %q", method, path, body, text)
			}
		}
		u := must(s.Environment(t.Context(), e.ID))(t).Usage
		if u.Engines > u.EnginesAllowed || u.Replicas > u.ReplicasLicensed {
			t.Fatalf("%q: usage is %+v", body, u)
		}
	})
}

// overTLS serves a portal over HTTPS, too: at base, for client.
func overTLS(t *testing.T) (s *sut, base string, client *http.Client) {
	t.Helper()
	o, s := options(t, filepath.Join(t.TempDir(), "portal.db"))
	pair := httptest.NewUnstartedServer(nil)
	pair.StartTLS() // for its certificate
	t.Cleanup(pair.Close)
	o.TLS = &tls.Config{Certificates: pair.TLS.Certificates, MinVersion: tls.VersionTLS12}
	o.TLSListener = must((&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"))(t)
	s.serve(t, o)
	client = pair.Client()
	t.Cleanup(client.CloseIdleConnections)
	return s, "https://" + o.TLSListener.Addr().String(), client
}

func TestSameFaceOverTLS(t *testing.T) {
	t.Parallel()
	s, base, client := overTLS(t)
	c := api.Client{BaseURL: base, Token: operator, HTTP: client}
	if got := must(c.Environments(t.Context()))(t); len(got) != 0 {
		t.Errorf("environments are %v", got)
	}
	_, err := c.CreateEnvironment(t.Context(), api.EnvironmentSpec{Name: "Prod"})
	if err != nil || len(must(s.Environments(t.Context()))(t)) != 1 {
		t.Errorf("what was created over TLS is not seen over HTTP: %v", err)
	}
}

func TestAnswersThatAreNoPortalsAreTold(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]sim.Kind{
		502: sim.Unavailable, 503: sim.Unavailable, 404: sim.NotFound, 401: sim.Unauthenticated, 403: sim.Forbidden, 418: sim.Invalid, 500: sim.Internal,
	} {
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, "<html>a proxy</html>")
		}))
		_, err := (&api.Client{BaseURL: other.URL, HTTP: other.Client()}).Organisation(t.Context())
		wantError(t, err, want, "the server answered")
		other.Close()
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }))
	defer other.Close()
	if _, err := (&api.Client{BaseURL: other.URL, HTTP: other.Client()}).Organisation(t.Context()); err == nil {
		t.Error("a page was taken for an organisation")
	}
	_, err := (&api.Client{BaseURL: "::"}).Organisation(t.Context())
	wantError(t, err, sim.Invalid, "address")
}
