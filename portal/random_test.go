package portal_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dpesim/dpesim/portal/api"
)

// checks is how many portals are sent random requests unless -rapid.checks says otherwise.
const checks = "12"

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", checks); err != nil { // the default; the command line, parsed later, overrides it
		panic(err)
	}
	os.Exit(m.Run())
}

// TestWhateverIsSentIsAnsweredAsDocumented sends requests that are made from the document, right ones and broken ones, as
// bytes, to a real portal. Whatever they are, it is never the portal's fault, and the document says what is answered.
func TestWhateverIsSentIsAnsweredAsDocumented(t *testing.T) {
	t.Parallel()
	d := must(theSpec())(t)
	g := generator{spec: d}
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, m := range slices.Sorted(maps.Keys(d.Paths[path])) {
			o := route{strings.ToUpper(m), path, d.Paths[path][m]}
			g.operations = append(g.operations, o)
			if o.Body != nil { // there is more to be wrong
				g.operations = append(g.operations, o, o)
			}
		}
	}
	dir, n := t.TempDir(), 0
	statuses := map[int]int{}
	rapid.Check(t, func(rt *rapid.T) {
		n++
		own := filepath.Join(dir, strconv.Itoa(n))
		if err := os.Mkdir(own, 0o700); err != nil {
			rt.Fatal(err)
		}
		o, s := options(t, filepath.Join(own, "portal.db"))
		stop := s.open(t, o)
		defer func() { stop(); _ = os.RemoveAll(own) }() // there may be many
		s.environment(t, api.EnvironmentSpec{Name: "Prod"})
		must(s.AddDPE(t.Context(), "prod", api.DPESpec{Name: "Finance"}))(t)
		must(s.SubmitJob(t.Context(), "prod", api.JobSpec{Bucket: "b", Key: "k"}))(t)
		must(s.StartRun(t.Context(), "prod", "finance", api.RunSpec{Task: api.TaskInstall}))(t)
		w := &wire{address: o.Listener.Addr().String()}
		defer w.close()
		for range rapid.IntRange(30, 60).Draw(rt, "requests") {
			req := g.request(rt)
			got, err := w.send(req)
			if _, malformed := url.ParseRequestURI(req.target); malformed != nil && err != nil {
				w.close()
				continue // package net/http hangs up on what is no HTTP, maybe before its answer has been read
			}
			if err != nil {
				rt.Fatalf("%v\n%q", err, req.bytes())
			}
			statuses[got.code]++
			if err := g.judge(req, got); err != nil {
				rt.Fatalf("%v\n%q\n%d %s", err, req.bytes(), got.code, got.body)
			}
			if req.method == http.MethodPost || req.method == http.MethodDelete {
				s.reconcile(t)
			}
		}
		if log := s.log.String(); strings.Contains(log, "request failed") {
			rt.Fatalf("the portal logged a failure of its own: %s", log)
		}
	})
	t.Logf("answers by status: %v", statuses)
	for _, code := range []int{200, 400, 401, 403, 404} {
		if statuses[code] == 0 {
			t.Errorf("nothing was answered with %d: the requests are not as manifold as they should be", code)
		}
	}
}

// route is an operation with its address.
type route struct {
	method, path string
	operation
}

// raw is a request as it goes over the wire.
type raw struct {
	method, target string
	headers        []string
	body           string
}

func (r raw) bytes() []byte {
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\nContent-Length: %d\r\n\r\n%s", r.method, r.target, strings.Join(r.headers, "\r\n"), len(r.body), r.body)
}

// wire is a connection that is made again when it was closed.
type wire struct {
	address string
	conn    net.Conn
	in      *bufio.Reader
}

func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// send sends r, once more on a new connection if the one that was there had ended.
func (w *wire) send(r raw) (answer, error) {
	used := w.conn != nil
	got, err := w.once(r)
	if err != nil && used {
		w.close()
		return w.once(r)
	}
	return got, err
}

func (w *wire) once(r raw) (answer, error) {
	if w.conn == nil {
		c, err := net.Dial("tcp", w.address)
		if err != nil {
			return answer{}, err
		}
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			return answer{}, errors.Join(err, c.Close())
		}
		w.conn, w.in = c, bufio.NewReader(c)
	}
	if _, err := w.conn.Write(r.bytes()); err != nil {
		return answer{}, err
	}
	res, err := http.ReadResponse(w.in, &http.Request{Method: r.method})
	if err != nil {
		return answer{}, fmt.Errorf("no answer: %w", err)
	}
	b, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.Close {
		w.close()
	}
	return answer{res.StatusCode, res.Header, string(b)}, err
}

