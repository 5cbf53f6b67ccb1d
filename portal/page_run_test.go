package portal_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/runs"
)

// shows checks that a page says each of words, and none of others.
func shows(t *testing.T, page string, words, others []string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(page, w) {
			t.Errorf("the page does not say %q:\n%s", w, page)
		}
	}
	for _, w := range others {
		if strings.Contains(page, w) {
			t.Errorf("the page says %q:\n%s", w, page)
		}
	}
}

// A person without scripts presses Run it here, loads the page again, cancels, and reads how it went.
func TestRunItHereOnThePages(t *testing.T) {
	t.Parallel()
	s, _, _ := owned(t)
	ada, mia := s.session(t, "ada"), s.session(t, "mia")
	const at = "/environments/prod/dpes/finance/"
	page := s.see(t, ada, at+"installation")
	shows(t, page, []string{`aria-label="Run it here: Steps 2 and 3"`, "<code>dpesim dpe run-commands prod finance</code>", "<code>dpesim dpe run-commands prod finance uninstall</code>", "that is for you to say"}, []string{`id="run"`})
	shows(t, s.see(t, mia, at+"installation"), []string{"The owner and admins may run it here.", "<code>dpesim cluster preflight prod finance</code>"}, []string{"run-here", "Run it here:"})
	shows(t, s.see(t, ada, at+"installation?variant=mirror"), []string{"It cannot be run here: it needs crane, which is no part of dpesim", `aria-label="Run it here: Step 4"`}, []string{"Run it here: Steps 2 and 3"})
	shows(t, s.see(t, ada, at+"installation?variant=private-ca"), []string{"It cannot be run here: it needs the certificates of your own CA"}, []string{"Run it here: Steps 2 and 3"})

	s.runner.does(hang)
	if got := s.form(t, ada, at+"runs", url.Values{"task": {"install"}, "back": {"upgrade"}}); got.code != http.StatusSeeOther || got.header.Get("Location") != at+"upgrade#run" {
		t.Fatalf("%d, to %s", got.code, got.header.Get("Location"))
	}
	follow := s.stream(t, ada, at+"runs/run-1/lines")
	follow("waiting")
	page = s.see(t, ada, at+"upgrade")
	shows(t, page, []string{
		`Run here: install or update`, `<span class="badge orange">running</span>`, `<span class="command">$ helm registry login `, `<span>waiting</span>`, `ada started it at <time`,
		`sse-connect="/environments/prod/dpes/finance/runs/run-1/lines?after=2"`, `role="log"`, "Load the page again to see more", "Cancel the run", "<code>dpesim dpe run-commands prod finance --cancel</code>", "It can be run here when the run above has ended.",
	}, []string{"Run it here:"})
	shows(t, s.see(t, mia, at+"installation"), nil, []string{`id="run"`, "waiting"})
	got := s.form(t, s.session(t, "otto"), at+"runs", url.Values{"task": {"uninstall"}, "back": {"remove"}})
	if got.code != http.StatusConflict {
		t.Errorf("%d", got.code)
	}
	shows(t, got.body, []string{"ada started the task install of DPE finance at 2026-03-04T09:00:00Z, and it still runs", "Type the label"}, nil)
	if got := s.form(t, ada, at+"runs/run-1/cancel", url.Values{"back": {"//evil.example"}}); got.header.Get("Location") != at+"installation#run" {
		t.Errorf("%d, to %s", got.code, got.header.Get("Location"))
	}
	follow("event: ended")
	page = s.see(t, ada, at+"installation")
	shows(t, page, []string{"cancelled after ", ": ada cancelled it", "<span>interrupted</span>", "Nothing is undone: look at the pods and events", `aria-label="Run it here: Steps 2 and 3"`}, []string{"sse-connect=\"/environments/prod/dpes/finance/runs"})
	shows(t, s.see(t, ada, at+"remove"), []string{`aria-label="Run it here: The command above"`}, []string{`id="run"`})

	s.runner.does(func(_ context.Context, w runs.Work) (int, error) {
		w.Begin(0)
		fmt.Fprintln(w.Output, `<script>alert("x")</script>`)
		return 1, nil
	})
	s.form(t, ada, at+"runs", url.Values{"task": {"uninstall"}})
	text := s.stream(t, ada, at+"runs/run-2/lines")("event: ended")
	shows(t, text, []string{`data: <span>&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;</span>`}, []string{"<script>"})
	shows(t, s.see(t, ada, at+"installation"), []string{"failed with exit code 1 after ", "&lt;script&gt;alert", "If the release was not found, it is gone already", "Run here: uninstall"}, []string{"<script>alert"})
	if got := s.form(t, ada, at+"runs", url.Values{"task": {"dance"}}); got.code != http.StatusBadRequest || !strings.Contains(got.body, "there is no task") {
		t.Errorf("%d", got.code)
	}
}

// stream follows a stream of server-sent events; what it gives reads on until there is a text, and gives all that was read.
func (s *sut) stream(t *testing.T, session, path string) func(until string) string {
	t.Helper()
	req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+path, nil))(t)
	name, value, _ := strings.Cut(session, ": ")
	req.Header.Set(name, value)
	res := must(http.DefaultClient.Do(req))(t)
	t.Cleanup(func() { _ = res.Body.Close() })
	if got := res.Header.Get("Content-Type"); got != api.EventStreamType {
		t.Fatalf("%s is %s", path, got)
	}
	var read strings.Builder
	b := make([]byte, 4096)
	return func(until string) string {
		t.Helper()
		for !strings.Contains(read.String(), until) {
			n, err := res.Body.Read(b)
			read.Write(b[:n])
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return read.String()
	}
}
