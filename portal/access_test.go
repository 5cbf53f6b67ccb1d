package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// as gives the portal's client of a user.
func (s *sut) as(user string) *api.Client {
	c := *s.Client
	c.As = user
	return &c
}

// session signs a demo user in as a browser does and gives the header that carries the session.
func (s *sut) session(tb testing.TB, user string) string {
	tb.Helper()
	got := s.post(tb, "/sign-in", url.Values{"pick": {user}})
	if got.code != http.StatusSeeOther {
		tb.Fatalf("sign-in of %s: %d %s", user, got.code, got.body)
	}
	return cookieOf(tb, got)
}

func cookieOf(tb testing.TB, a answer) string {
	tb.Helper()
	c := must(http.ParseSetCookie(a.header.Get("Set-Cookie")))(tb)
	if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
		tb.Errorf("the session's cookie is %v", c)
	}
	return "Cookie: " + c.Name + "=" + c.Value
}

// owned is a portal with an environment of otto's, with a DPE, and what each user is answered.
func owned(t *testing.T) (*sut, api.Environment, api.DPE) {
	t.Helper()
	s, ctx := start(t), t.Context()
	e := must(s.as("otto").CreateEnvironment(ctx, api.EnvironmentSpec{Name: "Prod", Release: "15.1.0"}))(t)
	s.reconcile(t)
	d := must(s.as("otto").AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance"}))(t)
	return s, e, d
}

// TestOnlyAdminAndOwnerMayActAndSeeSecrets: "If you are the environment owner or organization admin with access to
// Ataccama PaaS+, you can add multiple DPEs." (seed, "Add a self-managed DPE to an existing environment")
func TestOnlyAdminAndOwnerMayActAndSeeSecrets(t *testing.T) {
	t.Parallel()
	s, _, _ := owned(t)
	must(s.AddUser(t.Context(), api.UserSpec{ID: "olga", Name: "Olga", Role: api.RoleOwner, Password: "long enough"}))(t)
	sessions := map[string]string{"nobody": "Cookie: none=none", "olga": "Authorization: Bearer " + operator.Reveal()}
	for _, u := range []string{"ada", "otto", "mia", "gwen"} {
		sessions[u] = s.session(t, u)
	}
	const (
		env  = "/api/v1/environments/prod"
		dpe  = env + "/dpes/finance"
		page = "/environments/prod"
	)
	type who struct{ ada, otto, olga, mia, gwen, nobody int }
	for _, c := range []struct {
		method, path string
		want         who
	}{
		{"GET", "/api/v1/me", who{200, 200, 200, 200, 200, 401}},
		{"GET", env, who{200, 200, 200, 200, 404, 401}},
		{"GET", env + "/dpes", who{200, 200, 200, 200, 404, 401}},
		{"GET", dpe, who{200, 200, 200, 200, 404, 401}},
		{"GET", dpe + "/commands", who{200, 200, 200, 200, 404, 401}},
		{"GET", dpe + "/values", who{200, 200, 403, 403, 404, 401}},
		{"GET", dpe + "/registry-token", who{200, 200, 403, 403, 404, 401}},
		{"POST", dpe + "/registry-token", who{200, 200, 403, 403, 404, 401}},
		{"GET", env + "/object-storage", who{200, 200, 403, 403, 404, 401}},
		{"POST", dpe + "/runs", who{400, 400, 403, 403, 404, 401}},
		{"GET", dpe + "/runs", who{200, 200, 403, 403, 404, 401}},
		{"GET", dpe + "/runs/none", who{404, 404, 403, 403, 404, 401}},
		{"GET", dpe + "/runs/none/output", who{404, 404, 403, 403, 404, 401}},
		{"POST", dpe + "/runs/none/cancel", who{404, 404, 403, 403, 404, 401}},
		{"POST", page + "/dpes/finance/runs", who{400, 400, 403, 403, 404, 303}},
		{"GET", page + "/dpes/finance/runs/none/lines", who{404, 404, 403, 403, 404, 303}},
		{"POST", page + "/dpes/finance/runs/none/cancel", who{404, 404, 403, 403, 404, 303}},
		{"POST", env + "/dpes", who{400, 400, 403, 403, 404, 401}}, // 400: may, but the body is empty
		{"PATCH", dpe, who{400, 400, 403, 403, 404, 401}},
		{"POST", env + "/upgrade", who{400, 400, 403, 403, 404, 401}},
		{"PUT", env + "/owner", who{400, 403, 403, 403, 404, 401}},
		{"POST", page + "/owner", who{400, 403, 403, 403, 404, 303}},
		{"PUT", "/api/v1/me/password", who{400, 400, 400, 400, 400, 401}},
		{"PUT", "/api/v1/users/nora/password", who{400, 403, 403, 403, 400, 401}},
		{"POST", "/account/password", who{400, 400, 400, 400, 400, 303}},
		{"POST", "/account/users/nora/password", who{400, 403, 403, 403, 400, 303}},
		{"POST", env + "/dpm/restart", who{403, 403, 403, 403, 404, 401}},
		{"GET", env + "/health", who{200, 200, 200, 200, 404, 401}},
		{"GET", env + "/allowlist", who{200, 200, 200, 200, 404, 401}},
		{"PUT", env + "/allowlist", who{400, 400, 403, 403, 404, 401}},
		{"GET", page + "/allowlist", who{200, 200, 200, 200, 404, 303}},
		{"POST", env + "/jobs", who{400, 400, 403, 403, 404, 401}},
		{"POST", "/api/v1/environments", who{400, 400, 400, 403, 400, 401}},
		{"GET", "/api/v1/users", who{200, 403, 403, 403, 200, 401}},
		{"GET", "/api/v1/audit", who{200, 403, 403, 403, 200, 401}},
		{"GET", "/api/v1/residue", who{403, 403, 403, 403, 403, 401}},
		{"GET", "/api/v1/why?subject=dpe/finance", who{403, 403, 403, 403, 403, 401}},
		{"GET", "/room", who{403, 403, 403, 403, 403, 303}},
		{"POST", "/room/clock", who{403, 403, 403, 403, 403, 303}},
		{"GET", "/room/timeline", who{403, 403, 403, 403, 403, 303}},
		{"GET", env + "/buckets", who{200, 200, 403, 403, 404, 401}},
		{"GET", env + "/buckets/none/objects", who{404, 404, 403, 403, 404, 401}},
		{"GET", page + "/storage", who{200, 200, 403, 403, 404, 303}},
		{"GET", page + "/storage/none", who{404, 404, 403, 403, 404, 303}},
		{"GET", page + "/storage/none/object?key=a", who{404, 404, 403, 403, 404, 303}},
		{"GET", page + "/overview", who{200, 200, 200, 200, 404, 303}},
		{"GET", page + "/dpm", who{200, 200, 200, 200, 404, 303}},
		{"GET", page + "/jobs", who{200, 200, 200, 200, 404, 303}},
		{"POST", page + "/jobs", who{400, 400, 403, 403, 404, 303}},
		{"GET", "/audit", who{200, 403, 403, 403, 200, 303}},
		{"GET", "/account", who{200, 200, 200, 200, 200, 303}},
		{"POST", "/account/users", who{400, 403, 403, 403, 400, 303}},
		{"POST", "/account/users/nora/remove", who{404, 403, 403, 403, 404, 303}},
		{"POST", "/account/tokens", who{400, 400, 400, 400, 400, 303}},
		{"POST", "/account/tokens/none/remove", who{404, 404, 404, 404, 404, 303}},
		{"GET", "/environments", who{200, 200, 200, 200, 200, 303}},
		{"GET", "/environments/new", who{200, 200, 200, 403, 200, 303}},
		{"GET", page + "/settings", who{200, 200, 200, 200, 404, 303}},
		{"GET", page + "/dpes/new", who{200, 200, 403, 403, 404, 303}},
		{"GET", page + "/dpes/finance/edit", who{200, 200, 403, 403, 404, 303}},
		{"GET", page + "/dpes/finance/remove", who{200, 200, 403, 403, 404, 303}},
		{"GET", page + "/dpes/finance/installation", who{200, 200, 200, 200, 404, 303}},
		{"GET", page + "/delete", who{200, 200, 403, 403, 404, 303}},
		{"DELETE", dpe, who{0, 0, 403, 403, 404, 401}}, // not asked of those who may: it would be gone
		{"DELETE", env, who{0, 0, 403, 403, 404, 401}},
	} {
		for user, want := range map[string]int{"ada": c.want.ada, "otto": c.want.otto, "olga": c.want.olga, "mia": c.want.mia, "gwen": c.want.gwen, "nobody": c.want.nobody} {
			if want == 0 {
				continue
			}
			headers := []string{sessions[user], "Content-Type: application/json", "Accept: text/html"}
			if user == "olga" {
				headers = append(headers, "Dpesim-As: olga")
			}
			got := s.send(t, c.method, c.path, "", headers...)
			if got.code != want {
				t.Errorf("%s %s by %s: %d, want %d: %.200s", c.method, c.path, user, got.code, want, got.body)
			}
			if got.code == http.StatusUnauthorized && got.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s: the answer does not say how to sign in", c.method, c.path)
			}
		}
	}
}