// generator makes requests from the document.
type generator struct {
	spec       *spec
	operations []route
}

// judge tells what is wrong with an answer.
func (g generator) judge(r raw, got answer) error {
	if got.code >= 500 {
		return errors.New("the portal failed")
	}
	for _, h := range []string{"X-Injected", "Access-Control-Allow-Origin"} {
		if got.header.Get(h) != "" {
			return fmt.Errorf("the answer has the header %s", h)
		}
	}
	if got.header.Get("X-Request-Id") == "" { // package net/http refused what is no HTTP
		if got.code != http.StatusBadRequest {
			return errors.New("an answer without an id")
		}
		return nil
	}
	u, err := url.ParseRequestURI(r.target)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(u.EscapedPath(), api.Prefix+"/") {
		return nil // a trick led out of the API
	}
	return g.spec.check(&http.Request{Method: r.method, URL: u}, got.code, got.header, []byte(got.body))
}

// tricks are values that were a danger to some server.
func tricks() []string {
	return []string{
		"", ".", "..", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5c", "%00", "a%00b", "%0d%0aX-Injected:%201", "%0aX-Injected:1", "%", "%zz", "%2f", "a%2fb", "//", "/",
		"'", "%27%20OR%201=1--", "%22", "%3Cscript%3E", "%f0%9f%92%a9", "%ff%fe", "*", "~", ";", "?", "#", "{env}", ":env", "-", "--help", strings.Repeat("a", 3000), "%252e%252e",
		"0", "-1", "1e9", "9223372036854775807", "9223372036854775808", "18446744073709551616", "NaN", "null", "true", "[]", "{}", "\"",
	}
}

func (g generator) request(t *rapid.T) raw {
	o := g.operations[rapid.IntRange(0, len(g.operations)-1).Draw(t, "operation")]
	r := raw{method: o.method, target: o.path}
	if rapid.IntRange(0, 29).Draw(t, "other method") == 0 {
		r.method = rapid.SampledFrom([]string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "FOO"}).Draw(t, "method")
	}
	var query []string
	for _, p := range o.Parameters {
		switch p.In {
		case "path":
			r.target = strings.Replace(r.target, "{"+p.Name+"}", g.value(t, p), 1)
		case "query":
			if rapid.Bool().Draw(t, "has "+p.Name) {
				query = append(query, p.Name+"="+g.value(t, p))
			}
		case "header":
			if rapid.IntRange(0, 3).Draw(t, "has "+p.Name) == 0 {
				r.headers = append(r.headers, p.Name+": "+g.value(t, p))
			}
		}
	}
	if len(query) > 0 {
		r.target += "?" + strings.Join(query, "&")
	}
	if rapid.IntRange(0, 29).Draw(t, "bent") == 0 {
		r.target = rapid.SampledFrom([]string{"//" + r.target, r.target + "/", r.target + "/..", r.target + "%00", strings.Replace(r.target, "/", "//", 3), r.target + "?" + strings.Repeat("a=b&", 900)}).Draw(t, "target")
	}
	r.headers = append(r.headers, who(t)...)
	if o.Body != nil || rapid.IntRange(0, 19).Draw(t, "body all the same") == 0 {
		g.body(t, &r, o)
	}
	return r
}

// who draws by whom a request is made.
func who(t *rapid.T) []string {
	user := rapid.SampledFrom([]string{"tess", "tess", "tess", "ada", "otto", "mia", "gwen", "nobody", "", "-", "broken"}).Draw(t, "user")
	switch user {
	case "":
		return nil
	case "-":
		return []string{"Authorization: Bearer wrong"}
	case "broken":
		return []string{"Authorization: " + rapid.SampledFrom([]string{"Basic x", "Bearer", "\t", strings.Repeat("x", 5000)}).Draw(t, "authorization")}
	}
	return []string{"Authorization: Bearer " + operator.Reveal(), "Dpesim-As: " + user}
}

