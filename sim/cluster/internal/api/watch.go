package api

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

// bookmarkEvery is how often, in product time, a watch that asked for bookmarks is told how far it has come.
// Source: Kubernetes API Concepts, "Watch bookmarks" (about a minute).
const bookmarkEvery = time.Minute

// watcher is one watch of a store. Its queue has no bound: a slow client costs memory, never another client's time.
type watcher struct {
	store     *store
	root      string
	recursive bool
	selects   storage.SelectionPredicate
	from      uint64 // changes up to this revision are known to the client

	out  chan watch.Event
	stop chan struct{}
	once sync.Once

	mu    sync.Mutex
	queue []change
	wake  chan struct{} // capacity 1
}

// Watch follows the objects under root.
func (s *store) Watch(ctx context.Context, root string, opts storage.ListOptions) (watch.Interface, error) {
	from, err := s.ParseResourceVersion(opts.ResourceVersion)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	w := &watcher{
		store: s, root: root, recursive: opts.Recursive, selects: opts.Predicate,
		out: make(chan watch.Event, 16), stop: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop.Err() != nil {
		return nil, apierrors.NewServiceUnavailable("the server is stopping")
	}
	initial := from == 0
	if opts.SendInitialEvents != nil {
		initial = *opts.SendInitialEvents
	}
	switch {
	case from > s.rev:
		return nil, apierrors.NewResourceExpired(fmt.Sprintf("too large resource version: %d, current: %d", from, s.rev))
	case !initial && from > 0 && from < s.dropped:
		return nil, apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%d)", from, s.dropped))
	}
	first, err := w.beginLocked(initial, opts.SendInitialEvents != nil, from)
	if err != nil {
		return nil, err
	}
	w.from = s.rev
	b := s.unsafeLocked()
	s.watched[w] = struct{}{}
	s.watches.Go(func() {
		defer close(w.out)
		defer w.Stop()
		if b.wait() == nil {
			w.run(ctx, first)
		}
	})
	return w, nil
}

// beginLocked gives the events with which the watch starts: the present objects, or the changes since from.
func (w *watcher) beginLocked(initial, marked bool, from uint64) ([]watch.Event, error) {
	s := w.store
	var first []watch.Event
	switch {
	case initial:
		for _, it := range s.itemsLocked(w.root, w.recursive, s.rev) {
			if e := w.event(change{rev: s.rev, key: it.key, next: it.object}); e != nil {
				first = append(first, *e)
			}
		}
		if marked && w.selects.AllowWatchBookmarks {
			e, err := w.bookmark(s.rev)
			if err != nil {
				return nil, err
			}
			if err := storage.AnnotateInitialEventsEndBookmark(e.Object); err != nil {
				return nil, err
			}
			first = append(first, e)
		}
	case from > 0:
		for _, c := range s.past {
			if c.rev <= from || !covers(w.root, w.recursive, c.key) {
				continue
			}
			if e := w.event(c); e != nil {
				first = append(first, *e)
			}
		}
	}
	return first, nil
}

// bookmark is an event that says: all before rev has been sent.
func (w *watcher) bookmark(rev uint64) (watch.Event, error) {
	o := w.store.newFunc()
	return watch.Event{Type: watch.Bookmark, Object: o}, w.store.UpdateObject(o, rev)
}

// event is what the watch's selector sees of a change: an object may enter or leave the selection. The object is a copy,
// since encoding writes to it.
func (w *watcher) event(c change) *watch.Event {
	was, is := w.matches(c.prev), w.matches(c.next)
	switch {
	case is && was:
		return &watch.Event{Type: watch.Modified, Object: c.next.DeepCopyObject()}
	case is:
		return &watch.Event{Type: watch.Added, Object: c.next.DeepCopyObject()}
	case was:
		o := c.prev.DeepCopyObject()
		if err := w.store.UpdateObject(o, c.rev); err != nil {
			return &watch.Event{Type: watch.Error, Object: &apierrors.NewInternalError(err).ErrStatus}
		}
		return &watch.Event{Type: watch.Deleted, Object: o}
	}
	return nil
}

func (w *watcher) matches(o runtime.Object) bool {
	if o == nil {
		return false
	}
	ok, err := w.selects.Matches(o)
	return err == nil && ok
}

// push queues a change; it never blocks.
func (w *watcher) push(c change) {
	if c.rev <= w.from || !covers(w.root, w.recursive, c.key) {
		return
	}
	w.mu.Lock()
	w.queue = append(w.queue, c)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take empties the queue.
func (w *watcher) take() []change {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.queue
	w.queue = nil
	return q
}

// run sends first, then every change, until somebody stops the watch.
func (w *watcher) run(ctx context.Context, first []watch.Event) {
	for _, e := range first {
		if !w.send(ctx, e) {
			return
		}
	}
	due, cancel := w.store.stamp.clock.After(bookmarkEvery)
	defer func() { cancel() }()
	for {
		for q := w.take(); len(q) > 0; q = w.take() {
			for _, c := range q {
				if e := w.event(c); e != nil && !w.send(ctx, *e) {
					return
				}
			}
		}
		select {
		case <-w.wake:
		case <-due:
			if w.selects.AllowWatchBookmarks && !w.mark(ctx) {
				return
			}
			due, cancel = w.store.stamp.clock.After(bookmarkEvery)
		case <-ctx.Done():
			return
		case <-w.store.stop.Done():
			return
		case <-w.stop:
			return
		}
	}
}

// mark sends a bookmark if nothing waits to be sent; it tells whether the watch goes on.
func (w *watcher) mark(ctx context.Context) bool {
	w.store.mu.Lock()
	rev, b := w.store.rev, w.store.unsafeLocked()
	w.mu.Lock()
	idle := len(w.queue) == 0
	w.mu.Unlock()
	w.store.mu.Unlock()
	if b != nil || !idle {
		return true // news is on its way and says the same
	}
	e, err := w.bookmark(rev)
	return err == nil && w.send(ctx, e)
}

func (w *watcher) send(ctx context.Context, e watch.Event) bool {
	select {
	case w.out <- e:
		return true
	case <-ctx.Done():
	case <-w.store.stop.Done():
	case <-w.stop:
	}
	return false
}

// ResultChan gives the events; it is closed when the watch has ended.
func (w *watcher) ResultChan() <-chan watch.Event { return w.out }

// Stop ends the watch. It may be called more than once.
func (w *watcher) Stop() {
	w.once.Do(func() {
		close(w.stop)
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		delete(w.store.watched, w)
	})
}
