package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// TestOwnerIsChangedByAnAdmin: "If you are the environment owner or organization admin with access to Ataccama PaaS+, you can
// add multiple DPEs." (seed, "Add a self-managed DPE to an existing environment"): who is the owner can change, and with it who
// may.
func TestOwnerIsChangedByAnAdmin(t *testing.T) {
	t.Parallel()
	s, e, d := owned(t) // otto's
	ctx := t.Context()
	must(s.as("ada").AddUser(ctx, api.UserSpec{ID: "olga", Name: "Olga", Role: api.RoleOwner, Password: "long enough"}))(t)
	olga, otto := s.as("olga"), s.as("otto")
	_, err := olga.Values(ctx, e.ID, d.Label, "")
	wantError(t, err, sim.Forbidden, "the environment's owner and organisation admins")
	_, err = otto.SetOwner(ctx, e.ID, "olga", 0)
	wantError(t, err, sim.Forbidden, "organisation admins")
	for user, words := range map[string]string{
		"gwen":   `the organisation of environment prod has no user "gwen"`, // another organisation's
		"nobody": `has no user "nobody"`,
		"":       "has no user",
		"mia":    "Mia Member cannot own environment prod: members change nothing",
	} {
		_, err = s.as("ada").SetOwner(ctx, e.ID, user, 0)
		wantError(t, err, sim.Invalid, words)
	}
	e = must(s.Environment(ctx, e.ID))(t)
	got := must(s.as("ada").SetOwner(ctx, e.ID, "olga", e.Revision))(t)
	if got.Owner != "olga" || got.Revision <= e.Revision {
		t.Errorf("after the change: %+v", got)
	}
	must(olga.Values(ctx, e.ID, d.Label, ""))(t)
	_, err = otto.Values(ctx, e.ID, d.Label, "")
	wantError(t, err, sim.Forbidden, "Otto Owner may not do this")
	if same := must(s.as("ada").SetOwner(ctx, e.ID, "olga", 0))(t); same.Revision != got.Revision {
		t.Error("the same owner again is a change")
	}
	told := must(s.as("ada").Audit(ctx, api.AuditFilter{Environment: e.ID}))(t)
	n := 0
	for _, x := range told {
		if x.Action == "environment owner changed" {
			n++
			if x.User != "ada" || x.Detail["from"] != "otto" || x.Detail["to"] != "olga" {
				t.Errorf("the audit log has %+v", x)
			}
		}
	}
	if n != 1 {
		t.Errorf("the audit log tells of it %d times", n)
	}
	wantError(t, s.as("ada").RemoveUser(ctx, "olga"), sim.Conflict, "environments are the user's own")
}

func TestOwnerIsChangedOnTheSettingsTab(t *testing.T) {
	t.Parallel()
	s, _, _ := owned(t)
	ada := s.session(t, "ada")
	page := s.see(t, ada, "/environments/prod/settings")
	for _, w := range []string{"Otto Owner owns this environment", `<option value="otto" selected>Otto Owner, environment owner</option>`, `<option value="ada">`, "dpesim environment owner prod USER"} {
		if !strings.Contains(page, w) {
			t.Errorf("the Settings tab does not say %q", w)
		}
	}
	if strings.Contains(page, `<option value="mia">`) || strings.Contains(page, `<option value="gwen">`) {
		t.Error("who cannot own it may be chosen")
	}
	if mine := s.see(t, s.session(t, "otto"), "/environments/prod/settings"); strings.Contains(mine, "Change owner") || !strings.Contains(mine, "Otto Owner owns this environment") {
		t.Error("the owner's own Settings tab")
	}
	got := s.form(t, ada, "/environments/prod/owner", url.Values{"owner": {"mia"}})
	if got.code != http.StatusBadRequest || !strings.Contains(got.body, "members change nothing") {
		t.Errorf("a member: %d %s", got.code, got.body)
	}
	checkPage(t, got.body)
	if got = s.form(t, ada, "/environments/prod/owner", url.Values{"owner": {"ada"}, "revision": {"x"}}); got.code != http.StatusBadRequest {
		t.Errorf("a broken revision: %d", got.code)
	}
	if got = s.form(t, ada, "/environments/prod/owner", url.Values{"owner": {"ada"}}); got.code != http.StatusSeeOther {
		t.Errorf("change: %d %s", got.code, got.body)
	}
	if page = s.see(t, ada, "/environments/prod/settings"); !strings.Contains(page, "Ada Admin owns this environment") {
		t.Errorf("afterwards: %s", page)
	}
}