func TestAnOrganisationSeesNothingOfAnother(t *testing.T) {
	t.Parallel()
	s, e, _ := owned(t)
	ctx, gwen := t.Context(), s.as("gwen")
	if got := must(gwen.Environments(ctx))(t); len(got) != 0 {
		t.Errorf("gwen sees %v", got)
	}
	_, foreign := gwen.Environment(ctx, e.ID)
	_, none := gwen.Environment(ctx, "no-such")
	a, _ := sim.Explain(foreign)
	b, _ := sim.Explain(none)
	if strings.Replace(a, "prod", "X", 1) != strings.Replace(b, "no-such", "X", 1) {
		t.Errorf("a foreign environment is told as %q, one that is not there as %q", a, b)
	}
	_, err := gwen.CreateEnvironment(ctx, api.EnvironmentSpec{Name: "prod"})
	wantError(t, err, sim.Conflict, "is taken")
	if strings.Contains(err.Error(), "Prod\"") {
		t.Errorf("the refusal names the other's environment: %v", err)
	}
	if got := must(gwen.Events(ctx, api.EventFilter{}))(t); len(got) != 0 {
		t.Errorf("gwen reads the events %v", whats(got))
	}
	if got := must(s.as("mia").Events(ctx, api.EventFilter{}))(t); len(got) == 0 {
		t.Error("mia reads no events of her organisation")
	}
	for _, x := range must(gwen.Audit(ctx, api.AuditFilter{}))(t) {
		t.Errorf("gwen reads the audit entry %+v", x)
	}
	if got := must(gwen.Users(ctx))(t); len(got) != 1 || got[0].ID != "gwen" {
		t.Errorf("gwen sees the users %+v", got)
	}
	if o := must(gwen.Organisation(ctx))(t); o.ID != "globex" || len(o.Usage) != 0 {
		t.Errorf("gwen's organisation is %+v", o)
	}
	_, err = gwen.CreateEnvironment(ctx, api.EnvironmentSpec{Name: "Mine", Organisation: "acme"})
	wantError(t, err, sim.NotFound, "acme")
}

