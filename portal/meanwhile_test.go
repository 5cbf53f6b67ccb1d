package portal_test

import (
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// TestWhoIsSecondIsToldOfTheFirst what was changed and by whom, by whatever both of them do to an environment.
func TestWhoIsSecondIsToldOfTheFirst(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]func(*testing.T, *api.Client, api.Environment) error{
		"upgrade": func(t *testing.T, c *api.Client, e api.Environment) error {
			t.Helper()
			_, err := c.UpgradeEnvironment(t.Context(), e.ID, "15.3.0", e.Revision)
			return err
		},
		"delete": func(t *testing.T, c *api.Client, e api.Environment) error {
			t.Helper()
			_, err := c.DeleteEnvironment(t.Context(), e.ID, e.Revision)
			return err
		},
		"owner": func(t *testing.T, c *api.Client, e api.Environment) error {
			t.Helper()
			_, err := c.SetOwner(t.Context(), e.ID, "ada", e.Revision)
			return err
		},
		"managed": func(t *testing.T, c *api.Client, e api.Environment) error {
			t.Helper()
			_, err := c.ScaleManaged(t.Context(), e.ID, 2, e.Revision)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, e, d := owned(t)
			ctx := t.Context()
			seen := must(s.as("ada").Environment(ctx, e.ID))(t)
			must(s.as("otto").Values(ctx, e.ID, d.Label, ""))(t) // a look is no change
			if again := must(s.Environment(ctx, e.ID))(t); again.Revision != seen.Revision {
				t.Fatal("a look changed the revision")
			}
			three := 3
			must(s.as("otto").EditDPE(ctx, e.ID, d.Label, api.DPEEdit{Replicas: &three}, 0))(t)
			must(s.as("otto").ScaleManaged(ctx, e.ID, 1, 0))(t)
			wantError(t, second(t, s.as("ada"), seen), sim.Conflict,
				"environment prod was changed meanwhile: Ataccama-managed DPEs scaled by Otto Owner at 2026-03-04 09:00:00 UTC (from 0, to 1), dpe edited (finance) by Otto Owner at 2026-03-04 09:00:00 UTC (drivers",
				"do it again if you still want to")
			now := must(s.Environment(ctx, e.ID))(t)
			if now.Release != "15.1.0" || now.Owner != "otto" || now.Usage.Managed != 1 || now.Phase != api.PhaseReady {
				t.Fatalf("it was done all the same: %+v", now)
			}
			if err := second(t, s.as("ada"), now); err != nil {
				t.Errorf("with what is there now: %v", err)
			}
		})
	}
}

// TestManyChangesAreToldInShort: three, and how many more.
func TestManyChangesAreToldInShort(t *testing.T) {
	t.Parallel()
	s, e, _ := owned(t)
	ctx := t.Context()
	seen := must(s.Environment(ctx, e.ID))(t)
	for n := range 6 {
		must(s.as("otto").ScaleManaged(ctx, e.ID, n, 0))(t) // 0 is what there is
	}
	_, err := s.as("ada").UpgradeEnvironment(ctx, e.ID, "15.3.0", seen.Revision)
	wantError(t, err, sim.Conflict, "(from 4, to 5)", "(from 2, to 3)", "and 2 more before that")
	_, err = s.as("ada").UpgradeEnvironment(ctx, e.ID, "15.3.0", seen.Revision+1000)
	wantError(t, err, sim.Conflict, "environment prod was changed meanwhile")
}

