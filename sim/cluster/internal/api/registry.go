package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"

	"github.com/dpesim/dpesim/sim/cluster/internal/api/rbac"
)

// registry holds the stores of all resources, and the endpoints over them by version and path ("pods/status").
type registry struct {
	types     *types
	ledger    *ledger
	stamp     stamper
	options   Options
	resources []*resource
	stores    map[string]*kindStore // by plural
	status    map[schema.GroupResource]statusEndpoint
	storage   map[schema.GroupVersion]map[string]rest.Storage

	authorizer rbac.Authorizer
}

// kindStore is the main endpoint of a resource.
type kindStore struct {
	*genericregistry.Store
	r       *resource
	objects *store
}

var (
	_ rest.StandardStorage      = (*kindStore)(nil)
	_ rest.ShortNamesProvider   = (*kindStore)(nil)
	_ rest.CategoriesProvider   = (*kindStore)(nil)
	_ rest.SingularNameProvider = (*kindStore)(nil)
)

// ShortNames gives what people type.
func (k *kindStore) ShortNames() []string { return k.r.short }

// Categories says whether the resource is among `all`.
func (k *kindStore) Categories() []string {
	if k.r.all {
		return []string{"all"}
	}
	return nil
}

func newRegistry(l *ledger, o Options) (*registry, error) {
	resources := newResources()
	t, err := newTypes(resources)
	if err != nil {
		return nil, err
	}
	reg := &registry{
		types: t, ledger: l, stamp: stamper{o.Clock}, options: o, resources: resources,
		stores: map[string]*kindStore{}, status: map[schema.GroupResource]statusEndpoint{}, storage: map[schema.GroupVersion]map[string]rest.Storage{},
	}
	reg.authorizer = rbac.Authorizer{Source: policySource{reg}}
	for _, gv := range served() {
		reg.storage[gv] = map[string]rest.Storage{}
	}
	for _, r := range resources {
		if err := reg.add(r); err != nil {
			return nil, fmt.Errorf("serve %s: %w", r.plural, err)
		}
	}
	reg.addSubresources()
	return reg, nil
}

// add makes the store of r, its main endpoint and, where the kind has them, /status and /scale.
func (reg *registry) add(r *resource) error {
	main := strategy{ObjectTyper: reg.types, r: r, draw: reg.options.Draw, conceal: reg.options.Conceal, stamp: reg.stamp}
	k := &kindStore{r: r, objects: newStore(reg.ledger, r.plural, !r.volatile, r.newObject, reg.options.Clock)}
	if r.ttl > 0 {
		k.objects.expiry = &expiry{after: r.ttl, changed: map[string]time.Time{}}
	}
	k.Store = &genericregistry.Store{
		NewFunc: r.newObject, NewListFunc: r.newList,
		DefaultQualifiedResource:  r.groupResource(),
		SingularQualifiedResource: schema.GroupResource{Group: r.kind.Group, Resource: r.singular},
		PredicateFunc: func(l labels.Selector, f fields.Selector) storage.SelectionPredicate {
			return storage.SelectionPredicate{Label: l, Field: f, GetAttrs: r.attributes}
		},
		CreateStrategy: main, UpdateStrategy: main, DeleteStrategy: main, ResetFieldsStrategy: main,
		TableConvertor: tabler{r.columns, reg.options.Clock, r.preferred},
	}
	if r.grace != nil {
		k.DeleteStrategy = graceful{main}
	}
	if r.namespaced {
		k.BeginCreate = reg.requireNamespace
	}
	if r.refused != "" {
		k.BeginCreate = func(_ context.Context, o runtime.Object, _ *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
			m, err := meta.Accessor(o)
			if err != nil {
				return nil, err
			}
			return nil, apierrors.NewForbidden(r.groupResource(), m.GetName(), errors.New(r.refused))
		}
	}
	err := k.CompleteWithOptions(&generic.StoreOptions{AttrFunc: r.attributes, RESTOptions: generic.RESTOptions{
		StorageConfig:           &storagebackend.ConfigForResource{Config: storagebackend.Config{Codec: reg.types.codecs.LegacyCodec(r.kind.GroupVersion())}},
		Decorator:               k.decorate,
		EnableGarbageCollection: true, // honour propagation policies by finalizers
		DeleteCollectionWorkers: 1,
		ResourcePrefix:          r.groupResource().String(),
	}})
	if err != nil {
		return err
	}
	reg.stores[r.plural] = k
	at := reg.storage[r.kind.GroupVersion()]
	at[r.plural] = k
	if r.has("Status") {
		second := *k.Store
		status := main
		status.status = true
		second.UpdateStrategy, second.ResetFieldsStrategy = status, status
		reg.status[r.groupResource()] = statusEndpoint{&second}
		at[r.plural+"/status"] = statusEndpoint{&second}
	}
	if r.scale {
		at[r.plural+"/scale"] = scaleEndpoint{k}
	}
	return nil
}

