package openapi_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/portal/openapi"
)

type colour string

type secret string

type inner struct {
	Where string `json:"where"`
	Token secret `json:"token"`
}

type outer struct {
	inner
	Token  string            `json:"token"` // in the place of the inner one
	At     time.Time         `json:"at,omitzero"`
	Colour *colour           `json:"colour,omitempty"`
	Sizes  []uint            `json:"sizes"`
	Bytes  []byte            `json:"bytes,omitempty"`
	Words  map[string]string `json:"words,omitempty"`
	Raw    json.RawMessage   `json:"raw,omitempty"`
	Until  *time.Time        `json:"until,omitempty"`
	Hidden string            `json:"-"`
	own    string
}

func write(t *testing.T, operations ...openapi.Operation) ([]byte, error) {
	t.Helper()
	return openapi.Document(openapi.API{
		Title: "Things", Version: "v1", Operations: operations, Problem: struct{}{}, ProblemType: "application/problem+json",
		Words: openapi.Words{
			Secret: reflect.TypeFor[secret](), Enums: map[reflect.Type][]string{reflect.TypeFor[colour](): {"red", "green"}},
			Fields: map[string]string{"inner.Where": "a place | or none", "outer.Token": "shown"},
		},
	})
}

func things(path string) openapi.Operation {
	return openapi.Operation{Method: "GET", Path: path, ID: "things" + path, Summary: "List things", Tag: "things", Answers: []openapi.Answer{{Status: 200, Body: []outer{}}}, Problems: []int{404}}
}

func TestFieldsAreAsPackageJSONWritesThem(t *testing.T) {
	t.Parallel()
	b, err := write(t, things("/things"))
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		OpenAPI    string
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(b, &d); err != nil || d.OpenAPI != "3.1.0" {
		t.Fatal(d.OpenAPI, err)
	}
	str := map[string]any{"type": "string"}
	want := map[string]any{
		"type": "object", "additionalProperties": false, "required": []any{"where", "token", "sizes"},
		"properties": map[string]any{
			"where": map[string]any{"type": "string", "description": "a place | or none"}, "token": map[string]any{"type": "string", "description": "shown"},
			"at": map[string]any{"type": "string", "format": "date-time"}, "until": map[string]any{"type": "string", "format": "date-time"}, "colour": map[string]any{"type": "string", "enum": []any{"red", "green"}},
			"sizes": map[string]any{"type": "array", "items": map[string]any{"type": "integer", "minimum": 0.0}},
			"words": map[string]any{"type": "object", "additionalProperties": str}, "raw": map[string]any{}, "bytes": map[string]any{"type": "string", "format": "byte"},
		},
	}
	if diff := cmp.Diff(want, d.Components.Schemas["outer"]); diff != "" {
		t.Error(diff)
	}
	written, err := json.Marshal(outer{inner: inner{Token: "secret"}, Sizes: []uint{1}, own: "x"})
	if err != nil || strings.Contains(string(written), "secret") {
		t.Errorf("package json writes %s, %v", written, err)
	}
	if again, err := write(t, things("/things")); err != nil || string(again) != string(b) {
		t.Error("the same API gives another document")
	}
}

func TestWhatCannotBeDocumentedIsRefused(t *testing.T) {
	t.Parallel()
	same := things("/other")
	same.ID = things("/things").ID
	odd := things("/odd")
	odd.Answers = []openapi.Answer{{Status: 200, Body: struct {
		F func() `json:"f"`
	}{}}}
	for name, operations := range map[string][]openapi.Operation{
		"one address twice": {things("/things"), things("/things")}, "one id twice": {things("/things"), same}, "no place in JSON": {odd},
	} {
		if _, err := write(t, operations...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestMarkdownNamesOperationsAndTypes(t *testing.T) {
	t.Parallel()
	o := things("/things/{thing}")
	o.Params = []openapi.Param{{In: openapi.InPath, Name: "thing", Value: ""}, {In: openapi.InQuery, Name: "colour", Description: "Only these", Value: colour("")}}
	o.Needs = "a friend"
	b, err := write(t, o)
	if err != nil {
		t.Fatal(err)
	}
	text, err := openapi.Markdown(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"### `GET /things/{thing}`", "List things. Needs a friend.", "- query `colour`: Only these (one of `\"red\" \"green\"`)",
		"- answers 200 OK, array of [outer](#outer) as `application/json`", "- problems: 404", "| *`colour`* |", `a place \| or none`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if _, err := openapi.Markdown([]byte("{")); err == nil {
		t.Error("half a document was read")
	}
}
