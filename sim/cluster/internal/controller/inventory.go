package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata/metadatainformer"
)

// inventory knows the metadata of everything that the API server holds and that can be deleted, events aside: who owns
// whom, and what is in a namespace. It is safe for concurrent use.
type inventory struct {
	factory metadatainformer.SharedInformerFactory
	kinds   map[schema.GroupVersionKind]kind

	mu    sync.Mutex
	items map[types.UID]*item
	owned map[types.UID]map[types.UID]bool // by owner

	told []func(i *item, gone bool) // set before connect
}

// kind is a resource of the API server.
type kind struct {
	gvr        schema.GroupVersionResource
	namespaced bool
}

// item is one object.
type item struct {
	kind kind
	meta metav1.Object
}

func newInventory(ctx context.Context, m *Manager) (*inventory, error) {
	lists, err := m.discovery.ServerPreferredResourcesWithContext(ctx)
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, err
	}
	v := &inventory{
		factory: metadatainformer.NewSharedInformerFactory(m.metadata, 0), kinds: map[schema.GroupVersionKind]kind{},
		items: map[types.UID]*item{}, owned: map[types.UID]map[types.UID]bool{},
	}
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("resources of %s: %w", l.GroupVersion, err)
		}
		for _, r := range l.APIResources {
			needs := []string{"delete", "list", "watch"}
			if r.Name == "events" || slices.ContainsFunc(needs, func(verb string) bool { return !slices.Contains(r.Verbs, verb) }) {
				continue
			}
			v.kinds[gv.WithKind(r.Kind)] = kind{gv.WithResource(r.Name), r.Namespaced}
		}
	}
	return v, nil
}

// watch calls f with each change, after the inventory has taken it: with the object as it is now, and whether it is gone.
// It must be called before connect.
func (v *inventory) watch(f func(i *item, gone bool)) { v.told = append(v.told, f) }

// connect lets the informers fill the inventory.
func (v *inventory) connect() error {
	for _, k := range v.kinds {
		i := v.factory.ForResource(k.gvr).Informer()
		if err := on(i, func(o metav1.Object) {
			_, there, err := i.GetStore().GetByKey(keyOf(o))
			x := &item{k, o}
			gone := err == nil && !there
			v.note(x, gone)
			for _, f := range v.told {
				f(x, gone)
			}
		}); err != nil {
			return err
		}
	}
	return nil
}

func (v *inventory) note(i *item, gone bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	uid := i.meta.GetUID()
	if old := v.items[uid]; old != nil {
		for _, r := range old.meta.GetOwnerReferences() {
			delete(v.owned[r.UID], uid)
			if len(v.owned[r.UID]) == 0 {
				delete(v.owned, r.UID)
			}
		}
		delete(v.items, uid)
	}
	if gone {
		return
	}
	v.items[uid] = i
	for _, r := range i.meta.GetOwnerReferences() {
		if v.owned[r.UID] == nil {
			v.owned[r.UID] = map[types.UID]bool{}
		}
		v.owned[r.UID][uid] = true
	}
}

// get gives an object; nil if it is not there.
func (v *inventory) get(uid types.UID) *item {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.items[uid]
}

// dependents gives what names uid as an owner.
func (v *inventory) dependents(uid types.UID) []*item {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []*item
	for d := range v.owned[uid] {
		out = append(out, v.items[d])
	}
	return out
}
