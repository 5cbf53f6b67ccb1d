package portal_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/dpesim/dpesim/portal"
	"github.com/dpesim/dpesim/portal/api"
)

// spec is the document of the API as the tests use it.
type spec struct {
	Paths      map[string]map[string]operation     `json:"paths"`
	Components struct{ Schemas map[string]schema } `json:"components"`

	compiler *jsonschema.Compiler
	mu       sync.Mutex
	compiled map[string]*jsonschema.Schema // by JSON pointer
}

type operation struct {
	ID         string                    `json:"operationId"`
	Summary    string                    `json:"summary"`
	Security   []map[string][]string     `json:"security"`
	Parameters []parameter               `json:"parameters"`
	Body       *struct{ Content media }  `json:"requestBody"`
	Responses  map[string]documentedness `json:"responses"`
}

type parameter struct {
	Name, In string
	Required bool
	Schema   schema
}

// schema is as much of a JSON schema as requests are made of.
type schema struct {
	Ref        string            `json:"$ref"`
	Type       string            `json:"type"`
	Format     string            `json:"format"`
	Pattern    string            `json:"pattern"`
	Enum       []string          `json:"enum"`
	Items      *schema           `json:"items"`
	Properties map[string]schema `json:"properties"`
	Required   []string          `json:"required"`
}

type media map[string]struct{ Schema schema }

type documentedness struct {
	Ref         string                             `json:"$ref"`
	Description string                             `json:"description"`
	Headers     map[string]struct{ Required bool } `json:"headers"`
	Content     media                              `json:"content"`
}

// theSpec reads the document once for all tests.
var theSpec = sync.OnceValues(func() (*spec, error) {
	b, err := portal.OpenAPI()
	if err != nil {
		return nil, err
	}
	s := &spec{compiler: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{}}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, err
	}
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	s.compiler.DefaultDraft(jsonschema.Draft2020)
	s.compiler.AssertFormat()
	return s, s.compiler.AddResource("openapi.json", whole)
})

// at gives the schema at a JSON pointer of the document.
func (s *spec) at(tokens ...string) (*jsonschema.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, x := range tokens {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(x))
	}
	pointer := b.String()
	if c := s.compiled[pointer]; c != nil {
		return c, nil
	}
	c, err := s.compiler.Compile("openapi.json#" + pointer)
	s.compiled[pointer] = c
	return c, err
}

var braces = regexp.MustCompile(`\\\{[a-z]+\\\}`)

// find gives the documented path that a real one is of, and its operation.
func (s *spec) find(method, path string) (string, operation, bool) {
	for _, p := range slices.Sorted(maps.Keys(s.Paths)) {
		pattern := "^" + braces.ReplaceAllString(regexp.QuoteMeta(p), "[^/]*") + "$"
		if ok, _ := regexp.MatchString(pattern, path); ok {
			o, there := s.Paths[p][strings.ToLower(method)]
			return p, o, there
		}
	}
	return "", operation{}, false
}

// check tells what of an answer of the API is not as documented.
func (s *spec) check(req *http.Request, code int, h http.Header, body []byte) error {
	if req.Method == http.MethodHead || req.Method == http.MethodOptions && code == http.StatusNoContent && h.Get("Allow") != "" {
		return nil // nothing to read; OPTIONS says which methods there are
	}
	path, o, known := s.find(req.Method, req.URL.EscapedPath())
	var tokens []string
	mediaType, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	switch r, there := o.Responses[strconv.Itoa(code)]; {
	case mediaType == api.ProblemType && (!known || there && r.Ref != ""):
		tokens = []string{"components", "responses", "Problem", "content", mediaType, "schema"}
	case !known:
		return fmt.Errorf("%s %s is not in the document and is answered with %d %s", req.Method, req.URL, code, mediaType)
	case !there:
		return fmt.Errorf("%s %s: the document has no answer %d: %s", req.Method, path, code, body)
	case len(r.Content) == 0 && len(body) == 0:
		return nil
	default:
		if _, there := r.Content[mediaType]; !there {
			return fmt.Errorf("%s %s %d: the document has no media type %q", req.Method, path, code, mediaType)
		}
		for name, x := range r.Headers {
			if x.Required && h.Get(name) == "" {
				return fmt.Errorf("%s %s %d: the documented header %s is missing", req.Method, path, code, name)
			}
		}
		tokens = []string{"paths", path, strings.ToLower(req.Method), "responses", strconv.Itoa(code), "content", mediaType, "schema"}
	}
	schema, err := s.at(tokens...)
	if err != nil {
		return err
	}
	var v any = string(body)
	if strings.HasSuffix(mediaType, "json") {
		if v, err = jsonschema.UnmarshalJSON(bytes.NewReader(body)); err != nil {
			return fmt.Errorf("%s %s %d: %w", req.Method, path, code, err)
		}
	}
	if err := schema.Validate(v); err != nil {
		return fmt.Errorf("%s %s %d: %w\n%s", req.Method, path, code, err, body)
	}
	return nil
}

