package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
)

// TestAFormThatWasDoneLeadsToAnotherPage: to load the page again, after whatever form, does nothing again.
func TestAFormThatWasDoneLeadsToAnotherPage(t *testing.T) {
	t.Parallel()
	s, _, _ := owned(t)
	ctx, ada := t.Context(), s.session(t, "ada")
	must(s.as("ada").AddUser(ctx, api.UserSpec{ID: "nina", Name: "Nina", Password: "long enough"}))(t)
	token := must(s.as("ada").AddToken(ctx, api.TokenSpec{Name: "CI", Scopes: api.Scopes()}))(t)
	const env = "/environments/prod"
	for _, c := range []struct{ path, form string }{
		{"/environments", "name=Other&release=15.3.0&tier=S"},
		{env + "/dpes", "name=HR&replicas=1"},
		{env + "/dpes/finance/edit", "replicas=2&revision=1"},
		{env + "/managed", "replicas=1"},
		{env + "/allowlist", "ranges=203.0.113.0/24&version=1"},
		{env + "/jobs", "bucket=b&key=k"},
		{env + "/owner", "owner=ada"},
		{env + "/upgrade", "release=15.3.0"},
		{"/account/tokens", "name=New&scope=read&days=7"},
		{"/account/tokens/" + token.ID + "/remove", ""},
		{"/account/users", "id=bob&name=Bob&role=member&password=long+enough"},
		{"/account/users/bob/password", "new=longer+enough"},
		{"/account/users/bob/remove", ""},
		{env + "/dpes/finance/remove", "confirm=finance"},
		{env + "/delete", "confirm=prod"},
		{"/account/password", "new=longer+enough&again=longer+enough&current=" + store.DemoPassword},
	} {
		got := s.form(t, ada, c.path, must(url.ParseQuery(c.form))(t))
		to := got.header.Get("Location")
		if got.code != http.StatusSeeOther || !strings.HasPrefix(to, "/") {
			t.Errorf("%s: %d %s", c.path, got.code, got.body)
			continue
		}
		if c.path == "/account/password" {
			ada = cookieOf(t, got)
		}
		if page := s.see(t, ada, to); !strings.Contains(page, "<h1>") {
			t.Errorf("%s leads to %s: %s", c.path, to, page)
		}
	}
	if n := len(must(s.as("ada").Tokens(ctx))(t)); n != 1 {
		t.Errorf("%d tokens", n)
	}
}
