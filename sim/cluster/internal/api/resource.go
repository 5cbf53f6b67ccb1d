package api

import (
	"fmt"
	"maps"
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// resource describes one kind of object that the server keeps: a row of the table in resources.go.
type resource struct {
	kind       schema.GroupVersionKind
	plural     string
	singular   string
	short      []string
	namespaced bool
	all        bool          // among what `kubectl get all` shows
	volatile   bool          // not kept over a restart
	scale      bool          // has a /scale subresource
	ttl        time.Duration // after its last change an object is forgotten; 0: never. For volatile ones only

	refused string // why none can be created: it is served so that one sees that there is none; "": it can

	object, list reflect.Type // struct types

	// selectable are the fields, beyond name and namespace, that clients may select by; fields gives their values.
	selectable []string
	fields     func(runtime.Object) fields.Set

	rules
	columns   columns
	preferred func(list runtime.Object) string // see tabler
}

// rules are a kind's own rules of writing, beyond those that hold for every object. Each may be nil.
type rules struct {
	name     nameRule                                        // default: a DNS subdomain
	create   func(o runtime.Object)                          // completes an object about to be created
	update   func(o, old runtime.Object)                     // completes an object about to be replaced
	validate func(o runtime.Object) field.ErrorList          // on every write of the object itself
	replace  func(o, old runtime.Object) field.ErrorList     // on updates: what may not change
	grace    func(o runtime.Object, asked *int64) (s *int64) // of a deletion in seconds; nil: none
}

// nameRule tells what is wrong with a name, or with the fixed part of a generated one.
type nameRule func(name string, prefix bool) []string

// of describes the resource whose objects are of type O and whose lists are of type L.
func of[O, L any](gv schema.GroupVersion, kind, plural, singular string, short ...string) *resource {
	return &resource{
		kind: gv.WithKind(kind), plural: plural, singular: singular, short: short, namespaced: true,
		object: reflect.TypeFor[O](), list: reflect.TypeFor[L](),
	}
}

// on adapts a function of one type to the signature of the hooks. The registry hands a hook objects of its own
// resource's type only; any other is none of the function's business.
func on[O, R any](f func(o *O) R) func(runtime.Object) R {
	return func(o runtime.Object) (r R) {
		if x, ok := any(o).(*O); ok {
			return f(x)
		}
		return r
	}
}

// do is on for a function without a result.
func do[O any](f func(o *O)) func(runtime.Object) {
	return func(o runtime.Object) {
		if x, ok := any(o).(*O); ok {
			f(x)
		}
	}
}

// on2 is on for a function of the new and the old object.
func on2[O, R any](f func(o, old *O) R) func(o, old runtime.Object) R {
	return func(o, old runtime.Object) (r R) {
		x, ok := any(o).(*O)
		y, same := any(old).(*O)
		if ok && same {
			return f(x, y)
		}
		return r
	}
}

func (r *resource) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: r.kind.Group, Resource: r.plural}
}

// newObject gives an empty object.
func (r *resource) newObject() runtime.Object { return fresh(r.object) }

// newList gives an empty list.
func (r *resource) newList() runtime.Object { return fresh(r.list) }

// fresh gives a pointer to a new t. Every served type is a runtime.Object by its pointer (newTypes registers them all); a
// type that is not shows at once as an empty status in the tests of every kind.
func fresh(t reflect.Type) runtime.Object {
	if o, ok := reflect.TypeAssert[runtime.Object](reflect.New(t)); ok {
		return o
	}
	return &metav1.Status{}
}

// part gives a field of an object's struct, as "Spec".
func part(o runtime.Object, name string) (reflect.Value, bool) {
	v := reflect.ValueOf(o).Elem().FieldByName(name)
	return v, v.IsValid()
}

// has tells whether the kind has a field, as "Status".
func (r *resource) has(name string) bool {
	_, ok := r.object.FieldByName(name)
	return ok
}

// attributes gives what selectors look at.
func (r *resource) attributes(o runtime.Object) (labels.Set, fields.Set, error) {
	m, err := meta.Accessor(o)
	if err != nil {
		return nil, nil, fmt.Errorf("select %s: %w", r.plural, err)
	}
	f := fields.Set{"metadata.name": m.GetName()}
	if r.namespaced {
		f["metadata.namespace"] = m.GetNamespace()
	}
	if r.fields != nil {
		maps.Copy(f, r.fields(o))
	}
	return m.GetLabels(), f, nil
}
