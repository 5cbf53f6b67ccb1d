package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// mergeJSON says how each field of the served types merges: which lists are sets or maps by which keys, which values are
// one piece. Go tags do not say so; client-go carries it, for all of Kubernetes, as YAML that takes 80 ms to parse on the
// first write. This is the part for the types here, as JSON. TestMergeSchemaIsThatOfClientGo compares and, with -update,
// writes it.
//
//go:embed merge.json
var mergeJSON []byte

// The form of merge.json. The schema's own types say how they look in YAML only.
type (
	mergeType struct {
		Name string `json:"name"`
		mergeAtom
	}
	mergeAtom struct {
		Scalar *schema.Scalar `json:"scalar,omitempty"`
		List   *mergeList     `json:"list,omitempty"`
		Map    *mergeMap      `json:"map,omitempty"`
	}
	mergeList struct {
		Element      mergeRef                   `json:"element"`
		Relationship schema.ElementRelationship `json:"relationship,omitempty"`
		Keys         []string                   `json:"keys,omitempty"`
	}
	mergeMap struct {
		Fields       []mergeField               `json:"fields,omitempty"`
		Element      mergeRef                   `json:"element,omitzero"`
		Relationship schema.ElementRelationship `json:"relationship,omitempty"`
	}
	mergeField struct {
		Name    string   `json:"name"`
		Type    mergeRef `json:"type"`
		Default any      `json:"default,omitempty"`
	}
	mergeRef struct {
		Type         *string                     `json:"type,omitempty"`
		Relationship *schema.ElementRelationship `json:"relationship,omitempty"`
		mergeAtom
	}
)

// mergeSchema reads [mergeJSON].
func mergeSchema() ([]schema.TypeDef, error) {
	var in []mergeType
	if err := json.Unmarshal(mergeJSON, &in); err != nil {
		return nil, fmt.Errorf("read merge.json: %w", err)
	}
	out := make([]schema.TypeDef, len(in))
	for i, t := range in {
		out[i] = schema.TypeDef{Name: t.Name, Atom: t.atom()}
	}
	return out, nil
}

func (a mergeAtom) atom() schema.Atom {
	out := schema.Atom{Scalar: a.Scalar}
	if l := a.List; l != nil {
		out.List = &schema.List{ElementType: l.Element.ref(), ElementRelationship: l.Relationship, Keys: l.Keys}
	}
	if m := a.Map; m != nil {
		out.Map = &schema.Map{ElementType: m.Element.ref(), ElementRelationship: m.Relationship}
		for _, f := range m.Fields {
			out.Map.Fields = append(out.Map.Fields, schema.StructField{Name: f.Name, Type: f.Type.ref(), Default: f.Default})
		}
	}
	return out
}

func (r mergeRef) ref() schema.TypeRef {
	return schema.TypeRef{NamedType: r.Type, ElementRelationship: r.Relationship, Inlined: r.atom()}
}

// converter turns objects into the form in which server-side apply and field managers compare them. Its schema is read
// at first use.
type converter struct {
	get func() (managedfields.TypeConverter, error)
}

var _ managedfields.TypeConverter = converter{}

func newConverter(t *types) converter {
	return converter{sync.OnceValues(func() (managedfields.TypeConverter, error) {
		defs, err := mergeSchema()
		if err != nil {
			return nil, err
		}
		return managedfields.NewSchemeTypeConverter(t.public, &typed.Parser{Schema: schema.Schema{Types: append(defs, scaleTypes()...)}}), nil
	})}
}

// scaleTypes are the types of autoscaling/v1 Scale, which client-go never applies and so leaves out.
func scaleTypes() []schema.TypeDef {
	numeric, text := schema.Numeric, schema.String
	field := func(name string, a schema.Atom) schema.StructField {
		return schema.StructField{Name: name, Type: schema.TypeRef{Inlined: a}}
	}
	named := func(name, of string) schema.StructField {
		return schema.StructField{Name: name, Type: schema.TypeRef{NamedType: &of}}
	}
	def := func(name string, f ...schema.StructField) schema.TypeDef {
		return schema.TypeDef{Name: name, Atom: schema.Atom{Map: &schema.Map{Fields: f}}}
	}
	const scale = "io.k8s.api.autoscaling.v1.Scale"
	return []schema.TypeDef{
		def(scale, field("apiVersion", schema.Atom{Scalar: &text}), field("kind", schema.Atom{Scalar: &text}),
			named("metadata", "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"), named("spec", scale+"Spec"), named("status", scale+"Status")),
		def(scale+"Spec", field("replicas", schema.Atom{Scalar: &numeric})),
		def(scale+"Status", field("replicas", schema.Atom{Scalar: &numeric}), field("selector", schema.Atom{Scalar: &text})),
	}
}

// ObjectToTyped gives o in that form.
func (c converter) ObjectToTyped(o runtime.Object, opts ...typed.ValidationOptions) (*typed.TypedValue, error) {
	tc, err := c.get()
	if err != nil {
		return nil, err
	}
	return tc.ObjectToTyped(o, opts...)
}

// TypedToObject gives the object back.
func (c converter) TypedToObject(v *typed.TypedValue) (runtime.Object, error) {
	tc, err := c.get()
	if err != nil {
		return nil, err
	}
	return tc.TypedToObject(v)
}
