package portal_test

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/portal"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// routesWith lists the portal's routes, API and pages, whose path has a parameter (empty: all), as method and path, with
// parameters filled in.
func routesWith(param string, values map[string]string) [][2]string {
	var out [][2]string
	for _, r := range portal.Routes() {
		method, path, _ := strings.Cut(r, " ")
		if param != "" && !strings.Contains(path+"/", "/"+param+"/") {
			continue
		}
		path = regexp.MustCompile(`:[a-z]+`).ReplaceAllStringFunc(path, func(p string) string {
			if v, known := values[p]; known {
				return v
			}
			return "x"
		})
		out = append(out, [2]string{method, path})
	}
	return out
}

// TestNoRouteReachesAnotherOrganisation asks every route below an environment, API and pages, as the admin of another
// organisation, in all ways of saying who one is: the environment is not there, in the words of one that really is not.
func TestNoRouteReachesAnotherOrganisation(t *testing.T) {
	t.Parallel()
	s, e, d := owned(t)
	ctx := t.Context()
	job := must(s.SubmitJob(ctx, e.ID, api.JobSpec{Bucket: "b", Key: "k"}))(t)
	before := asJSON(t, must(s.DPE(ctx, e.ID, d.Label))(t))
	token := must(s.as("gwen").AddToken(ctx, api.TokenSpec{Name: "all", Scopes: api.Scopes()}))(t)
	ways := map[string]string{"session": s.session(t, "gwen"), "token": "Authorization: Bearer " + token.Secret.Reveal(), "command line": "Dpesim-As: gwen"}
	there := map[string]string{":env": string(e.ID), ":label": string(d.Label), ":job": string(job.ID)}
	none := map[string]string{":env": "nowhere", ":label": string(d.Label), ":job": string(job.ID)}
	foreign, absent := routesWith(":env", there), routesWith(":env", none)
	if len(foreign) < 30 {
		t.Fatalf("only %d routes have an environment", len(foreign))
	}
	ask := func(route [2]string, way string) (int, string) {
		got := s.send(t, route[0], route[1], "{}", ways[way], js)
		var p api.Problem
		if err := json.Unmarshal([]byte(got.body), &p); err != nil {
			t.Errorf("%s %s: %v: %s", route[0], route[1], err, got.body)
		}
		return got.code, p.Detail
	}
	for i, route := range foreign {
		for way := range ways {
			code, words := ask(route, way)
			codeNone, wordsNone := ask(absent[i], way)
			if code != http.StatusNotFound || codeNone != code || strings.ReplaceAll(words, string(e.ID), "X") != strings.ReplaceAll(wordsNone, "nowhere", "X") {
				t.Errorf("%s %s by %s: %d %q; of what is not there %d %q", route[0], route[1], way, code, words, codeNone, wordsNone)
			}
		}
	}
	if diff := cmp.Diff(before, asJSON(t, must(s.DPE(ctx, e.ID, d.Label))(t))); diff != "" {
		t.Errorf("another organisation changed something: %s", diff)
	}
	gwen := s.as("gwen")
	if got := must(gwen.Audit(ctx, api.AuditFilter{Environment: e.ID}))(t); len(got) != 0 {
		t.Errorf("gwen reads %v", got)
	}
	if got := must(gwen.Events(ctx, api.EventFilter{Environment: e.ID}))(t); len(got) != 0 {
		t.Errorf("gwen reads %v", whats(got))
	}
	own := must(s.as("otto").AddToken(ctx, api.TokenSpec{Name: "own", Scopes: api.Scopes()}))(t)
	wantError(t, gwen.RemoveToken(ctx, own.ID), sim.NotFound, "of yours")
	wantError(t, gwen.RemoveUser(ctx, "mia"), sim.NotFound, "mia")
}

func TestEveryBodyIsBounded(t *testing.T) {
	t.Parallel()
	s, _, _ := owned(t)
	asked := 0
	long := `{"name":"` + strings.Repeat("a", 70<<10) + `"}`
	for path, methods := range must(theSpec())(t).Paths {
		for method, o := range methods {
			if o.Body == nil {
				continue
			}
			asked++
			at := s.URL() + strings.NewReplacer("{env}", "prod", "{label}", "finance").Replace(path)
			for name, body := range map[string]io.Reader{"of known length": strings.NewReader(long), "chunked": io.MultiReader(strings.NewReader(long))} {
				req := must(http.NewRequestWithContext(t.Context(), strings.ToUpper(method), at, body))(t)
				req.Header.Set("Authorization", "Bearer "+operator.Reveal())
				req.Header.Set("Content-Type", "application/json")
				for _, key := range []string{"", "k"} {
					if key != "" {
						req = req.Clone(t.Context())
						req.Header.Set("Idempotency-Key", key)
						req.Body = io.NopCloser(strings.NewReader(long))
					}
					res := must(s.HTTP.Do(req))(t)
					b := must(io.ReadAll(res.Body))(t)
					_ = res.Body.Close()
					if res.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(b), "longer than 65536 bytes") {
						t.Errorf("%s %s, %s: %d %s", method, path, name, res.StatusCode, b)
					}
				}
			}
		}
	}
	if asked < 7 {
		t.Errorf("only %d operations take a body", asked)
	}
}

