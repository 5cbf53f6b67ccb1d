package api

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage"

	"github.com/dpesim/dpesim/sim/clock"
)

// history is how many changes of a resource a store remembers, at least half of it at any time: how far back a watch may
// start and a page of a list may refer. Older ones are answered with 410 Gone, upon which clients list anew.
const history = 4096

// store holds the objects of one resource. It is the [storage.Interface] under the generic registry.
//
// Objects go in and come out as deep copies; what lies inside is never written to, so that watches may share it.
type store struct {
	*ledger
	storage.APIObjectVersioner

	plural  string // of the resource
	newFunc func() runtime.Object
	stamp   stamper
	kept    bool    // in the journal, if there is one
	expiry  *expiry // nil: objects stay until they are deleted

	// The ledger's lock guards what follows.
	objects map[string]runtime.Object
	keys    []string // of objects, sorted
	past    []change // oldest first
	dropped uint64   // newest revision that is no longer in past
	watched map[*watcher]struct{}
}

var _ storage.Interface = (*store)(nil)

func newStore(l *ledger, plural string, kept bool, newFunc func() runtime.Object, c *clock.Clock) *store {
	return &store{
		ledger: l, plural: plural, kept: kept, newFunc: newFunc, stamp: stamper{c}, dropped: l.rev,
		objects: map[string]runtime.Object{}, watched: map[*watcher]struct{}{},
	}
}

// load puts an object back as a former run left it.
func (s *store) load(r row) error {
	o := s.newFunc()
	if err := decode(r.body, o); err != nil {
		return fmt.Errorf("decode %s: %w", r.key, err)
	}
	if err := s.UpdateObject(o, r.revision); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putLocked(r.key, o)
	return nil
}

// Versioner gives what reads and writes resource versions.
func (s *store) Versioner() storage.Versioner { return s.APIObjectVersioner }

// putLocked sets or, with nil, removes the object at key.
func (s *store) putLocked(key string, o runtime.Object) {
	i, found := slices.BinarySearch(s.keys, key)
	switch {
	case o == nil:
		delete(s.objects, key)
		if found {
			s.keys = slices.Delete(s.keys, i, i+1)
		}
		return
	case !found:
		s.keys = slices.Insert(s.keys, i, key)
	}
	s.objects[key] = o
}

// commitLocked makes next the object at key, for the request of ctx. The caller waits for the batch, without the lock, before it answers.
func (s *store) commitLocked(ctx context.Context, key string, rev uint64, prev, next runtime.Object) *batch {
	c := change{rev: rev, key: key, prev: prev, next: next}
	committed(ctx, s.plural, prev, next)
	s.putLocked(key, next)
	s.expiry.noteLocked(key, next != nil, s.stamp.clock.Now())
	s.past = append(s.past, c)
	if len(s.past) > history {
		half := len(s.past) / 2
		s.dropped = s.past[half-1].rev
		s.past = slices.Clone(s.past[half:])
	}
	if s.kept && s.journal != nil {
		return s.journal.addLocked(s, c)
	}
	s.publishLocked(c)
	return nil
}

// publishLocked hands a change that is safe to the watches.
func (s *store) publishLocked(c change) {
	for w := range s.watched {
		w.push(c)
	}
}

// unsafeLocked gives the batch that an answer about the store's present state has to wait for.
func (s *store) unsafeLocked() *batch {
	if !s.kept {
		return nil
	}
	return s.tailLocked()
}

// Create adds obj at key.
func (s *store) Create(ctx context.Context, key string, obj, out runtime.Object, _ uint64) error {
	o := bare(obj)
	if err := errors.Join(s.PrepareObjectForStorage(o), s.stamp.created(o)); err != nil {
		return err
	}
	s.mu.Lock()
	if _, taken := s.objects[key]; taken {
		b := s.unsafeLocked()
		s.mu.Unlock()
		if err := b.wait(); err != nil {
			return err
		}
		return storage.NewKeyExistsError(key, 0)
	}
	rev := s.nextLocked()
	if err := s.UpdateObject(o, rev); err != nil {
		s.mu.Unlock()
		return err
	}
	b := s.commitLocked(ctx, key, rev, nil, o)
	s.mu.Unlock()
	return s.answer(b, o, out)
}

// bare copies o without its kind and version, which requests bring along in some ways of writing and not in others: the
// resource implies them.
func bare(o runtime.Object) runtime.Object {
	o = o.DeepCopyObject()
	o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return o
}

