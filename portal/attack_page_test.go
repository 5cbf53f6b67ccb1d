package portal_test

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/dpesim/dpesim/portal"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// form is a form of a page: where it is sent, and what, as it stands.
type form struct {
	action string
	fields url.Values
	typed  []string // names of the fields that a person types into, or picks in a list
}

// forms finds the forms of a page that change something.
func forms(t *testing.T, body string) []form {
	t.Helper()
	root := must(html.Parse(strings.NewReader(body)))(t)
	attr := func(n *html.Node, name string) string {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
		return ""
	}
	var out []form
	for n := range root.Descendants() {
		if n.Data != "form" || attr(n, "method") != "post" {
			continue
		}
		f := form{action: attr(n, "action"), fields: url.Values{}}
		for d := range n.Descendants() {
			name := attr(d, "name")
			if d.Type != html.ElementNode || name == "" {
				continue
			}
			kind := attr(d, "type")
			if kind != "radio" || !f.fields.Has(name) { // of those the first
				f.fields.Set(name, attr(d, "value"))
			}
			if kind != "hidden" && d.Data != "button" {
				f.typed = append(f.typed, name)
			}
		}
		out = append(out, f)
	}
	return out
}

// markup is what would do something if it became part of a page: in text, in a value between quotes, in an address, and for
// the template itself.
func markup() []string {
	return []string{
		`<img src=x onerror=own()>`, `"><script>own()</script>`, `' onfocus=own() autofocus x='`, `" onfocus=own() autofocus x="`, `</textarea></title><svg onload=own()>`,
		`javascript:own()`, `{{.Frame}}<b id=own hx-get=/own hx-trigger=load>`, `own</script><script>own()`,
	}
}

// checkInert checks that nothing that somebody typed is more than text in a page.
func checkInert(t *testing.T, where, body string) {
	t.Helper()
	if strings.Count(body, "<script") != 3 || !strings.Contains(body, "</html>") {
		t.Errorf("%s: %d scripts", where, strings.Count(body, "<script"))
	}
	for _, x := range elements(t, body) {
		for name, v := range x.attr {
			if strings.HasPrefix(name, "on") || name == "style" || name == "id" && v == "own" || name == "autofocus" && x.attr["x"] != "" {
				t.Errorf("%s: %s has %s=%q", where, x.name, name, v)
			}
			if address := name == "href" || name == "src" || name == "action" || strings.HasPrefix(name, "hx-") || name == "sse-connect"; address && !strings.HasPrefix(v, "/") && strings.Contains(v, "own()") && !strings.HasPrefix(v, "?") {
				t.Errorf("%s: %s leads to %q", where, x.name, v)
			}
		}
	}
}

// TestWhatIsTypedIntoAnyFormIsOnlyText sends every form of every page with markup in each of its fields, and all of them: the
// answer, a page that shows what was typed, has it as text.
func TestWhatIsTypedIntoAnyFormIsOnlyText(t *testing.T) {
	t.Parallel()
	s, e, d := pageSUT(t)
	sent := map[string]bool{}
	for _, path := range allPages(e.ID, d.Label) {
		for _, f := range forms(t, s.get(t, path).body) {
			if strings.Contains(f.action, "remove") || strings.Contains(f.action, "sign-out") || sent[f.action] && len(f.typed) == 0 {
				continue
			}
			sent[f.action] = true
			for i, m := range markup() {
				typed := maps.Clone(f.fields)
				for j, name := range f.typed {
					if j%len(markup()) == i || i == 0 {
						typed.Set(name, m)
					}
				}
				got := s.post(t, f.action, typed)
				if got.code >= 500 {
					t.Errorf("%s %v: %d", f.action, typed, got.code)
				}
				if strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
					checkInert(t, f.action, got.body)
				}
				if got.header.Get("X-Injected") != "" || strings.ContainsAny(got.header.Get("Location"), "<>\" ") {
					t.Errorf("%s: %v", f.action, got.header)
				}
			}
		}
	}
	if len(sent) < 12 {
		t.Errorf("only these forms were found: %v", slices.Sorted(maps.Keys(sent)))
	}
}