// decorate hands our store to the generic registry, which would else connect to etcd.
func (k *kindStore) decorate(*storagebackend.ConfigForResource, string, func(runtime.Object) (string, error), func() runtime.Object,
	func() runtime.Object, storage.AttrFunc, storage.IndexerFuncs, *cache.Indexers,
) (storage.Interface, factory.DestroyFunc, error) {
	return k.objects, func() {}, nil
}

// requireNamespace refuses objects in a namespace that is not there or about to go.
func (reg *registry) requireNamespace(ctx context.Context, o runtime.Object, _ *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
	name := request.NamespaceValue(ctx)
	found, err := reg.stores["namespaces"].Get(ctx, name, &metav1.GetOptions{})
	if apierrors.IsNotFound(err) { // the store would name the resource that was asked for
		return nil, apierrors.NewNotFound(corev1.Resource("namespaces"), name)
	}
	if err != nil {
		return nil, err
	}
	m, err := meta.Accessor(o)
	if err != nil {
		return nil, err
	}
	if n, ok := found.(*corev1.Namespace); ok && n.DeletionTimestamp != nil {
		info, _ := request.RequestInfoFrom(ctx)
		gr := schema.GroupResource{}
		if info != nil {
			gr = schema.GroupResource{Group: info.APIGroup, Resource: info.Resource}
		}
		err := apierrors.NewForbidden(gr, m.GetName(), fmt.Errorf("unable to create new content in namespace %s because it is being terminated", name))
		err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
			Type: corev1.NamespaceTerminatingCause, Message: fmt.Sprintf("namespace %s is being terminated", name), Field: "metadata.namespace",
		})
		return nil, err
	}
	return func(context.Context, bool) {}, nil
}

// load puts back what a former run left, and adds the namespaces, roles and bindings that every cluster has.
func (reg *registry) load(ctx context.Context, rows []row) error {
	byPrefix := map[string]*store{}
	for _, k := range reg.stores {
		byPrefix[k.r.groupResource().String()] = k.objects
	}
	for _, r := range rows {
		prefix, _, _ := strings.Cut(strings.TrimPrefix(r.key, "/"), "/")
		s, ok := byPrefix[prefix]
		if !ok {
			return fmt.Errorf("load %s: this dpesim serves no %s", r.key, prefix)
		}
		if err := s.load(r); err != nil {
			return err
		}
	}
	ctx = request.WithNamespace(ctx, "")
	for _, name := range systemNamespaces() {
		n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		reg.types.Default(n)
		_, err := reg.stores["namespaces"].Create(ctx, n, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create namespace %s: %w", name, err)
		}
	}
	return reg.loadPolicy(ctx)
}

// notFound answers paths that are not served as an API server does.
func (reg *registry) notFound() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound,
			Message: "the server could not find the requested resource",
		}}
		responsewriters.ErrorNegotiated(err, reg.types.codecs, schema.GroupVersion{}, w, r)
	})
}

// as gives o as an object of type *O.
func as[O any](o runtime.Object, err error) (*O, error) {
	if err != nil {
		return nil, err
	}
	x, ok := any(o).(*O)
	if !ok {
		return nil, apierrors.NewInternalError(errors.New("unexpected type of object"))
	}
	return x, nil
}

// peek gives an object as it is in memory, to be read only and not to be shown: it may not be on disk yet. It is nil if
// there is none.
func (reg *registry) peek(plural, namespace, name string) runtime.Object {
	s := reg.stores[plural]
	o, _ := s.objects.find(s.key(namespace, name))
	return o
}

// peekAll is peek for all objects of a namespace.
func peekAll[O any](s *kindStore, namespace string) []*O {
	root := s.key(namespace, "")
	s.objects.mu.Lock()
	items := s.objects.itemsLocked(root, true, s.objects.rev)
	s.objects.mu.Unlock()
	var out []*O
	for _, it := range items {
		if o, ok := any(it.object).(*O); ok {
			out = append(out, o)
		}
	}
	return out
}

// key is where the object of that name is in the store; without a name, the root of its namespace or of all.
func (k *kindStore) key(namespace, name string) string {
	key := "/" + k.r.groupResource().String() + "/"
	if namespace != "" {
		key += namespace + "/"
	}
	return key + name
}