// checkedTransport has every answer of the API that a test gets be as documented.
type checkedTransport struct {
	*http.Transport
	tb testing.TB
}

func (t checkedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.Transport.RoundTrip(req)
	if err != nil || !strings.HasPrefix(req.URL.Path, api.Prefix+"/") || strings.HasPrefix(res.Header.Get("Content-Type"), api.EventStreamType) {
		return res, err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return res, err
	}
	s, err := theSpec()
	if err == nil {
		err = s.check(req, res.StatusCode, res.Header, body)
	}
	if err != nil {
		t.tb.Errorf("not as documented: %v", err)
	}
	return res, nil
}

func TestTheDocumentIsOpenAPI31(t *testing.T) {
	t.Parallel()
	s, err := theSpec()
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for path, methods := range s.Paths {
		for method, o := range methods {
			where := method + " " + path
			if o.ID == "" || ids[o.ID] || o.Summary == "" || len(o.Responses) == 0 {
				t.Errorf("%s: id %q (used already: %v), summary %q, %d answers", where, o.ID, ids[o.ID], o.Summary, len(o.Responses))
			}
			ids[o.ID] = true
			inPath := map[string]bool{}
			for i, p := range o.Parameters {
				if p.In == "path" {
					inPath["{"+p.Name+"}"] = p.Required
				}
				if _, err := s.at("paths", path, method, "parameters", strconv.Itoa(i), "schema"); err != nil {
					t.Errorf("%s: parameter %s: %v", where, p.Name, err)
				}
			}
			for _, name := range regexp.MustCompile(`\{[a-z]+\}`).FindAllString(path, -1) {
				if !inPath[name] {
					t.Errorf("%s: %s is no required parameter", where, name)
				}
				delete(inPath, name)
			}
			if len(inPath) > 0 {
				t.Errorf("%s: the path has no %v", where, inPath)
			}
			for code, r := range o.Responses {
				if r.Ref == "" && r.Description == "" {
					t.Errorf("%s: answer %s has no description", where, code)
				}
				for m := range r.Content {
					if _, err := s.at("paths", path, method, "responses", code, "content", m, "schema"); err != nil {
						t.Errorf("%s: answer %s: %v", where, code, err)
					}
				}
			}
			if o.Body != nil {
				if _, err := s.at("paths", path, method, "requestBody", "content", "application/json", "schema"); err != nil {
					t.Errorf("%s: body: %v", where, err)
				}
			}
		}
	}
}

func TestTheDocumentIsServedToEverybodyAndCommitted(t *testing.T) {
	t.Parallel()
	s := start(t)
	got := s.send(t, http.MethodGet, "/api/v1/openapi.json", "", "Cookie: a=b")
	if got.code != http.StatusOK || got.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", got.code, got.header)
	}
	for _, have := range []string{got.header.Get("ETag"), `"x", W/` + got.header.Get("ETag")} {
		if again := s.send(t, http.MethodGet, "/api/v1/openapi.json", "", "If-None-Match: "+have); again.code != http.StatusNotModified || again.body != "" {
			t.Errorf("who has %s is answered with %d and %d bytes", have, again.code, len(again.body))
		}
	}
	committed := must(os.ReadFile("../docs/openapi.json"))(t)
	if got.body != string(committed) {
		t.Error("docs/openapi.json is not what is served: run go generate ./portal")
	}
}
