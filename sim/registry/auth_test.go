package registry_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dpesim/dpesim/sim/registry"
)

// do sends one request and gives the status, the header and the code of the error document.
func (f *fixture) do(t *testing.T, method, path string, auth func(*http.Request), body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://"+f.host+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if auth != nil {
		auth(req)
	}
	res, err := f.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var doc struct {
		Errors []struct{ Code, Message string }
	}
	_ = json.NewDecoder(res.Body).Decode(&doc) // most answers are no error document
	if len(doc.Errors) == 0 {
		return res, ""
	}
	return res, doc.Errors[0].Code + ": " + doc.Errors[0].Message
}

func basic(t registry.Token) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(t.User, t.Secret.Reveal()) }
}

func bearer(text string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+text) }
}

// bearerFor gets a bearer token as Docker does (GET), or as containerd does (POST).
func (f *fixture) bearerFor(t *testing.T, method string, tok registry.Token, scopes ...string) (text, scope string) {
	t.Helper()
	q := url.Values{"service": {"registry.test"}, "scope": scopes}
	target, body := "https://"+f.host+"/token?"+q.Encode(), ""
	if method == http.MethodPost {
		q.Set("grant_type", "password")
		q.Set("username", tok.User)
		q.Set("password", tok.Secret.Reveal())
		target, body = "https://"+f.host+"/token", q.Encode()
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else {
		basic(tok)(req)
	}
	res, err := f.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var doc struct {
		Token     string
		Scope     string
		ExpiresIn int `json:"expires_in"`
	}
	if err := json.NewDecoder(res.Body).Decode(&doc); err != nil || res.StatusCode != http.StatusOK || doc.ExpiresIn != 300 {
		t.Fatalf("%s /token: %s, %+v, %v", method, res.Status, doc, err)
	}
	return doc.Token, doc.Scope
}

func TestABearerTokenHoldsWhatItsAccessTokenMay(t *testing.T) {
	t.Parallel()
	f := start(t)
	if err := f.PublishChart(repository, "15.1.0", archive(t, "15.1.0", "")); err != nil {
		t.Fatal(err)
	}
	const tags = "/v2/" + repository + "/tags/list"
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		text, scope := f.bearerFor(t, method, token, "repository:charts/dpe:pull,push repository:other:pull", "registry:catalog:*")
		if scope != "repository:charts/dpe:pull" {
			t.Errorf("%s: granted %q", method, scope)
		}
		if res, doc := f.do(t, http.MethodGet, tags, bearer(text), ""); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s, %s", method, res.Status, doc)
		}
		// It never may: denied. It may, but the token is not for it: another token is asked for.
		res, doc := f.do(t, http.MethodPost, "/v2/"+repository+"/blobs/uploads/", bearer(text), "")
		if res.StatusCode != http.StatusForbidden || doc != "DENIED: requested access to the resource is denied" {
			t.Errorf("push: %s, %s", res.Status, doc)
		}
		res, _ = f.do(t, http.MethodGet, "/v2/images/dpe/tags/list", bearer(text), "")
		want := `Bearer realm="https://` + f.host + `/token",service="registry.test",scope="repository:images/dpe:pull",error="insufficient_scope"`
		if got := res.Header.Get("WWW-Authenticate"); res.StatusCode != http.StatusUnauthorized || got != want {
			t.Errorf("another repository: %s, %s, want %s", res.Status, got, want)
		}
	}
	// Basic authentication is honoured directly, within the same grants.
	if res, _ := f.do(t, http.MethodGet, tags, basic(token), ""); res.StatusCode != http.StatusOK {
		t.Errorf("basic: %s", res.Status)
	}
	if res, _ := f.do(t, http.MethodGet, "/v2/other/tags/list", basic(token), ""); res.StatusCode != http.StatusForbidden {
		t.Errorf("another's repository: %s", res.Status)
	}
}

