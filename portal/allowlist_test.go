package portal_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// TestAllowlistRestrictsTheEnvironment: "It is possible to utilize IP allowlisting to restrict the connectivity to the
// environment only from certain addresses." (seed, "Additional considerations")
func TestAllowlistRestrictsTheEnvironment(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	list := must(s.Allowlist(ctx, e.ID))(t)
	if list.On || len(list.Entries) != 0 || list.Version != 1 {
		t.Errorf("a new environment's allowlist is %+v", list)
	}
	edit := api.AllowlistEdit{On: true, Entries: []api.AllowlistEntry{{CIDR: "203.0.113.0/24", Note: " office "}, {CIDR: "2001:db8::7"}}}
	got := must(s.as("ada").SetAllowlist(ctx, e.ID, edit, list.Version))(t)
	want := api.Allowlist{On: true, Entries: []api.AllowlistEntry{{CIDR: "203.0.113.0/24", Note: "office"}, {CIDR: "2001:db8::7/128"}}, Version: 2}
	if d := cmp.Diff(want, got.Allowlist); d != "" {
		t.Error(d)
	}
	in := must(s.Intents(ctx))(t)[0]
	if d := cmp.Diff([]string{"203.0.113.0/24", "2001:db8::7/128"}, texts(in.Allow)); d != "" {
		t.Errorf("the intent: %s", d)
	}
	told := s.wait(t, func(x sim.Event) bool { return x.What == "allowlist changed" })
	if told.Detail["ranges"] != "203.0.113.0/24 2001:db8::7/128" || told.Detail["by"] != "ada" || in.Cause != told.Seq {
		t.Errorf("told %+v, cause %d", told, in.Cause)
	}
	audit := must(s.Audit(ctx, api.AuditFilter{Environment: e.ID}))(t)[0]
	if audit.Action != "allowlist changed" || audit.User != "ada" || audit.Detail["on"] != "true" {
		t.Errorf("audit: %+v", audit)
	}

	_, err := s.SetAllowlist(ctx, e.ID, api.AllowlistEdit{}, 1)
	wantError(t, err, sim.Conflict, "changed meanwhile, its version is 2, not 1: allowlist changed by Ada Admin")
	off := must(s.SetAllowlist(ctx, e.ID, api.AllowlistEdit{Entries: want.Entries}, 2))(t)
	if off.On || len(off.Entries) != 2 || off.Version != 3 || must(s.Intents(ctx))(t)[0].Allow != nil {
		t.Errorf("turned off: %+v", off)
	}
	if again := must(s.SetAllowlist(ctx, e.ID, api.AllowlistEdit{Entries: want.Entries}, 0))(t); again.Version != 3 {
		t.Errorf("nothing changed, and the version is %d", again.Version)
	}
}

func texts(p []netip.Prefix) []string {
	out := make([]string, len(p))
	for i, x := range p {
		out[i] = x.String()
	}
	return out
}

func TestAllowlistRefusesWhatNobodyCanWant(t *testing.T) {
	t.Parallel()
	s := start(t)
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	ranges := func(cidr ...string) (out []api.AllowlistEntry) {
		for _, x := range cidr {
			out = append(out, api.AllowlistEntry{CIDR: x})
		}
		return out
	}
	for words, edit := range map[string]api.AllowlistEdit{
		"would let nobody in":         {On: true},
		"no range of addresses":       {Entries: ranges("office")},
		"inside a range":              {Entries: ranges("10.0.0.5/8")},
		"there twice":                 {Entries: ranges("10.0.0.0/8", "10.0.0.0/8")},
		"cannot have 201 ranges":      {Entries: make([]api.AllowlistEntry, 201)},
		"the note of 10.0.0.0/8":      {Entries: []api.AllowlistEntry{{CIDR: "10.0.0.0/8", Note: "a\x00"}}},
		`"::ffff:10.0.0.0/104" is no`: {Entries: ranges("::ffff:10.0.0.0/104")},
	} {
		_, err := s.SetAllowlist(t.Context(), e.ID, edit, 0)
		wantError(t, err, sim.Invalid, words)
	}
}

// TestAllowlistWarnsBeforeItCuts: "If enabled for your organization and required, the list has to be extended with the IP
// ranges associated with the installed DPEs." (seed, "Additional considerations")
func TestAllowlistWarnsBeforeItCuts(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Prod"})
	d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance", Replicas: 3}))(t)
	a, b, c := engine(d, "a"), engine(d, "b"), engine(d, "c")
	a.Remote, b.Remote, c.Remote = "203.0.113.10:4000", "203.0.113.10:4001", "[2001:db8::9]:4002"
	s.cloud.connect(ctx, e.ID, a, b, c)
	edit := api.AllowlistEdit{On: true, Entries: []api.AllowlistEntry{{CIDR: "2001:db8::/32"}}}
	_, err := s.SetAllowlist(ctx, e.ID, edit, 0)
	wantError(t, err, sim.Conflict, "would cut engines that are connected: finance-a, finance-b from 203.0.113.10")

	edit.DryRun = true
	want := []api.AllowlistCut{{Source: "203.0.113.10", Engines: []sim.ReplicaID{"finance-a", "finance-b"}}}
	if got := must(s.SetAllowlist(ctx, e.ID, edit, 0))(t); cmp.Diff(want, got.Cuts) != "" || must(s.Allowlist(ctx, e.ID))(t).On {
		t.Errorf("dry run: %+v", got)
	}

	form := url.Values{"on": {"yes"}, "ranges": {"2001:db8::/32 rack\n"}, "version": {"1"}}
	page := s.post(t, "/environments/prod/allowlist", form)
	for _, w := range []string{"This would cut engines that are connected now", "finance-a, finance-b", "203.0.113.10", "2001:db8::/32 rack", `name="confirm"`} {
		if page.code != http.StatusConflict || !strings.Contains(page.body, w) {
			t.Errorf("%d: the page does not say %q", page.code, w)
		}
	}
	checkPage(t, page.body)
	form.Set("confirm", "yes")
	if page = s.post(t, "/environments/prod/allowlist", form); page.code != http.StatusSeeOther {
		t.Errorf("confirmed: %d %s", page.code, page.body)
	}
	if got := must(s.Allowlist(ctx, e.ID))(t); !got.On || got.Entries[0].Note != "rack" {
		t.Errorf("after the form: %+v", got)
	}
}
