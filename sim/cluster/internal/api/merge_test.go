package api

import (
	"encoding/json"
	"flag"
	"os"
	"sort"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/applyconfigurations"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
)

var update = flag.Bool("update", false, "write merge.json from client-go")

// reachable gives the types of all that the served kinds refer to.
func reachable(t *testing.T) []schema.TypeDef {
	t.Helper()
	tv, err := applyconfigurations.NewTypeConverter(clientscheme.Scheme).ObjectToTyped(
		&appsv1.Deployment{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]schema.TypeDef{}
	for _, d := range tv.Schema().Types {
		all[d.Name] = d
	}
	served, err := newTypes(newResources())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]schema.TypeDef{}
	var visit func(name string)
	var atom func(a schema.Atom)
	ref := func(r schema.TypeRef) {
		if r.NamedType != nil {
			visit(*r.NamedType)
		}
		atom(r.Inlined)
	}
	atom = func(a schema.Atom) {
		if a.List != nil {
			ref(a.List.ElementType)
		}
		if a.Map != nil {
			ref(a.Map.ElementType)
			for _, f := range a.Map.Fields {
				ref(f.Type)
			}
		}
	}
	visit = func(name string) {
		d, known := all[name]
		if _, seen := found[name]; seen || !known {
			return
		}
		if d.Map != nil { // a copy, since the schema is client-go's, and without unions, which do not merge
			m := &schema.Map{ElementType: d.Map.ElementType, ElementRelationship: d.Map.ElementRelationship}
			for _, f := range d.Map.Fields {
				f.Default = jsonable(f.Default)
				m.Fields = append(m.Fields, f)
			}
			d.Map = m
		}
		found[name] = d
		atom(d.Atom)
	}
	for gvk := range served.public.AllKnownTypes() {
		if name, err := served.public.ToOpenAPIDefinitionName(gvk); err == nil {
			visit(name)
		}
	}
	visit("__untyped_atomic_")
	visit("__untyped_deduced_")
	var out []schema.TypeDef
	for _, d := range found {
		out = append(out, d)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// jsonable gives a default as JSON reads it: YAML makes {} a map of anything, and tells whole numbers apart.
func jsonable(v any) any {
	switch x := v.(type) {
	case map[any]any:
		return map[string]any{}
	case int:
		return float64(x)
	case int64:
		return float64(x)
	}
	return v
}

func wire(a schema.Atom) mergeAtom {
	out := mergeAtom{Scalar: a.Scalar}
	if l := a.List; l != nil {
		out.List = &mergeList{Element: wireRef(l.ElementType), Relationship: l.ElementRelationship, Keys: l.Keys}
	}
	if m := a.Map; m != nil {
		out.Map = &mergeMap{Element: wireRef(m.ElementType), Relationship: m.ElementRelationship}
		for _, f := range m.Fields {
			out.Map.Fields = append(out.Map.Fields, mergeField{Name: f.Name, Type: wireRef(f.Type), Default: jsonable(f.Default)})
		}
	}
	return out
}

func wireRef(r schema.TypeRef) mergeRef {
	return mergeRef{Type: r.NamedType, Relationship: r.ElementRelationship, mergeAtom: wire(r.Inlined)}
}

func TestMergeSchemaIsThatOfClientGo(t *testing.T) {
	want := reachable(t)
	if *update {
		var out []mergeType
		for _, d := range want {
			out = append(out, mergeType{Name: d.Name, mergeAtom: wire(d.Atom)})
		}
		b, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("merge.json", append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		mergeJSON = b
	}
	got, err := mergeSchema()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) || len(got) < 200 {
		t.Fatalf("%d types, want %d: run the test with -update", len(got), len(want))
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(schema.Map{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("not as in client-go, run the test with -update:\n%s", diff)
	}
}

func BenchmarkMergeSchema(b *testing.B) {
	for b.Loop() {
		if _, err := mergeSchema(); err != nil {
			b.Fatal(err)
		}
	}
}
