package api

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"
	smd "sigs.k8s.io/structured-merge-diff/v6/schema"
)

// models are the OpenAPI schemas of the served types. Kubernetes generates them as code; here they are read off the Go
// types (names, JSON tags, patch tags, SwaggerDoc) and the merge schema (list keys, defaults that are part of such a key).
type models struct {
	types *types
	merge map[string]smd.TypeDef
}

func (d *documents) readModels() (*models, error) {
	defs, err := mergeSchema()
	if err != nil {
		return nil, err
	}
	m := &models{types: d.types, merge: map[string]smd.TypeDef{}}
	for _, t := range defs {
		m.merge[t.Name] = t
	}
	return m, nil
}

// definitions builds every model; ref says how one refers to another.
func (m *models) definitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	b := &modelBuilder{models: m, ref: ref, out: map[string]common.OpenAPIDefinition{}}
	for _, t := range m.types.AllKnownTypes() {
		b.model(t)
	}
	for _, o := range []any{version.Info{}, metav1.APIGroup{}, metav1.APIGroupList{}, metav1.APIResourceList{}, metav1.APIVersions{}, metav1.Status{}, metav1.Patch{}} {
		b.model(reflect.TypeOf(o))
	}
	return b.out
}

type modelBuilder struct {
	*models
	ref common.ReferenceCallback
	out map[string]common.OpenAPIDefinition
}

// model adds the model of t, and those it refers to, and gives its name.
func (b *modelBuilder) model(t reflect.Type) string {
	name := util.GetCanonicalTypeName(reflect.New(t).Interface())
	if _, done := b.out[name]; done {
		return name
	}
	b.out[name] = common.OpenAPIDefinition{} // types may refer to themselves
	var s spec.Schema
	if own, ok := reflect.TypeAssert[interface {
		OpenAPISchemaType() []string
		OpenAPISchemaFormat() string
	}](reflect.New(t)); ok { // as Time, Quantity and IntOrString do
		s.Type, s.Format = own.OpenAPISchemaType(), own.OpenAPISchemaFormat()
		b.out[name] = common.OpenAPIDefinition{Schema: s}
		return name
	}
	s.Type = []string{"object"}
	needs := map[string]bool{}
	if t.Kind() == reflect.Struct && !opaque(t) {
		s.Properties = map[string]spec.Schema{}
		b.fields(t, &s, needs, b.merge[name])
	}
	b.out[name] = common.OpenAPIDefinition{Schema: s, Dependencies: slices.Sorted(maps.Keys(needs))}
	return name
}

// opaque types hold any JSON object.
func opaque(t reflect.Type) bool {
	return slices.Contains([]reflect.Type{reflect.TypeFor[metav1.FieldsV1](), reflect.TypeFor[metav1.Patch](), reflect.TypeFor[runtime.RawExtension]()}, t)
}

// fields adds the properties of struct t to s.
func (b *modelBuilder) fields(t reflect.Type, s *spec.Schema, needs map[string]bool, merge smd.TypeDef) {
	var docs map[string]string
	if d, ok := reflect.TypeAssert[interface{ SwaggerDoc() map[string]string }](reflect.New(t)); ok {
		docs = d.SwaggerDoc()
		if s.Description == "" {
			s.Description = docs[""]
		}
	}
	for f := range t.Fields() {
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		options := strings.Split(opts, ",")
		if f.Anonymous && (name == "" || slices.Contains(options, "inline")) {
			b.fields(plain(f.Type), s, needs, merge)
			continue
		}
		if name == "-" || name == "" || !f.IsExported() {
			continue
		}
		p := b.schema(f.Type, needs)
		p.Description = docs[name]
		optional := slices.Contains(options, "omitempty") || slices.Contains(options, "omitzero") || f.Type.Kind() == reflect.Pointer || name == "status"
		if !optional {
			s.Required = append(s.Required, name)
		}
		if ref := p.Ref; ref.String() != "" && p.Description != "" { // beside a $ref nothing else counts: wrap it
			p.Ref = spec.Ref{}
			p.AllOf = []spec.Schema{{SchemaProps: spec.SchemaProps{Ref: ref}}}
		}
		merging(&p, merge, name)
		if k := f.Tag.Get("patchMergeKey"); k != "" {
			p.AddExtension("x-kubernetes-patch-merge-key", k)
		}
		if k := f.Tag.Get("patchStrategy"); k != "" {
			p.AddExtension("x-kubernetes-patch-strategy", k)
		}
		s.Properties[name] = p
	}
	if merge.Map != nil && merge.Map.ElementRelationship == smd.Atomic {
		s.AddExtension("x-kubernetes-map-type", "atomic")
	}
}

// merging says in p how the field of that name merges.
func merging(p *spec.Schema, merge smd.TypeDef, name string) {
	if merge.Map == nil {
		return
	}
	f, ok := merge.Map.FindField(name)
	if !ok {
		return
	}
	if f.Default != nil {
		p.Default = f.Default
		if reflect.TypeOf(f.Default).Kind() == reflect.Map {
			p.Default = map[string]any{}
		}
	}
	list, whole := f.Type.Inlined.List, f.Type.ElementRelationship
	switch {
	case list != nil && list.ElementRelationship == smd.Associative && len(list.Keys) > 0:
		p.AddExtension("x-kubernetes-list-type", "map")
		p.AddExtension("x-kubernetes-list-map-keys", anys(list.Keys))
	case list != nil && list.ElementRelationship == smd.Associative:
		p.AddExtension("x-kubernetes-list-type", "set")
	case list != nil:
		p.AddExtension("x-kubernetes-list-type", "atomic")
	case f.Type.Inlined.Map != nil && f.Type.Inlined.Map.ElementRelationship == smd.Atomic, whole != nil && *whole == smd.Atomic:
		p.AddExtension("x-kubernetes-map-type", "atomic")
	}
}

func anys(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}

// plain gives what t points to.
func plain(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// schema gives the schema of a value of type t.
func (b *modelBuilder) schema(t reflect.Type, needs map[string]bool) spec.Schema {
	of := func(kind, format string) spec.Schema {
		return spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{kind}, Format: format}}
	}
	t = plain(t)
	switch t.Kind() { //nolint:exhaustive // Kubernetes' types use no other kinds but interfaces
	case reflect.String:
		return of("string", "")
	case reflect.Bool:
		return of("boolean", "")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return of("integer", "int32")
	case reflect.Int64, reflect.Uint64:
		return of("integer", "int64")
	case reflect.Float32, reflect.Float64:
		return of("number", "double")
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return of("string", "byte")
		}
		s, e := of("array", ""), b.schema(t.Elem(), needs)
		s.Items = &spec.SchemaOrArray{Schema: &e}
		return s
	case reflect.Map:
		s, e := of("object", ""), b.schema(t.Elem(), needs)
		s.AdditionalProperties = &spec.SchemaOrBool{Allows: true, Schema: &e}
		return s
	case reflect.Struct:
		name := b.model(t)
		needs[name] = true
		return spec.Schema{SchemaProps: spec.SchemaProps{Ref: b.ref(name)}}
	default: // an interface: anything
		return spec.Schema{SchemaProps: spec.SchemaProps{Description: fmt.Sprintf("any %s", t)}}
	}
}
