package api

import (
	"encoding/json"
	"flag"
	"os"
	"sort"
	"testing"

	"github.com/google/go-cmp/cmp"
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
		if d.Map != nil {
			d.Map = jsonable(d.Map)
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

// jsonable copies m with defaults of a type that JSON can hold: YAML reads {} as a map of anything.
func jsonable(m *schema.Map) *schema.Map {
	out := &schema.Map{ElementType: m.ElementType, ElementRelationship: m.ElementRelationship, Unions: m.Unions}
	for _, f := range m.Fields {
		if d, ok := f.Default.(map[any]any); ok && len(d) == 0 {
			f.Default = map[string]any{}
		}
		out.Fields = append(out.Fields, f)
	}
	return out
}

func TestMergeSchemaIsThatOfClientGo(t *testing.T) {
	want, err := json.Marshal(reachable(t))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("merge.json", append(want, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		mergeJSON = want
	}
	types, err := mergeSchema()
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(types)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error("merge.json is not client-go's schema: run the test with -update")
	}
	if len(types) < 200 {
		t.Errorf("only %d types", len(types))
	}
}

func BenchmarkMergeSchema(b *testing.B) {
	for b.Loop() {
		if _, err := mergeSchema(); err != nil {
			b.Fatal(err)
		}
	}
}
