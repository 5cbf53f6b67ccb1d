package cli_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim/simtest"
)

func TestOwnerAndRevisionFromTheCommandLine(t *testing.T) {
	t.Parallel()
	w := with(t, simtest.Start(t))
	w.ok("environment", "create", "Acme", "--release", "15.1.0")
	seen := decode[api.Environment](t, w.ok("environment", "get", "acme", "-o", "json"))
	w.fails(1, []string{"members change nothing"}, "environment", "owner", "acme", "mia")
	w.fails(1, []string{"only organisation admins may"}, "--as", "otto", "environment", "owner", "acme", "otto")
	if got := w.ok("environment", "owner", "acme", "otto", "--revision", strconv.FormatInt(seen.Revision, 10)); got != "acme is owned by otto\n" {
		t.Errorf("owner: %q", got)
	}
	if got := w.ok("environment", "get", "acme"); !strings.Contains(got, "Owner               otto") {
		t.Errorf("get: %s", got)
	}
	stale := []string{"environment acme was changed meanwhile: environment owner changed by Tess Trainer at ", "(from tess, to otto)"}
	revision := strconv.FormatInt(seen.Revision, 10)
	w.fails(1, stale, "environment", "upgrade", "acme", "15.3.0", "--revision", revision)
	w.fails(1, stale, "environment", "delete", "acme", "--yes", "--revision", revision)
	w.fails(1, stale, "managed", "scale", "acme", "1", "--revision", revision)
	if got := w.ok("environment", "health", "acme"); !strings.Contains(got, "DPM             healthy  2") || !strings.Contains(got, "Object storage  healthy") {
		t.Errorf("health: %s", got)
	}
	w.ok("dpe", "add", "acme", "Finance")
	if got := w.ok("environment", "upgrade", "acme", "15.3.0", "--preview"); !strings.Contains(got, "dpm.url -> dpm.endpoint, objectStorage.region new") || !strings.Contains(got, "from 15.1.0 to 15.3.0, which works with engines of 15.1.0 and newer; 0 Ataccama-managed") {
		t.Errorf("preview: %s", got)
	}
}

func TestPasswordsFromTheCommandLine(t *testing.T) {
	t.Parallel()
	w := with(t, simtest.Start(t))
	for name, text := range map[string]string{"old": "rehearsal\n", "new": "battery staple\n"} {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.fails(1, []string{"the current password is another one"}, "--as", "mia", "user", "password", "mia", "--current-file", "new", "--password-file", "new")
	w.fails(2, []string{"--current-file is for one's own password, and you are tess"}, "user", "password", "mia", "--current-file", "old", "--password-file", "new")
	w.fails(1, []string{"this is your own password"}, "--as", "ada", "user", "password", "ada", "--password-file", "new")
	w.fails(1, []string{"only"}, "--as", "mia", "user", "password", "otto", "--password-file", "new")
	w.fails(2, []string{"there is no password"}, "--as", "mia", "user", "password", "mia", "--current-file", "old")
	if got := w.ok("--as", "mia", "user", "password", "mia", "--current-file", "old", "--password-file", "new"); !strings.Contains(got, "mia has a new password") || strings.Contains(got, "battery") {
		t.Errorf("changed: %q", got)
	}
	w.fails(1, []string{"the current password is another one"}, "--as", "mia", "user", "password", "mia", "--current-file", "old", "--password-file", "new")
	w.ok("--as", "ada", "user", "password", "mia", "--password-file", "old")
	w.ok("--as", "mia", "user", "password", "mia", "--current-file", "old", "--password-file", "new")
}