func TestTokensEndAtTheirTime(t *testing.T) {
	t.Parallel()
	f := start(t)
	if err := f.PublishChart(repository, "15.1.0", archive(t, "15.1.0", "")); err != nil {
		t.Fatal(err)
	}
	const tags = "/v2/" + repository + "/tags/list"
	expiring := token
	expiring.Expires = f.clock.Now().Add(time.Hour)
	if err := f.PutToken(t.Context(), expiring); err != nil {
		t.Fatal(err)
	}
	text, _ := f.bearerFor(t, http.MethodGet, token, "repository:charts/dpe:pull")
	advance := func(d time.Duration) {
		if err := f.clock.Advance(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	advance(6 * time.Minute)
	res, doc := f.do(t, http.MethodGet, tags, bearer(text), "")
	if res.StatusCode != http.StatusUnauthorized || !strings.Contains(res.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("an old bearer token: %s, %s, %s", res.Status, res.Header.Get("WWW-Authenticate"), doc)
	}
	if res, _ := f.do(t, http.MethodGet, tags, basic(token), ""); res.StatusCode != http.StatusOK {
		t.Errorf("the access token ended before its time: %s", res.Status)
	}
	text, _ = f.bearerFor(t, http.MethodGet, token, "repository:charts/dpe:pull")
	advance(54*time.Minute + time.Second)
	for name, auth := range map[string]func(*http.Request){"basic": basic(token), "bearer": bearer(text)} {
		if res, _ := f.do(t, http.MethodGet, tags, auth, ""); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s after the end: %s", name, res.Status)
		}
	}
	want := "UNAUTHORIZED: authentication required: the access token expired at " + expiring.Expires.UTC().Format(time.RFC3339) + ": rotate it in the portal"
	for _, path := range []string{tags, "/token?service=registry.test"} {
		if res, doc := f.do(t, http.MethodGet, path, basic(token), ""); res.StatusCode != http.StatusUnauthorized || doc != want {
			t.Errorf("%s: %s, %q, want %q", path, res.Status, doc, want)
		}
	}
	// Who does not know the secret is not told.
	wrong := registry.Token{User: token.User, Secret: "wrong"}
	if _, doc := f.do(t, http.MethodGet, tags, basic(wrong), ""); strings.Contains(doc, "expired") {
		t.Errorf("a wrong secret is told %q", doc)
	}
	reasons := map[string]bool{}
	for _, e := range f.bus.Since(0) {
		if e.What == "login refused" {
			reasons[e.Detail["reason"]] = true
		}
	}
	if !reasons["expired token"] {
		t.Errorf("the timeline does not tell why: %v", reasons)
	}
}

func TestARotatedTokenIsRefusedAtOnceWithItsBearerTokens(t *testing.T) {
	t.Parallel()
	f := start(t)
	if err := f.PublishChart(repository, "15.1.0", archive(t, "15.1.0", "")); err != nil {
		t.Fatal(err)
	}
	const tags = "/v2/" + repository + "/tags/list"
	text, _ := f.bearerFor(t, http.MethodGet, token, "repository:charts/dpe:pull")
	if err := f.PutToken(t.Context(), token); err != nil { // the reconciler puts it again at each change
		t.Fatal(err)
	}
	if res, _ := f.do(t, http.MethodGet, tags, bearer(text), ""); res.StatusCode != http.StatusOK {
		t.Errorf("put again, the same secret ended its bearer token: %s", res.Status)
	}
	rotated := token
	rotated.Secret = "another"
	if err := f.PutToken(t.Context(), rotated); err != nil {
		t.Fatal(err)
	}
	for name, auth := range map[string]func(*http.Request){"basic": basic(token), "bearer": bearer(text)} {
		if res, _ := f.do(t, http.MethodGet, tags, auth, ""); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s with the old token: %s", name, res.Status)
		}
	}
	if res, _ := f.do(t, http.MethodGet, tags, basic(rotated), ""); res.StatusCode != http.StatusOK {
		t.Errorf("the new token: %s", res.Status)
	}
}

func TestTheTokenEndpointRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	f := start(t)
	form := func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }
	for _, x := range []struct {
		method, path, body string
		auth               func(*http.Request)
		status             int
	}{
		{http.MethodGet, "/token", "", nil, http.StatusUnauthorized},
		{http.MethodGet, "/token?scope=pull", "", basic(token), http.StatusBadRequest},
		{http.MethodPost, "/token", "grant_type=refresh_token&refresh_token=x", form, http.StatusBadRequest},
		{http.MethodPost, "/token", "grant_type=password&username=finance&password=wrong", form, http.StatusUnauthorized},
		{http.MethodPut, "/token", "", basic(token), http.StatusMethodNotAllowed},
		{http.MethodGet, "/v2/", "", bearer("eyJhbGciOiJub25lIn0.eyJzdWIiOiJmaW5hbmNlIn0."), http.StatusUnauthorized}, // alg none
	} {
		if res, doc := f.do(t, x.method, x.path, x.auth, x.body); res.StatusCode != x.status {
			t.Errorf("%s %s: %s %s, want %d", x.method, x.path, res.Status, doc, x.status)
		}
	}
}
