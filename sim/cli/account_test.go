package cli_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim/cli"
	"github.com/dpesim/dpesim/sim/simtest"
)

// TestAccountsFromTheCommandLine adds a user, makes a token for it, acts by that, and reads of it in the audit log.
func TestAccountsFromTheCommandLine(t *testing.T) {
	t.Parallel()
	w := with(t, simtest.Start(t))
	if me := decode[api.Identity](t, sameData(t, w, "me")); me.ID != "tess" || me.Via != "command line" {
		t.Errorf("me: %+v", me)
	}
	if me := decode[api.Identity](t, w.ok("--as", "mia", "me", "-o", "json")); me.ID != "mia" {
		t.Errorf("me, as mia: %+v", me)
	}

	file := filepath.Join(w.dir, "password")
	if err := os.WriteFile(file, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if u := decode[api.User](t, w.ok("user", "add", "nina", "Nina Novak", "--role", "owner", "--password-file", "password", "-o", "json")); u.ID != "nina" || u.Role != api.RoleOwner {
		t.Errorf("added %+v", u)
	}
	var out, errs bytes.Buffer
	env := w.environment([]string{"user", "add", "bob", "Bob", "-o", "json"}, &out, &errs)
	env.Stdin = strings.NewReader("battery staple\r\n")
	if code := cli.Main(t.Context(), env); code != 0 || strings.Contains(out.String()+errs.String(), "battery") {
		t.Errorf("password by stdin: %d %s%s", code, &out, &errs)
	}
	w.fails(2, []string{"there is no password"}, "user", "add", "carl", "Carl")
	w.fails(1, []string{"cannot be read"}, "user", "add", "carl", "Carl", "--password-file", "nothing")
	w.fails(1, []string{"roles are"}, "user", "add", "carl", "Carl", "--role", "king", "--password-file", "password")
	w.fails(1, []string{"only"}, "--as", "mia", "user", "list")
	if s := sameData(t, w, "user", "list"); !strings.Contains(s, `"nina"`) || !strings.Contains(s, `"bob"`) {
		t.Errorf("users: %s", s)
	}

	made := w.run("--as", "nina", "token", "create", "CI", "--scopes", "read,write")
	if made.code != 0 || strings.Count(made.stdout, "\n") != 1 || strings.Contains(made.stderr, strings.TrimSpace(made.stdout)) || !strings.Contains(made.stderr, "read,write") {
		t.Fatalf("created: %+v", made)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "token"), []byte(made.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	if me := decode[api.Identity](t, w.ok("--token-file", "token", "me", "-o", "json")); me.ID != "nina" || me.Via != "token CI" || len(me.Scopes) != 2 {
		t.Errorf("me, by token: %+v", me)
	}
	w.ok("--token-file", "token", "environment", "create", "Own")
	tokens := decode[[]api.Token](t, w.ok("--as", "nina", "token", "list", "-o", "json"))
	if len(tokens) != 1 || tokens[0].Name != "CI" {
		t.Fatalf("tokens: %+v", tokens)
	}
	w.fails(2, []string{"is no time"}, "token", "create", "late", "--expires", "tomorrow")
	w.fails(1, []string{"no scope"}, "token", "create", "all", "--scopes", "everything")
	w.ok("--as", "nina", "token", "revoke", tokens[0].ID)
	w.fails(1, []string{"no such API token"}, "--token-file", "token", "me")

	all := decode[[]api.AuditEntry](t, sameData(t, w, "audit", "list"))
	of := decode[[]api.AuditEntry](t, w.ok("audit", "list", "--environment", "own", "-o", "json"))
	if len(of) == 0 || len(of) >= len(all) || of[0].User != "nina" || of[0].Via != "token CI" {
		t.Errorf("of own: %+v", of)
	}
	if newest := decode[[]api.AuditEntry](t, w.ok("audit", "list", "--limit", "1", "-o", "json")); len(newest) != 1 || newest[0].Seq != all[0].Seq {
		t.Errorf("newest: %+v", newest)
	}
	w.fails(2, []string{"--limit cannot be -1"}, "audit", "list", "--limit", "-1")
	w.fails(2, []string{"add --yes"}, "user", "remove", "bob")
	w.ok("user", "remove", "bob", "--yes")
	w.fails(1, []string{"user's own"}, "user", "remove", "nina", "--yes")
}

// TestJobListReadsAllPages lists jobs of a portal that gives them two by two.
func TestJobListReadsAllPages(t *testing.T) {
	t.Parallel()
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, _ := strconv.Atoi(r.URL.Query().Get("before"))
		if first < 4 {
			w.Header().Set("Link", fmt.Sprintf(`<%s?before=%d>; rel="next"`, r.URL.Path, first+2))
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `[{"id":"job-%d"},{"id":"job-%d"}]`, first, first+1)
	}))
	defer portal.Close()
	w := nowhere(t)
	list := func(args ...string) string {
		var ids []string
		for _, j := range decode[[]api.Job](t, w.ok(append([]string{"--server", portal.URL, "job", "list", "acme", "-o", "json"}, args...)...)) {
			ids = append(ids, string(j.ID))
		}
		return strings.Join(ids, " ")
	}
	if got := list(); got != "job-0 job-1 job-2 job-3 job-4 job-5" {
		t.Errorf("jobs %s", got)
	}
	if got := list("--limit", "3"); got != "job-0 job-1 job-2" {
		t.Errorf("three jobs: %s", got)
	}
}
