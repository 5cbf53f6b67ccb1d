package portal_test

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
)

// signInAs signs in with a password and gives the session, or "" if that is refused.
func (s *sut) signInAs(t *testing.T, user, password string) string {
	t.Helper()
	got := s.post(t, "/sign-in", url.Values{"user": {user}, "password": {password}})
	if got.code != http.StatusSeeOther {
		return ""
	}
	return cookieOf(t, got)
}

// signedIn tells whether a session is good.
func (s *sut) signedIn(t *testing.T, session string) bool {
	t.Helper()
	return s.send(t, http.MethodGet, "/api/v1/me", "", session).code == http.StatusOK
}

// TestOwnPasswordIsChangedWithTheOldOne: the other sessions end, and the one that asks is another one from then on.
func TestOwnPasswordIsChangedWithTheOldOne(t *testing.T) {
	t.Parallel()
	s := start(t)
	here, there := s.signInAs(t, "mia", store.DemoPassword), s.signInAs(t, "mia", store.DemoPassword)
	token := must(s.as("mia").AddToken(t.Context(), api.TokenSpec{Name: "CI", Scopes: api.Scopes()}))(t)
	form := func(current, next, again string) url.Values {
		return url.Values{"current": {current}, "new": {next}, "again": {again}}
	}
	for words, f := range map[string]url.Values{
		"the current password is another one: nothing was changed": form("wrong", "battery staple", "battery staple"),
		"the new password was typed in two ways":                   form(store.DemoPassword, "battery staple", "battery stable"),
		"the password has 5 bytes":                                 form(store.DemoPassword, "short", "short"),
	} {
		got := s.form(t, here, "/account/password", f)
		if got.code != http.StatusBadRequest || !strings.Contains(html.UnescapeString(got.body), words) || strings.Contains(got.body, "battery") {
			t.Errorf("%s: %d %s", words, got.code, got.body)
		}
		checkPage(t, got.body)
	}
	if !s.signedIn(t, here) || !s.signedIn(t, there) {
		t.Fatal("a refusal ended a session")
	}
	got := s.form(t, here, "/account/password", form(store.DemoPassword, "battery staple", "battery staple"))
	if got.code != http.StatusSeeOther {
		t.Fatalf("change: %d %s", got.code, got.body)
	}
	next := cookieOf(t, got)
	if next == here || !s.signedIn(t, next) || s.signedIn(t, here) || s.signedIn(t, there) {
		t.Errorf("sessions: the new one %v, its cookie's old value %v, another browser's %v", s.signedIn(t, next), s.signedIn(t, here), s.signedIn(t, there))
	}
	page := s.see(t, next, got.header.Get("Location"))
	if !strings.Contains(page, "Your password was changed.") {
		t.Errorf("the page afterwards: %s", page)
	}
	checkPage(t, page)
	if s.signInAs(t, "mia", store.DemoPassword) != "" || s.signInAs(t, "mia", "battery staple") == "" {
		t.Error("the old password is good, or the new one is not")
	}
	if !s.signedIn(t, "Authorization: Bearer "+token.Secret.Reveal()) {
		t.Error("the API token has ended")
	}
	told := must(s.as("ada").Audit(t.Context(), api.AuditFilter{}))(t)
	changes := 0
	for _, x := range told {
		if x.Action == "password changed" && x.User == "mia" && x.Via == "session" && len(x.Detail) == 0 {
			changes++
		}
	}
	if changes != 1 {
		t.Errorf("the audit log has %d changes: %+v", changes, told)
	}
	if log := s.log.String(); strings.Contains(log, "battery") || strings.Contains(log, store.DemoPassword) {
		t.Error("a password is in the log")
	}
}

func TestPasswordByTheAPI(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	session := s.session(t, "mia")
	err := s.as("mia").ChangePassword(ctx, "wrong", "battery staple")
	wantError(t, err, sim.Invalid, "the current password is another one")
	if err := s.as("mia").ChangePassword(ctx, store.DemoPassword, "battery staple"); err != nil {
		t.Fatal(err)
	}
	if s.signedIn(t, session) || s.signInAs(t, "mia", "battery staple") == "" {
		t.Error("a session of before is good, or the new password is not")
	}
	read := must(s.as("mia").AddToken(ctx, api.TokenSpec{Name: "reads", Scopes: []api.Scope{api.ScopeRead}}))(t)
	byToken := *s.Client
	byToken.Token = read.Secret
	wantError(t, byToken.ChangePassword(ctx, "battery staple", "correct horse"), sim.Forbidden, `no scope "write"`)
}

// TestPasswordIsResetByAnAdmin of the same organisation, and nobody resets the trainer's.
func TestPasswordIsResetByAnAdmin(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	mia := s.session(t, "mia")
	wantError(t, s.as("otto").ResetPassword(ctx, "mia", "battery staple"), sim.Forbidden, "organisation admins")
	wantError(t, s.as("gwen").ResetPassword(ctx, "mia", "battery staple"), sim.NotFound, `no user "mia"`)
	wantError(t, s.as("ada").ResetPassword(ctx, "gwen", "battery staple"), sim.NotFound, `no user "gwen"`)
	wantError(t, s.as("ada").ResetPassword(ctx, "tess", "battery staple"), sim.Conflict, "trainer's alone")
	wantError(t, s.as("ada").ResetPassword(ctx, "ada", "battery staple"), sim.Conflict, "your own password", "with the current one")
	wantError(t, s.as("ada").ResetPassword(ctx, "mia", "short"), sim.Invalid, "5 bytes")
	if !s.signedIn(t, mia) {
		t.Fatal("a refusal ended a session")
	}
	ada := s.session(t, "ada")
	page := s.see(t, ada, "/account")
	if !strings.Contains(page, `action="/account/users/mia/password"`) || strings.Contains(page, "/account/users/ada/password") || strings.Contains(page, "/account/users/tess/password") {
		t.Errorf("the users: %s", page)
	}
	checkPage(t, page)
	got := s.form(t, ada, "/account/users/mia/password", url.Values{"new": {"battery staple"}})
	if got.code != http.StatusSeeOther || !strings.Contains(s.see(t, ada, got.header.Get("Location")), "The password was reset.") {
		t.Errorf("reset: %d %s", got.code, got.body)
	}
	if s.signedIn(t, mia) || !s.signedIn(t, ada) || s.signInAs(t, "mia", "battery staple") == "" {
		t.Error("mia's session is good, ada's has ended, or the new password is not good")
	}
	for _, x := range must(s.as("ada").Audit(ctx, api.AuditFilter{Limit: 3}))(t) {
		if x.Action == "password reset" && x.User == "ada" && x.Detail["user"] == "mia" {
			return
		}
	}
	t.Error("the audit log does not tell of it")
}