// answer waits for b and copies o to out, which may be nil.
func (s *store) answer(b *batch, o, out runtime.Object) error {
	if err := b.wait(); err != nil {
		return err
	}
	if out != nil {
		copyInto(out, o)
	}
	return nil
}

// copyInto makes *out a deep copy of *o; both point to the same Go type.
func copyInto(out, o runtime.Object) {
	reflect.ValueOf(out).Elem().Set(reflect.ValueOf(o.DeepCopyObject()).Elem())
}

// find gives the object at key as it is now, to be shared.
func (s *store) find(key string) (runtime.Object, *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[key], s.unsafeLocked()
}

// missing says, once b is safe, that there is nothing at key.
func missing(b *batch, key string) error {
	if err := b.wait(); err != nil {
		return err
	}
	return storage.NewKeyNotFoundError(key, 0)
}

// Delete removes the object at key and sets out to its last state.
func (s *store) Delete(ctx context.Context, key string, out runtime.Object, pre *storage.Preconditions,
	validate storage.ValidateObjectFunc, _ runtime.Object, _ storage.DeleteOptions,
) error {
	for {
		cur, b := s.find(key)
		if cur == nil {
			return missing(b, key)
		}
		if err := pre.Check(key, cur); err != nil {
			return err
		}
		if err := validate(ctx, cur.DeepCopyObject()); err != nil {
			return err
		}
		last := cur.DeepCopyObject()
		s.mu.Lock()
		if s.objects[key] != cur {
			s.mu.Unlock()
			continue
		}
		rev := s.nextLocked()
		if err := s.UpdateObject(last, rev); err != nil {
			s.mu.Unlock()
			return err
		}
		b = s.commitLocked(ctx, key, rev, cur, nil)
		s.mu.Unlock()
		return s.answer(b, last, out)
	}
}

// GuaranteedUpdate applies try to the object at key until nobody else has changed it meanwhile.
func (s *store) GuaranteedUpdate(ctx context.Context, key string, out runtime.Object, ignoreNotFound bool,
	pre *storage.Preconditions, try storage.UpdateFunc, _ runtime.Object,
) error {
	for {
		cur, b := s.find(key)
		if cur == nil && !ignoreNotFound {
			return missing(b, key)
		}
		next, err := s.attempt(key, cur, pre, try)
		if err != nil {
			return err
		}
		if cur != nil && s.stamp.unchanged(next, cur) { // no revision, no event
			return s.answer(b, cur, out)
		}
		if err := errors.Join(s.PrepareObjectForStorage(next), s.stamp.updated(next, cur)); err != nil {
			return err
		}
		s.mu.Lock()
		if s.objects[key] != cur {
			s.mu.Unlock()
			continue
		}
		rev := s.nextLocked()
		if err := s.UpdateObject(next, rev); err != nil {
			s.mu.Unlock()
			return err
		}
		b = s.commitLocked(ctx, key, rev, cur, next)
		s.mu.Unlock()
		return s.answer(b, next, out)
	}
}

// attempt gives what try makes of cur, as a copy with cur's revision.
func (s *store) attempt(key string, cur runtime.Object, pre *storage.Preconditions, try storage.UpdateFunc) (runtime.Object, error) {
	in, rev := s.newFunc(), uint64(0)
	if cur != nil {
		in = cur.DeepCopyObject()
		var err error
		if rev, err = s.ObjectResourceVersion(cur); err != nil {
			return nil, err
		}
	}
	if err := pre.Check(key, in); err != nil {
		return nil, err
	}
	next, _, err := try(in, storage.ResponseMeta{ResourceVersion: rev})
	if err != nil {
		return nil, err
	}
	next = bare(next)
	return next, s.UpdateObject(next, rev)
}

// Get reads the object at key. Its answer is always the newest.
func (s *store) Get(_ context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	if err := s.reached(opts.ResourceVersion); err != nil {
		return err
	}
	cur, b := s.find(key)
	if cur != nil {
		return s.answer(b, cur, out)
	}
	if !opts.IgnoreNotFound {
		return missing(b, key)
	}
	if err := b.wait(); err != nil {
		return err
	}
	v := reflect.ValueOf(out).Elem()
	v.SetZero()
	return nil
}

// reached fails if a client asks for a revision that is still to come.
func (s *store) reached(version string) error {
	rev, err := s.ParseResourceVersion(version)
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if rev > s.rev {
		return storage.NewTooLargeResourceVersionError(rev, s.rev, 1)
	}
	return nil
}