// TestWhateverHasANameIsShownAsText gives markup to everything that is named or comes from outside, and looks at every page as
// everybody who may.
func TestWhateverHasANameIsShownAsText(t *testing.T) {
	t.Parallel()
	for i, m := range markup() {
		s, ctx := start(t), t.Context()
		name := "Own " + m
		e := s.environment(t, api.EnvironmentSpec{Name: name})
		d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: name}))(t)
		must(s.AddUser(ctx, api.UserSpec{ID: "own", Name: name, Role: api.RoleAdmin, Password: "long enough"}))(t)
		must(s.AddToken(ctx, api.TokenSpec{Name: name, Scopes: api.Scopes()}))(t)
		must(s.Arm(ctx, api.Fault{Name: name, Point: "dpm.connect", Error: m, Environment: e.ID}))(t)
		must(s.SubmitJob(ctx, e.ID, api.JobSpec{Bucket: m, Key: m}))(t)
		must(s.SetAllowlist(ctx, e.ID, api.AllowlistEdit{On: true, Confirm: true, Entries: []api.AllowlistEntry{{CIDR: "192.0.2.0/24", Note: m}}}, 0))(t)
		s.cloud.put("sample-data", m, m)
		s.cloud.put(m, "key", m)
		x := engine(d, "a")
		x.Replica, x.Version, x.Remote = sim.ReplicaID(m), sim.Release(m), m
		s.cloud.connect(ctx, e.ID, x)
		s.bus.Publish(ctx, sim.Event{Part: sim.PartDPM, Environment: e.ID, DPE: d.Label, What: "engine refused", Detail: map[string]string{"reason": m, m: m}})
		shown := 0
		for _, path := range append(allPages(e.ID, d.Label), "/environments/"+string(e.ID)+"/storage/"+url.PathEscape(m), "/room/why?subject="+url.QueryEscape(m), "/room/timeline?text="+url.QueryEscape(m), "/sign-in?next=/"+url.QueryEscape(m)) {
			for _, user := range []string{"tess", "ada", "mia"} {
				got := s.send(t, http.MethodGet, path, "", "Accept: text/html", "Authorization: Bearer "+operator.Reveal(), "Dpesim-As: "+user)
				if got.code == http.StatusForbidden {
					continue
				}
				if got.code >= 500 {
					t.Errorf("%s by %s: %d", path, user, got.code)
				}
				checkInert(t, path, got.body)
				if strings.Contains(html.UnescapeString(got.body), m) {
					shown++
				}
			}
		}
		if shown < 40 {
			t.Errorf("%q is shown on %d pages only: something hides it from this test", m, shown)
		}
		if i == 0 {
			t.Logf("shown %d times", shown)
		}
	}
}

// dangerous tells of a route whether a browser must never be led to it from elsewhere.
func dangerous(method string) bool { return method != http.MethodGet && method != http.MethodHead }