func TestAuditTellsWhoWhenWhatAndFromWhere(t *testing.T) {
	t.Parallel()
	s, e, d := owned(t)
	ctx := t.Context()
	values := string(must(s.as("ada").Values(ctx, e.ID, d.Label, ""))(t))
	must(s.as("otto").EditDPE(ctx, e.ID, d.Label, api.DPEEdit{Replicas: new(2)}, 0))(t)
	_, err := s.as("mia").Values(ctx, e.ID, d.Label, "")
	wantError(t, err, sim.Forbidden, "Mia Member", "owner")
	all := must(s.as("ada").Audit(ctx, api.AuditFilter{}))(t)
	var got [][2]string
	for _, x := range all {
		got = append(got, [2]string{x.User, x.Action})
		if x.Via != "command line" || !strings.HasPrefix(x.Source, "127.0.0.1:") || x.Request == "" || !x.Time.Equal(epoch) || x.Environment != e.ID {
			t.Errorf("the entry is %+v", x)
		}
		for _, v := range x.Detail {
			if len(v) > 12 && strings.Contains(values, "secretKey: "+v) {
				t.Errorf("entry %d holds a secret", x.Seq)
			}
		}
	}
	want := [][2]string{{"otto", "dpe edited"}, {"ada", "values read"}, {"otto", "dpe added"}, {"otto", "environment created"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if all[0].Detail["replicas"] != "2" {
		t.Errorf("the edit is told as %v", all[0].Detail)
	}
	if rest := must(s.as("ada").Audit(ctx, api.AuditFilter{Before: all[1].Seq, Limit: 1}))(t); len(rest) != 1 || rest[0].Seq != all[2].Seq {
		t.Errorf("the next page is %+v", rest)
	}
}

func TestSessionIsNewAtEachSignInAndEnds(t *testing.T) {
	t.Parallel()
	s := start(t)
	first := s.session(t, "ada")
	name, _, _ := strings.Cut(strings.TrimPrefix(first, "Cookie: "), "=")
	planted := "Cookie: " + name + "=planted"
	if got := s.send(t, http.MethodGet, "/api/v1/me", "", planted); got.code != http.StatusUnauthorized {
		t.Errorf("a planted cookie is answered with %d", got.code)
	}
	form := []string{planted, "Content-Type: application/x-www-form-urlencoded", "Accept: text/html", "Origin: " + s.URL(), "Sec-Fetch-Site: same-origin"}
	second := cookieOf(t, s.send(t, http.MethodPost, "/sign-in", "pick=mia", form...))
	if strings.HasSuffix(second, "=planted") {
		t.Error("a planted cookie became a session")
	}
	if got := s.send(t, http.MethodGet, "/api/v1/me", "", planted); got.code != http.StatusUnauthorized {
		t.Errorf("a planted cookie is answered with %d after a sign-in", got.code)
	}
	form[0] = first
	third := cookieOf(t, s.send(t, http.MethodPost, "/sign-in", "pick=ada", form...))
	if got := s.send(t, http.MethodGet, "/api/v1/me", "", first); got.code != http.StatusUnauthorized {
		t.Errorf("the session before is answered with %d after signing in again", got.code)
	}
	if got := s.send(t, http.MethodGet, "/api/v1/me", "", third); got.code != http.StatusOK || !strings.Contains(got.body, `"via":"session"`) {
		t.Errorf("%d %s", got.code, got.body)
	}
	if err := s.clock.Advance(t.Context(), 400*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := s.send(t, http.MethodGet, "/api/v1/me", "", third); got.code != http.StatusOK {
		t.Errorf("moving the simulator's clock ended the session: %d", got.code)
	}
	form[0] = third
	if got := s.send(t, http.MethodPost, "/sign-out", "", form...); got.code != http.StatusSeeOther {
		t.Errorf("sign-out: %d", got.code)
	}
	if got := s.send(t, http.MethodGet, "/api/v1/me", "", third); got.code != http.StatusUnauthorized {
		t.Errorf("after the sign-out: %d", got.code)
	}
}

func TestSignInGoesOnlyToOwnPages(t *testing.T) {
	t.Parallel()
	s := start(t)
	got := s.send(t, http.MethodGet, "/environments/prod/settings?x=1", "", "Cookie: a=b", "Accept: text/html")
	if got.code != http.StatusSeeOther || got.header.Get("Location") != "/sign-in?next=%2Fenvironments%2Fprod%2Fsettings%3Fx%3D1" {
		t.Errorf("%d %v", got.code, got.header)
	}
	for next, want := range map[string]string{
		"/environments/prod/settings?x=1": "/environments/prod/settings?x=1", "": "/environments", "https://evil.example/": "/environments",
		"//evil.example": "/environments", `/\evil.example`: "/environments", "/\t/evil.example": "/environments", "javascript:alert(1)": "/environments",
	} {
		got := s.post(t, "/sign-in", url.Values{"pick": {"mia"}, "next": {next}})
		if got.code != http.StatusSeeOther || got.header.Get("Location") != want {
			t.Errorf("next %q leads to %q", next, got.header.Get("Location"))
		}
	}
}

func TestPasswordsAreReal(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx := t.Context()
	must(s.as("ada").AddUser(ctx, api.UserSpec{ID: "nina", Name: "Nina <b>", Password: "correct horse"}))(t)
	for name, c := range map[string]struct {
		form url.Values
		code int
	}{
		"right":             {url.Values{"user": {"nina"}, "password": {"correct horse"}}, 303},
		"wrong":             {url.Values{"user": {"nina"}, "password": {"battery staple"}}, 401},
		"unknown":           {url.Values{"user": {"nobody"}, "password": {"correct horse"}}, 401},
		"demo's":            {url.Values{"user": {"ada"}, "password": {"rehearsal"}}, 303},
		"unknown, demo's":   {url.Values{"user": {"nobody"}, "password": {"rehearsal"}}, 401},
		"picked, no demo":   {url.Values{"pick": {"nina"}}, 401},
		"picked, not there": {url.Values{"pick": {"nobody"}}, 404},
		"nothing":           {url.Values{}, 401},
	} {
		got := s.post(t, "/sign-in", c.form)
		if got.code != c.code {
			t.Errorf("%s: %d, want %d", name, got.code, c.code)
		}
		if got.code != 303 {
			checkPage(t, got.body)
		}
		if name == "wrong" || name == "unknown" {
			if !strings.Contains(got.body, "user and password do not fit") {
				t.Errorf("%s is told as %s", name, got.body)
			}
		}
	}
	for _, c := range []struct {
		spec  api.UserSpec
		kind  sim.Kind
		words string
	}{
		{api.UserSpec{ID: "ada", Name: "A", Password: "long enough"}, sim.Conflict, "taken"},
		{api.UserSpec{ID: "gwen", Name: "A", Password: "long enough"}, sim.Conflict, "taken"},
		{api.UserSpec{ID: "B!", Name: "A", Password: "long enough"}, sim.Invalid, "user id"},
		{api.UserSpec{ID: "bob", Name: "", Password: "long enough"}, sim.Invalid, "name is missing"},
		{api.UserSpec{ID: "bob", Name: "A", Password: "short"}, sim.Invalid, "5 bytes"},
		{api.UserSpec{ID: "bob", Name: "A", Password: sim.Secret(strings.Repeat("x", 73))}, sim.Invalid, "8 to 72"},
		{api.UserSpec{ID: "bob", Name: "A", Password: "long enough", Role: "king"}, sim.Invalid, "admin owner member"},
	} {
		_, err := s.as("ada").AddUser(ctx, c.spec)
		wantError(t, err, c.kind, c.words)
	}
	if err := s.as("ada").RemoveUser(ctx, "nina"); err != nil {
		t.Error(err)
	}
	if got := s.post(t, "/sign-in", url.Values{"user": {"nina"}, "password": {"correct horse"}}); got.code != 401 {
		t.Errorf("a removed user signs in: %d", got.code)
	}
	wantError(t, s.as("ada").RemoveUser(ctx, "ada"), sim.Conflict, "yourself")
	wantError(t, s.as("ada").RemoveUser(ctx, "tess"), sim.Conflict, "trainer")
	wantError(t, s.as("ada").RemoveUser(ctx, "gwen"), sim.NotFound, "gwen")
	must(s.as("otto").CreateEnvironment(ctx, api.EnvironmentSpec{Name: "Own"}))(t)
	wantError(t, s.as("ada").RemoveUser(ctx, "otto"), sim.Conflict, "user's own")
}

func TestAPITokensAllowTheirScopesUntilTheyExpire(t *testing.T) {
	t.Parallel()
	s, e, d := owned(t)
	ctx := t.Context()
	made := must(s.as("otto").AddToken(ctx, api.TokenSpec{Name: "CI", Scopes: []api.Scope{api.ScopeRead}}))(t)
	c := *s.Client
	c.Token = made.Secret
	me := must(c.Me(ctx))(t)
	if me.ID != "otto" || me.Via != "token CI" || len(me.Scopes) != 1 {
		t.Errorf("the token speaks for %+v", me)
	}
	must(c.Environment(ctx, e.ID))(t)
	_, err := c.Values(ctx, e.ID, d.Label, "")
	wantError(t, err, sim.Forbidden, "secrets")
	_, err = c.EditDPE(ctx, e.ID, d.Label, api.DPEEdit{Replicas: new(2)}, 0)
	wantError(t, err, sim.Forbidden, "write")
	_, err = c.AddToken(ctx, api.TokenSpec{Name: "more", Scopes: api.Scopes()})
	wantError(t, err, sim.Forbidden)
	write := *s.Client
	write.Token = must(s.as("otto").AddToken(ctx, api.TokenSpec{Name: "writer", Scopes: []api.Scope{api.ScopeWrite, api.ScopeRead}}))(t).Secret
	_, err = write.AddToken(ctx, api.TokenSpec{Name: "more", Scopes: api.Scopes()})
	wantError(t, err, sim.Forbidden, `no scope "secrets" to give`)
	_, err = write.RotateRegistryToken(ctx, e.ID, d.Label)
	wantError(t, err, sim.Forbidden, "secrets")
	must(write.EditDPE(ctx, e.ID, d.Label, api.DPEEdit{Replicas: new(2)}, 0))(t)
	c.As = "ada"
	_, err = c.Me(ctx)
	wantError(t, err, sim.Forbidden, "own user")
	c.As = ""

	list := must(s.as("otto").Tokens(ctx))(t)
	if len(list) != 2 || list[0].Name != "CI" && list[1].Name != "CI" {
		t.Errorf("tokens are %+v", list)
	}
	wantError(t, s.as("ada").RemoveToken(ctx, made.ID), sim.NotFound, "of yours")
	if err := s.clock.Advance(ctx, 91*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	_, err = c.Me(ctx)
	wantError(t, err, sim.Unauthenticated, "expired")
	if err := s.as("otto").RemoveToken(ctx, made.ID); err != nil {
		t.Error(err)
	}
	_, err = c.Me(ctx)
	wantError(t, err, sim.Unauthenticated, "no such")
	for _, header := range []string{"Basic YTpi", "Bearer", "Bearer ", "bearer operator-of-the-tes", "Bearer operator-of-the-test-"} {
		if got := s.send(t, http.MethodGet, "/api/v1/me", "", "Authorization: "+header); got.code != http.StatusUnauthorized {
			t.Errorf("%q is answered with %d", header, got.code)
		}
	}
	_, err = s.as("nobody").Me(ctx)
	wantError(t, err, sim.NotFound, "nobody")
	for _, spec := range []api.TokenSpec{
		{Name: "", Scopes: api.Scopes()}, {Name: "a"}, {Name: "a", Scopes: []api.Scope{"all"}}, {Name: "a", Scopes: api.Scopes(), Expires: epoch},
	} {
		_, err := s.as("otto").AddToken(ctx, spec)
		wantError(t, err, sim.Invalid)
	}
}

// TestSelfManagedFromProfessionalUp: "They are only available in the Professional tier of Ataccama PaaS+ offering and
// above." (seed, introduction)
func TestSelfManagedFromProfessionalUp(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	for _, o := range api.Offerings() {
		e := s.environment(t, api.EnvironmentSpec{Name: string(o), Offering: o})
		_, err := s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance"})
		if o == api.OfferingStandard {
			wantError(t, err, sim.Forbidden, "Professional tier and above")
		} else if err != nil {
			t.Errorf("%s: %v", o, err)
		}
	}
	_, err := s.CreateEnvironment(ctx, api.EnvironmentSpec{Name: "a", Offering: "free"})
	wantError(t, err, sim.Invalid, "standard professional enterprise universal")
}

func TestContractOfAnEnvironmentLimitsIt(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Small", EnginesAllowed: 1, ReplicasAllowed: 2})
	if e.Contract != (api.EnvironmentContract{Engines: 1, Replicas: 2}) || e.Owner != "tess" || e.Organisation != "acme" {
		t.Errorf("created %+v", e)
	}
	_, err := s.AddDPE(ctx, e.ID, api.DPESpec{Name: "A", Replicas: 3})
	wantError(t, err, sim.Exhausted, "2")
	must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "A", Replicas: 2}))(t)
	_, err = s.AddDPE(ctx, e.ID, api.DPESpec{Name: "B"})
	wantError(t, err, sim.Exhausted, "1")
	_, err = s.CreateEnvironment(ctx, api.EnvironmentSpec{Name: "a", ReplicasAllowed: -1})
	wantError(t, err, sim.Invalid, "positive")
}