// GetList reads a page of the objects under root, of the present or of the revision that the options name.
func (s *store) GetList(_ context.Context, root string, opts storage.ListOptions, list runtime.Object) error {
	items, err := meta.GetItemsPtr(list)
	if err != nil {
		return err
	}
	out := reflect.ValueOf(items).Elem()
	out.Set(reflect.MakeSlice(out.Type(), 0, 0))
	if opts.Recursive { // continue tokens are relative to a root that ends in "/"
		root = strings.TrimSuffix(root, "/") + "/"
	}
	at, from, err := storage.ValidateListOptions(root, s, opts)
	if err != nil {
		return err
	}
	if err := s.reached(opts.ResourceVersion); err != nil {
		return err
	}
	page, err := s.snapshot(root, opts.Recursive, uint64(max(at, 0)))
	if err != nil {
		return err
	}
	next, left := "", (*int64)(nil)
	limit := opts.Predicate.Limit
	for i, it := range page.items {
		if it.key < from {
			continue
		}
		ok, err := opts.Predicate.Matches(it.object)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if limit > 0 && int64(out.Len()) == limit {
			if next, err = storage.EncodeContinue(it.key, root, int64(page.rev)); err != nil {
				return err
			}
			if n := int64(len(page.items) - i); opts.Predicate.Empty() {
				left = &n
			}
			break
		}
		out.Set(reflect.Append(out, reflect.ValueOf(it.object.DeepCopyObject()).Elem()))
	}
	return s.UpdateList(list, page.rev, next, left)
}

// page is a store's objects at one revision, in the order of their keys.
type page struct {
	rev   uint64
	items []item
}

type item struct {
	key    string
	object runtime.Object
}

// snapshot gives the objects under root at revision rev; 0 is now.
func (s *store) snapshot(root string, recursive bool, rev uint64) (page, error) {
	s.mu.Lock()
	if rev > 0 && rev < s.dropped {
		s.mu.Unlock()
		return page{}, apierrors.NewResourceExpired("The provided resource version or continue parameter is too old to display a consistent list result. " +
			"You can start a new list without it.")
	}
	p := page{rev: s.rev}
	if rev > 0 {
		p.rev = rev
	}
	p.items = s.itemsLocked(root, recursive, p.rev)
	b := s.unsafeLocked()
	s.mu.Unlock()
	return p, b.wait()
}

// itemsLocked undoes the changes after rev and gives what lies under root.
func (s *store) itemsLocked(root string, recursive bool, rev uint64) []item {
	undone := map[string]runtime.Object{}
	for i := len(s.past) - 1; i >= 0 && s.past[i].rev > rev; i-- {
		c := s.past[i]
		if !covers(root, recursive, c.key) {
			continue
		}
		undone[c.key] = c.prev
	}
	var items []item
	first, _ := slices.BinarySearch(s.keys, root)
	for _, k := range s.keys[first:] {
		if !strings.HasPrefix(k, root) {
			break
		}
		if _, later := undone[k]; !later && covers(root, recursive, k) {
			items = append(items, item{k, s.objects[k]})
		}
	}
	if len(undone) == 0 {
		return items
	}
	for k, o := range undone {
		if o != nil {
			items = append(items, item{k, o})
		}
	}
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.key, b.key) })
	return items
}

// covers tells whether key is root or, if recursive, lies under it.
func covers(root string, recursive bool, key string) bool {
	if !recursive {
		return key == root
	}
	return strings.HasPrefix(key, strings.TrimSuffix(root, "/")+"/")
}

// Stats counts the objects.
func (s *store) Stats(context.Context) (storage.Stats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return storage.Stats{ObjectCount: int64(len(s.objects))}, nil
}

// ReadinessCheck fails once the database could not be written.
func (s *store) ReadinessCheck() error {
	if s.journal == nil {
		return nil
	}
	return s.journal.cause()
}

// RequestWatchProgress is for a cache in front of etcd; there is none.
func (s *store) RequestWatchProgress(context.Context) error {
	return errors.New("watch progress: not supported, there is no cache to keep fresh")
}

// GetCurrentResourceVersion gives the newest revision.
func (s *store) GetCurrentResourceVersion(context.Context) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rev, nil
}

// EnableResourceSizeEstimation has nothing to do: no size is ever estimated here.
func (s *store) EnableResourceSizeEstimation(storage.KeysFunc) error { return nil }

// CompactRevision gives the newest revision that a watch can no longer start from.
func (s *store) CompactRevision() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(s.dropped)
}