func TestEntityTagOfAnEnvironment(t *testing.T) {
	t.Parallel()
	s, e, _ := owned(t)
	const path = "/api/v1/environments/prod"
	got := s.send(t, http.MethodGet, path, "")
	tag := got.header.Get("ETag")
	if now := must(s.Environment(t.Context(), e.ID))(t); tag != now.ETag() || !strings.Contains(got.body, `"revision":`+strings.Trim(tag, `"`)) {
		t.Errorf("the tag is %s of %s", tag, got.body)
	}
	must(s.SetAllowlist(t.Context(), e.ID, api.AllowlistEdit{Entries: []api.AllowlistEntry{{CIDR: "203.0.113.0/24"}}}, 0))(t)
	for _, c := range [][3]string{
		{http.MethodDelete, path, ""},
		{http.MethodPost, path + "/upgrade", `{"release":"15.3.0"}`},
		{http.MethodPut, path + "/owner", `{"owner":"ada"}`},
		{http.MethodPut, path + "/managed", `{"replicas":1}`},
	} {
		js := "Content-Type: application/json"
		if got := s.send(t, c[0], c[1], c[2], js, "If-Match: "+tag); got.code != http.StatusConflict || !strings.Contains(got.body, "allowlist changed by Tess Trainer") {
			t.Errorf("%s %s: %d %s", c[0], c[1], got.code, got.body)
		}
		if got := s.send(t, c[0], c[1], c[2], js, `If-Match: W/"1"`); got.code != http.StatusBadRequest {
			t.Errorf("%s %s with a weak tag: %d %s", c[0], c[1], got.code, got.body)
		}
	}
	// What is the same as long as dpesim is need not be sent again.
	for _, path := range []string{"/api/v1/releases", "/api/v1/drivers", "/api/v1/sizing", "/api/v1/openapi.json"} {
		first := s.send(t, http.MethodGet, path, "")
		again := s.send(t, http.MethodGet, path, "", "If-None-Match: "+first.header.Get("ETag"))
		other := s.send(t, http.MethodGet, path, "", `If-None-Match: "other"`)
		if first.code != http.StatusOK || again.code != http.StatusNotModified || again.body != "" || other.body != first.body {
			t.Errorf("%s: %d, then %d, with another tag %d", path, first.code, again.code, other.code)
		}
	}
}

// TestTwoAdminsAtTheSamePages: the form comes again with what was typed and what the other one did, and works when it is
// sent once more.
func TestTwoAdminsAtTheSamePages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		page, to string
		form     url.Values
		kept     string // of what was typed
		by       string // what the other one did
	}{
		"upgrade": {"/upgrade?release=15.3.0", "/upgrade", url.Values{"release": {"15.3.0"}}, `name="release" value="15.3.0"`, "environment owner changed by Tess Trainer"},
		"delete":  {"/delete", "/delete", url.Values{"confirm": {"prod"}}, `name="confirm" value="prod"`, "environment owner changed by Tess Trainer"},
		"managed": {"/settings", "/managed", url.Values{"replicas": {"4"}}, `name="replicas" value="4"`, "environment owner changed by Tess Trainer"},
		"owner":   {"/settings", "/owner", url.Values{"owner": {"tess"}}, `<option value="tess" selected>`, "environment owner changed by Tess Trainer"},
		"edit":    {"/dpes/finance/edit", "/dpes/finance/edit", url.Values{"replicas": {"5"}, "driver": {"oracle"}}, `name="replicas" value="5"`, "dpe edited (finance) by Tess Trainer"},
		"remove":  {"/dpes/finance/remove", "/dpes/finance/remove", url.Values{"confirm": {"finance"}}, `name="confirm" value="finance"`, "dpe edited (finance) by Tess Trainer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, e, d := owned(t)
			ctx, ada := t.Context(), s.session(t, "ada")
			at := "/environments/prod"
			c.form.Set("revision", revisionOn(t, s.see(t, ada, at+c.page)))
			two := 2
			must(s.EditDPE(ctx, e.ID, d.Label, api.DPEEdit{Replicas: &two}, 0))(t)
			must(s.SetOwner(ctx, e.ID, "ada", 0))(t)
			got := s.form(t, ada, at+c.to, c.form)
			if body := html.UnescapeString(got.body); got.code != http.StatusConflict || !strings.Contains(body, c.by) || !strings.Contains(body, "was changed meanwhile") {
				t.Fatalf("%d %s", got.code, body)
			}
			if !strings.Contains(got.body, c.kept) {
				t.Errorf("what was typed is lost: no %s in %s", c.kept, got.body)
			}
			checkPage(t, got.body)
			if c.form.Has("confirm") {
				wrong := s.form(t, ada, at+c.to, url.Values{"confirm": {"no"}})
				if wrong.code != http.StatusBadRequest || strings.Contains(wrong.body, `value="no"`) {
					t.Errorf("a wrong word is kept: %d %s", wrong.code, wrong.body)
				}
			}
			c.form.Set("revision", revisionOn(t, got.body))
			if got = s.form(t, ada, at+c.to, c.form); got.code != http.StatusSeeOther {
				t.Errorf("sent once more: %d %s", got.code, got.body)
			}
		})
	}
}

// revisionOn reads the revision that the forms of a page carry.
func revisionOn(t *testing.T, page string) string {
	t.Helper()
	_, after, ok := strings.Cut(page, `name="revision" value="`)
	n, _, _ := strings.Cut(after, `"`)
	if _, err := strconv.Atoi(n); !ok || err != nil {
		t.Fatalf("no revision on %s", page)
	}
	return n
}
