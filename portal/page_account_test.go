package portal_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dpesim/dpesim/portal/api"
)

// form sends a form as a browser with a session does.
func (s *sut) form(tb testing.TB, session, path string, v url.Values) answer {
	tb.Helper()
	return s.send(tb, http.MethodPost, path, v.Encode(), session, "Content-Type: application/x-www-form-urlencoded", "Accept: text/html", "Origin: "+s.URL(), "Sec-Fetch-Site: same-origin")
}

func (s *sut) see(tb testing.TB, session, path string) string {
	tb.Helper()
	got := s.send(tb, http.MethodGet, path, "", session, "Accept: text/html")
	if got.code != http.StatusOK {
		tb.Fatalf("%s: %d %s", path, got.code, got.body)
	}
	return got.body
}

var tokenOnPage = regexp.MustCompile(`<code id="new-token">(dpesim_[A-Z0-9]+)</code>`)

func TestAPITokenIsShownOnceOnItsPage(t *testing.T) {
	t.Parallel()
	s := start(t)
	mia := s.session(t, "mia")
	sent := s.form(t, mia, "/account/tokens", url.Values{"name": {"CI <b>"}, "scope": {"read"}, "days": {"7"}})
	at := sent.header.Get("Location")
	if sent.code != http.StatusSeeOther || !strings.HasPrefix(at, "/account?") || strings.Contains(at, "dpesim_") {
		t.Fatalf("made: %d, on to %s", sent.code, at)
	}
	if other := s.see(t, s.session(t, "ada"), at); strings.Contains(other, "dpesim_") || strings.Contains(other, "was made") {
		t.Errorf("somebody else at the same address: %s", other)
	}
	got := s.send(t, http.MethodGet, at, "", mia, "Accept: text/html")
	found := tokenOnPage.FindStringSubmatch(got.body)
	if got.code != http.StatusOK || found == nil || got.header.Get("Cache-Control") != "no-store" || !strings.Contains(got.body, "shown this once") {
		t.Fatalf("%d %v %s", got.code, got.header, got.body)
	}
	checkPage(t, got.body)
	again := s.see(t, mia, at)
	if strings.Contains(again, "dpesim_") || !strings.Contains(again, "API token CI &lt;b&gt; was made. It was shown once, and is not shown again.") {
		t.Errorf("loaded again: %s", again)
	}
	checkPage(t, again)
	own := s.send(t, http.MethodGet, "/api/v1/me", "", "Authorization: Bearer "+found[1])
	if own.code != http.StatusOK || !strings.Contains(own.body, `"id":"mia"`) || !strings.Contains(own.body, `"scopes":["read"]`) {
		t.Errorf("with the token: %d %s", own.code, own.body)
	}
	list := must(s.as("mia").Tokens(t.Context()))(t)
	if len(list) != 1 || !list[0].Expires.Equal(epoch.Add(7*24*time.Hour)) {
		t.Fatalf("tokens: %+v", list)
	}
	page := s.see(t, mia, "/account")
	if strings.Contains(page, found[1]) || !strings.Contains(page, "CI &lt;b&gt;") || !strings.Contains(page, "2026-03-11 09:00:00 UTC") {
		t.Errorf("the page afterwards: %s", page)
	}
	if strings.Contains(page, "Users of the organisation") || strings.Contains(page, "/audit") {
		t.Error("a member's page has what is the admins'")
	}
	for name, form := range map[string]url.Values{
		"good for nothing": {"name": {"kept"}, "days": {"7"}},
		"cannot live":      {"name": {"kept"}, "scope": {"read"}, "days": {"9999999999"}},
		"no scope":         {"name": {"kept"}, "scope": {"king"}, "days": {"7"}},
	} {
		got := s.form(t, mia, "/account/tokens", form)
		if got.code != http.StatusBadRequest || !strings.Contains(html.UnescapeString(got.body), name) || !strings.Contains(got.body, `value="kept"`) {
			t.Errorf("%s: %d %s", name, got.code, got.body)
		}
		checkPage(t, got.body)
	}
	if got := s.form(t, mia, "/account/tokens/"+list[0].ID+"/remove", nil); got.code != http.StatusSeeOther {
		t.Errorf("revoke: %d %s", got.code, got.body)
	}
	if own = s.send(t, http.MethodGet, "/api/v1/me", "", "Authorization: Bearer "+found[1]); own.code != http.StatusUnauthorized {
		t.Errorf("with the revoked token: %d", own.code)
	}
}

func TestAdminAddsAndRemovesUsersOnThePage(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada := s.session(t, "ada")
	got := s.form(t, ada, "/account/users", url.Values{"id": {"nina"}, "name": {"Nina"}, "role": {"owner"}, "password": {"short"}})
	if got.code != http.StatusBadRequest || !strings.Contains(got.body, `value="nina"`) || strings.Contains(got.body, `value="short"`) {
		t.Errorf("a short password: %d %s", got.code, got.body)
	}
	checkPage(t, got.body)
	if got = s.form(t, ada, "/account/users", url.Values{"id": {"nina"}, "name": {"Nina"}, "role": {"owner"}, "password": {"correct horse"}}); got.code != http.StatusSeeOther {
		t.Fatalf("add: %d %s", got.code, got.body)
	}
	page := s.see(t, ada, "/account")
	if !strings.Contains(page, "Remove nina") || strings.Contains(page, "Remove ada") || strings.Contains(page, "gwen") {
		t.Errorf("the users: %s", page)
	}
	signIn := url.Values{"user": {"nina"}, "password": {"correct horse"}}
	if got = s.post(t, "/sign-in", signIn); got.code != http.StatusSeeOther {
		t.Errorf("nina's sign-in: %d", got.code)
	}
	if got = s.form(t, ada, "/account/users/ada/remove", nil); got.code != http.StatusConflict {
		t.Errorf("removing oneself: %d", got.code)
	}
	if got = s.form(t, ada, "/account/users/nina/remove", nil); got.code != http.StatusSeeOther {
		t.Errorf("remove: %d %s", got.code, got.body)
	}
	if got = s.post(t, "/sign-in", signIn); got.code != http.StatusUnauthorized {
		t.Errorf("nina's sign-in after her removal: %d", got.code)
	}
}

func TestAuditPageGoesBackByPages(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	for i := range 120 {
		must(s.SubmitJob(ctx, e.ID, api.JobSpec{Bucket: "b", Key: strconv.Itoa(i) + ".csv"}))(t)
	}
	ada := s.session(t, "ada")
	next := regexp.MustCompile(`<a class="button" href="([^"]+)">Older</a>`)
	seen, pages := 0, 0
	for path := "/audit?environment=prod"; path != ""; pages++ {
		body := s.see(t, ada, path)
		checkPage(t, body)
		seen += strings.Count(body, "<strong>job submitted</strong>")
		path = ""
		if m := next.FindStringSubmatch(body); m != nil {
			path = html.UnescapeString(m[1])
		}
	}
	if seen != 120 || pages != 2 {
		t.Errorf("%d entries on %d pages", seen, pages)
	}
	if body := s.see(t, ada, "/audit?environment=gone"); !strings.Contains(body, `value="gone" selected`) || strings.Contains(body, "job submitted") {
		t.Errorf("a filter for another environment: %s", body)
	}
}
