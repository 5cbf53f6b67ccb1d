// Package openapi writes an OpenAPI 3.1 document of an HTTP API from what the API's routes say of themselves and from the Go
// types that they read and write. It knows no route and no type: package portal gives both.
package openapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
)

// Version is the version of the OpenAPI specification that documents follow.
const Version = "3.1.0"

// API is what a document is about.
type API struct {
	Title       string
	Version     string
	Description string
	Operations  []Operation
	Words       Words
	Problem     any    // a value of the type that every error answer has
	ProblemType string // its media type
}

// Operation is what one method of one address does.
type Operation struct {
	Method  string
	Path    string // with parameters in braces: /environments/{env}
	ID      string // unique; the name of the client's method
	Summary string
	Tag     string // groups operations
	Needs   string // who may call it, in words; empty: anybody
	Params  []Param
	Body    any // a value of the JSON body's type; nil: none
	Answers []Answer
	// Problems are the statuses of its error answers.
	Problems []int
}

// In is where a parameter stands.
type In string

// The places of parameters.
const (
	InPath   In = "path"
	InQuery  In = "query"
	InHeader In = "header"
)

// Param is a parameter of an operation.
type Param struct {
	In          In
	Name        string
	Description string
	Value       any // of the parameter's type
}

// Answer is an answer that is no error.
type Answer struct {
	Status  int
	Body    any    // a value of the JSON body's type; nil: see Media
	Media   string // media type of a body that is text; empty: JSON if there is a Body, else no body
	Headers []Header
}

// Header is a header of an answer.
type Header struct {
	Name, Description string
	Optional          bool // not on every answer
}

type document struct {
	OpenAPI    string                          `json:"openapi"`
	Info       info                            `json:"info"`
	Servers    []server                        `json:"servers"`
	Security   []map[string][]string           `json:"security"`
	Tags       []tag                           `json:"tags"`
	Paths      map[string]map[string]operation `json:"paths"`
	Components components                      `json:"components"`
}

type info struct {
	Title       string `json:"title"`
	Version     string `json:"version"`
	Description string `json:"description"`
}

type server struct {
	URL string `json:"url"`
}

type tag struct {
	Name string `json:"name"`
}

type operation struct {
	ID          string                `json:"operationId"`
	Summary     string                `json:"summary"`
	Description string                `json:"description,omitempty"`
	Tags        []string              `json:"tags"`
	Security    []map[string][]string `json:"security,omitempty"`
	Parameters  []parameter           `json:"parameters,omitempty"`
	Body        *body                 `json:"requestBody,omitempty"`
	Responses   map[string]response   `json:"responses"`
}

type parameter struct {
	Name        string  `json:"name"`
	In          In      `json:"in"`
	Description string  `json:"description,omitempty"`
	Required    bool    `json:"required,omitempty"`
	Schema      *Schema `json:"schema"`
}

type body struct {
	Required bool             `json:"required"`
	Content  map[string]media `json:"content"`
}

type media struct {
	Schema *Schema `json:"schema"`
}

type response struct {
	Ref         string            `json:"$ref,omitempty"`
	Description string            `json:"description,omitempty"`
	Headers     map[string]header `json:"headers,omitempty"`
	Content     map[string]media  `json:"content,omitempty"`
}

type header struct {
	Description string  `json:"description"`
	Required    bool    `json:"required,omitempty"`
	Schema      *Schema `json:"schema"`
}

type components struct {
	Schemas         map[string]*Schema        `json:"schemas"`
	Responses       map[string]response       `json:"responses"`
	SecuritySchemes map[string]securityScheme `json:"securitySchemes"`
}

type securityScheme struct {
	Type        string `json:"type"`
	Scheme      string `json:"scheme"`
	Description string `json:"description"`
}

// tokenScheme names the way of saying who one is.
const tokenScheme = "token"

// Document writes a, indented, ending in a newline. It is the same for the same API, byte for byte.
func Document(a API) ([]byte, error) {
	s := schemas{words: a.Words, named: map[string]*Schema{}, types: map[string]reflect.Type{}}
	signedIn := []map[string][]string{{tokenScheme: {}}}
	d := document{
		OpenAPI: Version, Info: info{Title: a.Title, Version: a.Version, Description: a.Description},
		Servers: []server{{URL: "/"}}, Security: signedIn, Paths: map[string]map[string]operation{},
		Components: components{
			Responses: map[string]response{"Problem": {
				Description: "What was refused or failed, and what to do next",
				Content:     map[string]media{a.ProblemType: {Schema: s.of(reflect.TypeOf(a.Problem))}},
			}},
			SecuritySchemes: map[string]securityScheme{tokenScheme: {
				Type: "http", Scheme: "bearer", Description: "An API token, made in the portal. A browser that is signed in sends its session's cookie instead.",
			}},
		},
	}
	ids, tags := map[string]bool{}, map[string]bool{}
	for _, o := range a.Operations {
		at := d.Paths[o.Path]
		if at == nil {
			at = map[string]operation{}
			d.Paths[o.Path] = at
		}
		method := strings.ToLower(o.Method)
		if _, there := at[method]; there || ids[o.ID] || o.ID == "" {
			return nil, fmt.Errorf("operation %q at %s %s: the address or the id is taken", o.ID, o.Method, o.Path)
		}
		ids[o.ID] = true
		at[method] = s.operation(o)
		if !tags[o.Tag] {
			tags[o.Tag] = true
			d.Tags = append(d.Tags, tag{o.Tag})
		}
	}
	if s.err != nil {
		return nil, s.err
	}
	d.Components.Schemas = s.named
	b, err := json.MarshalIndent(d, "", "  ")
	return append(b, '\n'), err
}

func (s *schemas) operation(o Operation) operation {
	out := operation{ID: o.ID, Summary: o.Summary, Tags: []string{o.Tag}, Responses: map[string]response{}}
	if o.Needs == "" {
		out.Security = []map[string][]string{{}}
	} else {
		out.Description = "Needs " + o.Needs + "."
	}
	for _, p := range o.Params {
		out.Parameters = append(out.Parameters, parameter{
			Name: p.Name, In: p.In, Description: p.Description, Required: p.In == InPath, Schema: s.of(reflect.TypeOf(p.Value)),
		})
	}
	if o.Body != nil {
		out.Body = &body{Required: true, Content: map[string]media{"application/json": {Schema: s.of(reflect.TypeOf(o.Body))}}}
	}
	for _, a := range o.Answers {
		code := strconv.Itoa(a.Status)
		r, there := out.Responses[code]
		if !there {
			r = response{Description: http.StatusText(a.Status)}
		}
		for _, h := range a.Headers {
			if r.Headers == nil {
				r.Headers = map[string]header{}
			}
			r.Headers[h.Name] = header{Description: h.Description, Required: !h.Optional, Schema: &Schema{Type: "string"}}
		}
		if a.Media != "" || a.Body != nil {
			if r.Content == nil {
				r.Content = map[string]media{}
			}
			if a.Media != "" {
				r.Content[a.Media] = media{Schema: &Schema{Type: "string"}}
			} else {
				r.Content["application/json"] = media{Schema: s.of(reflect.TypeOf(a.Body))}
			}
		}
		out.Responses[code] = r
	}
	for _, code := range o.Problems {
		out.Responses[strconv.Itoa(code)] = response{Ref: "#/components/responses/Problem"}
	}
	return out
}