func TestPathTricksLeadNowhere(t *testing.T) {
	t.Parallel()
	s, _, _ := owned(t)
	w := &wire{address: strings.TrimPrefix(s.URL(), "http://")}
	defer w.close()
	for _, path := range []string{
		"/api/v1/environments/%2e%2e/organisation", "/api/v1/environments/..%2forganisation", "/api/v1/environments/../organisation", "/api/v1/./organisation",
		"//api/v1/organisation", "/api//v1/organisation", "/api/v1//organisation", "/api/v1/organisation/", "/API/v1/organisation", "/api/v1/organisation%00", "/api/v1/organisation;x=1",
		"/api/v1/environments/prod%00", "/api/v1/environments/prod%2fdpes", "/api/v1/environments/prod%2Fdpes%2Ffinance%2Fvalues", "/api/v1/environments/PROD", "/api/v1/environments/prod%20",
		"/api/v1/environments/prod/dpes/finance%00/values", "/api/v1/environments/prod/dpes/..%2ffinance/values", "/api/v1/environments/prod/dpes/%2e/values",
		"/assets/../go.mod", "/assets/%2e%2e/%2e%2e/go.mod", "/assets/..%2f..%2fgo.mod", "/assets/%5c..%5cgo.mod", "/assets/", "/assets", "/assets/style.css%00",
		"/livez/../api/v1/environments", "/assets/../api/v1/environments", "/assets/..;/api/v1/environments",
	} {
		for user, headers := range map[string][]string{"tess": {"Authorization: Bearer " + operator.Reveal()}, "nobody": {"X-None: 1"}} {
			got, err := w.send(raw{method: http.MethodGet, target: path, headers: headers})
			if err != nil || got.code < 400 || got.code >= 500 {
				t.Errorf("%s by %s: %d %.100s, %v", path, user, got.code, got.body, err)
			}
		}
	}
}

func TestNothingThatIsSentBecomesAHeader(t *testing.T) {
	t.Parallel()
	s, e, _ := owned(t)
	s.manyJobs(e.ID, 3)
	const env, injected = "/api/v1/environments/prod", `\r\nX-Injected: 1`
	for _, c := range []struct {
		method, path, body string
		code               int
	}{
		{"POST", "/api/v1/environments", `{"name":"a` + injected + `"}`, 400},
		{"POST", env + "/dpes", `{"name":"a` + injected + `"}`, 400},
		{"POST", env + "/jobs", `{"bucket":"b` + injected + `","key":"k` + injected + `"}`, 201},
		{"POST", "/api/v1/users", `{"id":"b` + injected + `","name":"B","password":"long enough"}`, 400},
		{"POST", "/api/v1/tokens", `{"name":"b` + injected + `","scopes":["read"]}`, 400},
		{"GET", env + "/jobs?limit=1&a=%0d%0aX-Injected:%201", "", 200},
		{"GET", env + "/jobs?limit=1&%0d%0aX-Injected:%201=1", "", 200},
		{"GET", env + "/dpes/finance/values?release=%0d%0aX-Injected:%201", "", 400},
		{"GET", env + "/dpes/%0d%0aX-Injected:%201", "", 404},
		{"GET", "/sign-in?next=/%0d%0aX-Injected:%201", "", 200},
		{"GET", "/environments/%0d%0aX-Injected:%201/services?next=%0d%0aX-Injected:1", "", 404},
	} {
		for _, key := range []string{"", "k1", "k1"} { // a kept answer as well
			headers := []string{js}
			if key != "" {
				headers = append(headers, "Idempotency-Key: "+key)
			}
			got := s.send(t, c.method, c.path, c.body, headers...)
			if key == "" && got.code != c.code {
				t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, got.code, got.body)
			}
			if got.header.Get("X-Injected") != "" {
				t.Errorf("%s %s %s: %v", c.method, c.path, c.body, got.header)
			}
			for name, values := range got.header {
				if len(values) != 1 && name != "Vary" || strings.ContainsAny(values[0], "\r\n") {
					t.Errorf("%s %s: header %s is %q", c.method, c.path, name, values)
				}
			}
		}
	}
}

// TestOtherMethodsAndOtherOriginsGetNothing asks every address with each method that it does not take, and each that it
// does from another origin.
func TestOtherMethodsAndOtherOriginsGetNothing(t *testing.T) {
	t.Parallel()
	s, _, _ := owned(t)
	takes := map[string][]string{}
	for _, r := range routesWith("", map[string]string{":env": "prod", ":label": "finance", ":job": "job-1"}) {
		takes[r[1]] = append(takes[r[1]], r[0])
	}
	const evil = "https://evil.example"
	for path, methods := range takes {
		if strings.HasSuffix(path, "*") {
			continue
		}
		for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} {
			if slices.Contains(methods, m) {
				continue
			}
			got := s.send(t, m, path, "")
			if got.code != http.StatusMethodNotAllowed || got.header.Get("Allow") == "" {
				t.Errorf("%s %s: %d, Allow %q", m, path, got.code, got.header.Get("Allow"))
			}
		}
		if preflight := s.send(t, "OPTIONS", path, "", "Origin: "+evil, "Access-Control-Request-Method: POST"); corsOf(preflight) {
			t.Errorf("%s: a preflight is answered with %v", path, preflight.header)
		}
		for _, m := range methods {
			if m == http.MethodGet && (path == "/api/v1/events" || strings.Contains(path, "stream")) {
				continue
			}
			got := s.send(t, m, path, "{}", "Origin: "+evil, "Sec-Fetch-Site: cross-site", js)
			if corsOf(got) {
				t.Errorf("%s %s: %v", m, path, got.header)
			}
			if m != http.MethodGet && got.code != http.StatusForbidden {
				t.Errorf("%s %s from another origin: %d", m, path, got.code)
			}
		}
	}
}

func corsOf(a answer) bool {
	for name := range a.header {
		if strings.HasPrefix(name, "Access-Control-") {
			return true
		}
	}
	return false
}
