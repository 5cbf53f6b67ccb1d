package api

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// statusEndpoint is a /status or /finalize subresource: the same objects, written by another strategy.
type statusEndpoint struct{ store *genericregistry.Store }

var (
	_ rest.Patcher             = statusEndpoint{}
	_ rest.ResetFieldsStrategy = statusEndpoint{}
	_ rest.TableConvertor      = statusEndpoint{}
)

// New gives an empty object.
func (e statusEndpoint) New() runtime.Object { return e.store.New() }

// Destroy has nothing to give back: the store belongs to the main endpoint.
func (e statusEndpoint) Destroy() {}

// Get reads the object.
func (e statusEndpoint) Get(ctx context.Context, name string, opts *metav1.GetOptions) (runtime.Object, error) {
	return e.store.Get(ctx, name, opts)
}

// Update writes the status. It never creates.
func (e statusEndpoint) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, _ bool, opts *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	return e.store.Update(ctx, name, info, create, update, false, opts)
}

// GetResetFields names what this endpoint does not write.
func (e statusEndpoint) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return e.store.GetResetFields()
}

// ConvertToTable renders the object for kubectl.
func (e statusEndpoint) ConvertToTable(ctx context.Context, o, opts runtime.Object) (*metav1.Table, error) {
	return e.store.ConvertToTable(ctx, o, opts)
}
