package cli_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim/cli"
	"github.com/dpesim/dpesim/sim/simtest"
)

// echo is a server that answers with what it was asked.
func echo(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		case "/slow":
			<-r.Context().Done()
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s host=%s type=%s auth=%s as=%s mine=%s body=%s\n", r.Method, r.URL.Path, r.Host,
			r.Header.Get("Content-Type"), r.Header.Get("Authorization"), r.Header.Get(api.AsHeader), r.Header.Get("X-Mine"), body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestHTTPSpeaksToThePortalAsWhoRunsTheSimulator(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	w := with(t, s)
	if out := w.ok("http", "/api/v1/environments", "-d", `{"name": "Acme"}`, "--status", "201"); !strings.Contains(out, `"id":"acme"`) {
		t.Errorf("POST printed %s", out)
	}
	s.Environment(t, api.EnvironmentSpec{Name: "Other"})
	for _, url := range []string{"/api/v1/environments", s.Endpoints().Portal + "/api/v1/environments", s.Endpoints().PortalTLS + "/api/v1/environments"} {
		if out := w.ok("http", "get", url); !strings.Contains(out, `"id":"acme"`) {
			t.Errorf("%s printed %s", url, out)
		}
	}
	if out := w.ok("http", "/api/v1/me", "--as", "mia", "-i"); !strings.HasPrefix(out, "HTTP/1.1 200 OK\n") || !strings.Contains(out, "\nContent-Type: application/json\n") || !strings.Contains(out, "\n\n{") || !strings.Contains(out, `"mia"`) {
		t.Errorf("as another user it printed %s", out)
	}
	if out := w.ok("http", "/api/v1/environments", "-H", "Authorization:", "--status", "401"); !strings.Contains(out, "unauthenticated") {
		t.Errorf("as nobody it printed %s", out)
	}
	r := w.run("http", "/api/v1/environments/nosuch")
	if r.code != 1 || !strings.Contains(r.stdout, "there is no environment") || r.stderr != "Error: GET "+s.Endpoints().Portal+"/api/v1/environments/nosuch: the answer is 404 Not Found\n" {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := w.run("http", "/api/v1/environments", "--status", "403"); r.code != 1 || !strings.HasSuffix(r.stderr, "the answer is 200 OK, not 403\n") {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
	env, err := s.API.Environment(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	if out := w.ok("http", env.Endpoints.ObjectStorage+"/sample-data/airports.csv", "--status", "403"); !strings.Contains(out, "<Code>AccessDenied</Code>") {
		t.Errorf("the object storage answers a stranger with %s", out)
	}
}

func TestHTTPKeepsTheTokenFromOthers(t *testing.T) {
	t.Parallel()
	w, url := with(t, simtest.Start(t)), echo(t)
	w.env["DPESIM_AS"] = "ada"
	host := strings.TrimPrefix(url, "http://")
	w.file("secret.txt", "Authorization: Bearer mine\nX-Mine: a: b\n")
	w.file("body.json", `{"a": 1}`)
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{url + "/x"}, "GET /x host=" + host + " type= auth= as= mine= body=\n"},
		{[]string{url + "/x", "-d", "plain"}, "POST /x host=" + host + " type=application/octet-stream auth= as= mine= body=plain\n"},
		{[]string{"PUT", url, "-d", "@body.json", "-H", "@secret.txt", "-H", "Host: other"}, "PUT / host=other type=application/json auth=Bearer mine as= mine=a: b body={\"a\": 1}\n"},
		{[]string{"PATCH", url, "-d", "@-", "-H", "content-type: x/y"}, "PATCH / host=" + host + " type=x/y auth= as= mine= body=typed\n"},
	} {
		var out, errs bytes.Buffer
		e := w.environment(append([]string{"http"}, x.args...), &out, &errs)
		e.Stdin = strings.NewReader("typed")
		if code := cli.Main(t.Context(), e); code != 0 || out.String() != x.want {
			t.Errorf("%q: exit code %d\n%s%s", x.args, code, &out, &errs)
		}
	}
	if out := w.ok("http", url+"/moved", "-i"); !strings.HasPrefix(out, "HTTP/1.1 302 Found\n") || strings.Contains(out, "auth=") {
		t.Errorf("a redirect is followed: %s", out)
	}
	w.fails(1, []string{"there was no whole answer in 50ms", "--timeout"}, "http", url+"/slow", "--timeout", "50ms")
}

func TestHTTPSaysWhatItCannotDo(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	w.file("no.pem", "nothing")
	w.fails(1, []string{"no running simulator was found"}, "http", "/api/v1/environments")
	w.fails(1, []string{"GET http://u:xxxxx@127.0.0.1:1: no answer: ", "connection refused"}, "http", "http://u:secret@127.0.0.1:1")
	w.fails(2, []string{"this is no request", `"ftp://u:xxxxx@host"`}, "http", "ftp://u:secret@host")
	w.fails(2, []string{"this is no request", `"host"`}, "http", "host")
	w.fails(2, []string{`method "A B"`}, "http", "a b", "http://host")
	w.fails(2, []string{"the body cannot be read"}, "http", "http://host", "-d", "@nosuch")
	w.fails(2, []string{"the headers cannot be read"}, "http", "http://host", "-H", "@nosuch")
	w.fails(2, []string{"a header has no name"}, "http", "http://host", "-H", "secret")
	w.fails(2, []string{"cannot be read"}, "http", "http://host", "--cacert", "nosuch")
	w.fails(1, []string{"no.pem holds no certificate"}, "http", "http://host", "--cacert", "no.pem")
	w.fails(2, []string{"usage: dpesim http [METHOD] URL"}, "http")
	if r := w.run("http", "http://host", "-H", "secret"); strings.Contains(r.stderr, "secret") {
		t.Errorf("a header is told:\n%s", r.stderr)
	}
	if out := w.ok("http", echo(t)); !strings.HasPrefix(out, "GET / ") {
		t.Errorf("without a simulator: %s", out)
	}
}
