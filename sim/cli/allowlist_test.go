package cli_test

import (
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim/simtest"
)

func TestAllowlistFromTheCommandLine(t *testing.T) {
	t.Parallel()
	w := with(t, simtest.Start(t))
	w.ok("environment", "create", "Acme")
	w.fails(1, []string{"would let nobody in"}, "allowlist", "on", "acme")
	if got := w.ok("allowlist", "add", "acme", "203.0.113.0/24", "--note", "office", "--dry-run"); !strings.Contains(got, "office") {
		t.Errorf("the dry run says\n%s", got)
	}
	if got := decode[api.Allowlist](t, w.ok("allowlist", "show", "acme", "-o", "json")); len(got.Entries) != 0 {
		t.Errorf("the dry run left %+v", got)
	}
	w.ok("allowlist", "add", "acme", "203.0.113.0/24", "--note", "office")
	w.ok("allowlist", "add", "acme", "2001:db8::7")
	if got := w.ok("allowlist", "on", "acme"); !strings.Contains(got, "on: only these may connect") || !strings.Contains(got, "203.0.113.0/24") {
		t.Errorf("on says\n%s", got)
	}
	w.ok("allowlist", "remove", "acme", "2001:db8::7")
	w.fails(1, []string{"is not on the allowlist of acme"}, "allowlist", "remove", "acme", "10.0.0.0/8")
	got := decode[api.AllowlistChange](t, w.ok("allowlist", "off", "acme", "-o", "json"))
	if got.On || len(got.Entries) != 1 || got.Entries[0].Note != "office" {
		t.Errorf("in the end %+v", got)
	}
}

func TestManagedDPEsFromTheCommandLine(t *testing.T) {
	t.Parallel()
	w := with(t, simtest.Start(t))
	w.ok("environment", "create", "Acme")
	if got := w.ok("managed", "scale", "acme", "2"); !strings.Contains(got, "ataccama-managed  2/2") {
		t.Errorf("scale says\n%s", got)
	}
	if got := decode[api.ManagedDPEs](t, w.ok("managed", "show", "acme", "-o", "json")); got.Connected != 2 {
		t.Errorf("shown: %+v", got)
	}
	w.fails(1, []string{"the licence allows 10"}, "managed", "scale", "acme", "11")
	w.fails(2, []string{"no number of replicas"}, "managed", "scale", "acme", "two")
	w.ok("managed", "scale", "acme", "0")
}
