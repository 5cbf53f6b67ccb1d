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

// mergeSchema reads [mergeJSON].
func mergeSchema() ([]schema.TypeDef, error) {
	var out []schema.TypeDef
	if err := json.Unmarshal(mergeJSON, &out); err != nil {
		return nil, fmt.Errorf("read merge.json: %w", err)
	}
	return out, nil
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
		return managedfields.NewSchemeTypeConverter(t.public, &typed.Parser{Schema: schema.Schema{Types: defs}}), nil
	})}
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
