package api

import (
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// lazyConverter is a type converter that is made at first use.
type lazyConverter struct {
	get func() managedfields.TypeConverter
}

func newTypeConverter(t *types) managedfields.TypeConverter {
	return lazyConverter{sync.OnceValue(func() managedfields.TypeConverter { return applyconfigurations.NewTypeConverter(t.public) })}
}

// ObjectToTyped converts.
func (c lazyConverter) ObjectToTyped(o runtime.Object, opts ...typed.ValidationOptions) (*typed.TypedValue, error) {
	return c.get().ObjectToTyped(o, opts...)
}

// TypedToObject converts back.
func (c lazyConverter) TypedToObject(v *typed.TypedValue) (runtime.Object, error) {
	return c.get().TypedToObject(v)
}