// value draws a parameter: what is there, what could be, or a trick.
func (g generator) value(t *rapid.T, p parameter) string {
	there := map[string]string{"env": "prod", "environment": "prod", "label": "finance", "dpe": "finance", "job": "job-1", "run": "run-1", "before": "job-1", "user": "nobody", "release": "15.3.0", "If-Match": `"1"`, "Idempotency-Key": "k", "subject": "dpe/finance"}
	switch rapid.IntRange(0, 9).Draw(t, "kind of "+p.Name) {
	case 0:
		return rapid.SampledFrom(tricks()).Draw(t, p.Name)
	case 1:
		return url.QueryEscape(rapid.String().Draw(t, p.Name))
	case 2, 3:
		b, _ := json.Marshal(g.fits(t, p.Schema, p.Name, 0))
		return url.QueryEscape(strings.Trim(string(b), `"`))
	}
	if v, known := there[p.Name]; known {
		return v
	}
	return "1"
}

// body draws a body and how it is declared.
func (g generator) body(t *rapid.T, r *raw, o route) {
	r.headers = append(r.headers, rapid.SampledFrom([]string{js, js, js, js, js, js, js, js, "Content-Type: application/json; charset=utf-8", "Content-Type: text/plain", "Content-Type: ;", "X-None: 1"}).Draw(t, "content type"))
	var v any
	if o.Body != nil {
		v = g.fits(t, o.Body.Content["application/json"].Schema, "body", 0)
	}
	b, _ := json.Marshal(v)
	r.body = string(b)
	switch rapid.IntRange(0, 14).Draw(t, "broken") {
	case 0:
		r.body = r.body[:rapid.IntRange(0, len(r.body)).Draw(t, "cut")]
	case 1:
		r.body = rapid.SampledFrom([]string{"", "null", "[]", "{}", "0", `"x"`, "{}{}", "\x00", "\xff\xfe", `{"name":"\ud800"}`, strings.Repeat("[", 30000), `{"name":` + strings.Repeat(`{"a":`, 9000), `{"a":1,"a":2}`, `{"name":"` + strings.Repeat("a", 70<<10) + `"}`}).Draw(t, "junk")
	case 2:
		r.body = string(rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "bytes"))
	}
}

// fits draws a value that fits a schema, mostly.
func (g generator) fits(t *rapid.T, s schema, name string, depth int) any {
	if s.Ref != "" {
		s = g.spec.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	if depth > 0 && rapid.IntRange(0, 14).Draw(t, name+" is wrong") == 0 {
		return rapid.SampledFrom([]any{nil, true, 0, -1, 1e300, "", "\x00", "a\r\nX-Injected: 1", "\u202e", strings.Repeat("x", 5000), []any{}, []any{nil}, map[string]any{}, map[string]any{"a": []any{}}}).Draw(t, name)
	}
	switch {
	case len(s.Enum) > 0:
		return rapid.SampledFrom(s.Enum).Draw(t, name)
	case s.Format == "date-time":
		return epoch.Add(time.Duration(rapid.Int64Range(-1<<50, 1<<55).Draw(t, name)))
	case s.Pattern != "":
		return rapid.StringMatching(s.Pattern).Draw(t, name)
	}
	switch s.Type {
	case "string":
		return rapid.OneOf(rapid.SampledFrom([]string{"Finance", "b", "long enough", "bob"}), rapid.String()).Draw(t, name)
	case "integer":
		return rapid.OneOf(rapid.Int64Range(0, 5), rapid.Int64()).Draw(t, name)
	case "boolean":
		return rapid.Bool().Draw(t, name)
	case "array":
		out := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "length of "+name) {
			out = append(out, g.fits(t, *s.Items, name, depth+1))
		}
		return out
	}
	out := map[string]any{}
	for _, f := range slices.Sorted(maps.Keys(s.Properties)) {
		chance := 1
		if slices.Contains(s.Required, f) {
			chance = 18
		}
		if rapid.IntRange(0, 19).Draw(t, "has "+f) <= chance || chance == 1 && rapid.Bool().Draw(t, "also "+f) {
			out[f] = g.fits(t, s.Properties[f], f, depth+1)
		}
	}
	if rapid.IntRange(0, 29).Draw(t, "more") == 0 {
		out[rapid.String().Draw(t, "field")] = 1
	}
	return out
}
