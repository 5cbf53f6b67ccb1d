package openapi

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Schema is a JSON Schema, draft 2020-12, as far as documents use it.
type Schema struct {
	Ref         string             `json:"$ref,omitempty"`
	Type        any                `json:"type,omitempty"` // a name, or a list of them
	Format      string             `json:"format,omitempty"`
	Description string             `json:"description,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Minimum     *int               `json:"minimum,omitempty"`
	Items       *Schema            `json:"items,omitempty"`
	Properties  map[string]*Schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Additional  any                `json:"additionalProperties,omitempty"` // false, or the schema of a map's values
	WriteOnly   bool               `json:"writeOnly,omitempty"`
}

// Words is what reflection does not find in the types.
type Words struct {
	// Enums lists the values of string types that have few.
	Enums map[reflect.Type][]string
	// Patterns gives the form of other string types.
	Patterns map[reflect.Type]string
	// Secret is the string type whose values are never answered.
	Secret reflect.Type
	// Fields describes fields, by "Type.Field" in Go's names.
	Fields map[string]string
}

// schemas collects the schemas of types.
type schemas struct {
	words Words
	named map[string]*Schema
	types map[string]reflect.Type
	err   error
}

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
	textType = reflect.TypeFor[encoding.TextMarshaler]()
)

// of gives the schema of a type: a reference for a struct, whose schema is among the named ones then.
func (s *schemas) of(t reflect.Type) *Schema {
	if t != nil && t.Kind() == reflect.Pointer {
		return s.of(t.Elem())
	}
	switch {
	case t == nil || t == rawType || t.Kind() == reflect.Interface:
		return &Schema{}
	case t == timeType:
		return &Schema{Type: "string", Format: "date-time"}
	case t == s.words.Secret:
		return &Schema{Type: "string", Format: "password", WriteOnly: true}
	case t.Implements(textType):
		return &Schema{Type: "string"}
	}
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 { // package encoding/json writes base64
		return &Schema{Type: "string", Format: "byte"}
	}
	switch t.Kind() { //nolint:exhaustive // the others have no place in JSON, which is told below
	case reflect.String:
		return &Schema{Type: "string", Enum: s.words.Enums[t], Pattern: s.words.Patterns[t]}
	case reflect.Bool:
		return &Schema{Type: "boolean"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return &Schema{Type: "integer"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return &Schema{Type: "integer", Minimum: new(0)}
	case reflect.Float32, reflect.Float64:
		return &Schema{Type: "number"}
	case reflect.Slice, reflect.Array:
		return &Schema{Type: "array", Items: s.of(t.Elem())}
	case reflect.Map:
		return &Schema{Type: "object", Additional: s.of(t.Elem())}
	case reflect.Struct:
		return s.object(t)
	}
	s.fail(fmt.Errorf("type %s has no place in JSON", t))
	return &Schema{}
}

func (s *schemas) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// object gives a reference to the schema of a struct.
func (s *schemas) object(t reflect.Type) *Schema {
	name := t.Name()
	ref := &Schema{Ref: "#/components/schemas/" + name}
	if other, there := s.types[name]; there {
		if other != t {
			s.fail(fmt.Errorf("%s and %s have one name", other, t))
		}
		return ref
	}
	out := &Schema{Type: "object", Properties: map[string]*Schema{}, Additional: false}
	s.types[name], s.named[name] = t, out
	for _, f := range fields(t) {
		p := s.of(f.Type)
		p.Description = s.words.Fields[f.owner+"."+f.Name]
		out.Properties[f.json] = p
		if !f.optional {
			out.Required = append(out.Required, f.json)
		}
	}
	return ref
}

// field is a field as package encoding/json sees it.
type field struct {
	reflect.StructField
	owner    string // name of the struct that declares it
	json     string
	optional bool
}

// fields lists the fields of a struct in their order, those of embedded structs in the place of the embedded one. Of two
// that have one name in JSON the less deep one counts, as in package encoding/json.
func fields(t reflect.Type) []field {
	var out []field
	at := map[string]int{} // index in out
	var walk func(t reflect.Type, depth int)
	depths := map[string]int{}
	walk = func(t reflect.Type, depth int) {
		for f := range t.Fields() {
			tag, has := f.Tag.Lookup("json")
			name, opts, _ := strings.Cut(tag, ",")
			switch {
			case tag == "-", !f.IsExported() && !f.Anonymous:
				continue
			case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
				walk(f.Type, depth+1)
				continue
			case !has || name == "":
				name = f.Name
			}
			x := field{StructField: f, owner: t.Name(), json: name, optional: strings.Contains(opts, "omitempty") || strings.Contains(opts, "omitzero")}
			if i, there := at[name]; there {
				if depth < depths[name] {
					out[i], depths[name] = x, depth
				}
				continue
			}
			at[name], depths[name] = len(out), depth
			out = append(out, x)
		}
	}
	walk(t, 0)
	return out
}