// TestNoRouteTakesWhatAnotherSiteSends has a browser that is signed in sent every unsafe request by another site, in each way
// that browsers tell of it.
func TestNoRouteTakesWhatAnotherSiteSends(t *testing.T) {
	t.Parallel()
	s, e, d := owned(t)
	session := s.session(t, "tess")
	before := len(must(s.Audit(t.Context(), api.AuditFilter{}))(t))
	asked := 0
	for _, route := range routesWith("", map[string]string{":env": string(e.ID), ":label": string(d.Label), ":user": "mia", ":job": "job-1"}) {
		if !dangerous(route[0]) {
			continue
		}
		asked++
		for name, from := range map[string][]string{
			"another site": {"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, "a frame without an origin": {"Origin: null", "Sec-Fetch-Site: cross-site"},
			"the same site": {"Origin: http://evil.localhost", "Sec-Fetch-Site: same-site"}, "an old browser": {"Origin: http://127.0.0.1:1"},
		} {
			headers := append([]string{session, "Content-Type: application/x-www-form-urlencoded", "Accept: text/html"}, from...)
			got := s.send(t, route[0], route[1], "pick=gwen&confirm=finance&name=x&replicas=1&act=freeze", headers...)
			if got.code != http.StatusForbidden || !strings.Contains(got.body, "another site") || got.header.Get("Set-Cookie") != "" {
				t.Errorf("%s %s from %s: %d %v", route[0], route[1], name, got.code, got.header)
			}
		}
	}
	if after := len(must(s.Audit(t.Context(), api.AuditFilter{}))(t)); after != before || asked < 30 {
		t.Errorf("%d routes were asked, and %d changes made", asked, after-before)
	}
}

// TestEveryFormIsBounded sends each page more than it takes: it says so, and does nothing.
func TestEveryFormIsBounded(t *testing.T) {
	t.Parallel()
	s, e, d := owned(t)
	session := s.session(t, "tess")
	before := len(must(s.Audit(t.Context(), api.AuditFilter{}))(t))
	for _, route := range routesWith("", map[string]string{":env": string(e.ID), ":label": string(d.Label), ":user": "mia"}) {
		if route[0] != http.MethodPost || strings.HasPrefix(route[1], api.Prefix) {
			continue
		}
		for media, want := range map[string]int{"application/x-www-form-urlencoded": http.StatusRequestEntityTooLarge, "multipart/form-data; boundary=b": http.StatusBadRequest, "text/plain": http.StatusBadRequest} {
			got := s.send(t, route[0], route[1], "name=Long&confirm=finance&act=freeze&a="+strings.Repeat("a", 70<<10), session, "Accept: text/html", "Content-Type: "+media, "Origin: "+s.URL())
			if got.code != want || !strings.Contains(got.body, "the body is") {
				t.Errorf("%s as %s: %d %.200s", route[1], media, got.code, got.body)
			}
			checkPage(t, got.body)
		}
		if got := s.send(t, route[0], route[1], "a=%zz", session, "Accept: text/html", "Content-Type: application/x-www-form-urlencoded", "Origin: "+s.URL()); got.code != http.StatusBadRequest {
			t.Errorf("%s with a form that is none: %d", route[1], got.code)
		}
	}
	if after := len(must(s.Audit(t.Context(), api.AuditFilter{}))(t)); after != before {
		t.Errorf("%d changes were made", after-before)
	}
}

// taken finds what a path takes.
var taken = regexp.MustCompile(`:[a-z]+|\*`)

// TestNoPathLeadsAstray puts tricks into every parameter of every route.
func TestNoPathLeadsAstray(t *testing.T) {
	t.Parallel()
	s, e, d := owned(t)
	w := &wire{address: strings.TrimPrefix(s.URL(), "http://")}
	defer w.close()
	there := map[string]string{":env": string(e.ID), ":label": string(d.Label), ":bucket": "sample-data", ":namespace": "dpe"}
	tricks := []string{
		"..", "%2e%2e", "..%2f..%2f..%2fgo.mod", "..%5c..%5cgo.mod", "%00", "prod%00", "prod%2f", "prod%2fdpes", "%ff%fe", "%0d%0aX-Injected:%201", "prod;x=1", "%252e%252e", ".%2e/.%2e", "~", "prod%20",
		strings.Repeat("a", 8<<10), strings.Repeat("%61", 8<<10), strings.Repeat("../", 1<<10),
	}
	for _, r := range portal.Routes() {
		method, path, _ := strings.Cut(r, " ")
		for _, at := range taken.FindAllStringIndex(path, -1) {
			fill := func(p string) string {
				return taken.ReplaceAllStringFunc(p, func(name string) string { return there[name] })
			}
			for _, trick := range tricks {
				target := fill(path[:at[0]]) + trick + fill(path[at[1]:])
				got, err := w.send(raw{method: method, target: target, headers: []string{"Authorization: Bearer " + operator.Reveal(), "Accept: text/html", "Content-Type: application/x-www-form-urlencoded"}})
				logs := strings.HasPrefix(path, "/room/cluster/") && got.code == http.StatusOK // the fake cluster has a log of every pod
				if err != nil || !logs && (got.code < 300 || got.code >= 500) || got.header.Get("X-Injected") != "" || strings.Contains(got.body, "module github.com") {
					t.Errorf("%s %.100s: %d %.200s, %v", method, target, got.code, got.body, err)
				}
				if to := got.header.Get("Location"); strings.Contains(to, "..") || strings.HasPrefix(to, "//") {
					t.Errorf("%s %.100s leads to %.100q", method, target, to)
				}
			}
		}
	}
}
