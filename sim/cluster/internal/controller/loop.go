package controller

import (
	"context"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/dpesim/dpesim/sim/clock"
)

// A sync that failed is tried again after 5 ms of machine time, then ever later up to this: conflicts clear at once, and
// an API server that is away needs no more than a question each second.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = time.Second
)

// loop is one controller: a queue of keys, and a function that brings what a key names to its wanted state. A key is
// synced by one goroutine at a time, however often it is added.
type loop struct {
	name  string
	clock *clock.Clock
	log   *slog.Logger
	queue workqueue.TypedRateLimitingInterface[string]
	sync  func(ctx context.Context, key string) error

	mu     sync.Mutex
	alarms map[string]alarm // by key
}

// alarm is when a key will be synced in any case.
type alarm struct {
	at    time.Time
	timer *clock.Timer
}

func (m *Manager) loop(name string, sync func(ctx context.Context, key string) error) *loop {
	l := &loop{
		name: name, clock: m.clock, log: m.log, sync: sync, alarms: map[string]alarm{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry)),
	}
	m.loops = append(m.loops, l)
	return l
}

// add asks for a sync of key.
func (l *loop) add(key string) { l.queue.Add(key) }

// addAfter asks for a sync of key once d of product time has passed, at the latest: an earlier one can ask anew.
func (l *loop) addAfter(key string, d time.Duration) {
	at := l.clock.Now().Add(d)
	l.mu.Lock()
	defer l.mu.Unlock()
	if a, ok := l.alarms[key]; ok {
		if !at.Before(a.at) {
			return
		}
		a.timer.Stop()
	}
	l.alarms[key] = alarm{at, l.clock.AfterFunc(d, func() {
		l.mu.Lock()
		if l.alarms[key].at.Equal(at) {
			delete(l.alarms, key)
		}
		l.mu.Unlock()
		l.queue.Add(key)
	})}
}

// controllers asks for a sync of the object of that kind which controls what i adds, changes or removes, or did until then.
// What nobody controls is handed to orphan, unless that is nil.
func (l *loop) controllers(i cache.SharedIndexInformer, kind string, orphan func(metav1.Object)) error {
	see := func(o metav1.Object) {
		switch r := metav1.GetControllerOf(o); {
		case r == nil && orphan != nil:
			orphan(o)
		case r != nil && r.Kind == kind:
			l.add(cache.NewObjectName(o.GetNamespace(), r.Name).String())
		}
	}
	_, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { forward(o, see) },
		UpdateFunc: func(was, o any) {
			forward(o, see)
			a, ok := was.(metav1.Object)
			b, ok2 := o.(metav1.Object)
			if ok && ok2 && metav1.GetControllerOf(a) != nil && metav1.GetControllerOf(b) == nil {
				see(a)
			}
		},
		DeleteFunc: func(o any) { forward(o, see) },
	})
	return err
}

// live gives the object that key names, as the API server has it now. It is not found if that has it no more.
func live[C interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (T, error)
}, T any](ctx context.Context, key string, in func(namespace string) C) (object T, found bool, err error) {
	name, err := cache.ParseObjectName(key)
	if err != nil {
		return object, false, err
	}
	object, err = in(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return object, false, nil
	}
	return object, err == nil, err
}

// silence stops the alarms.
func (l *loop) silence() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.alarms {
		a.timer.Stop()
	}
	clear(l.alarms)
}

// run syncs until the queue is shut down.
func (l *loop) run(ctx context.Context) {
	defer l.silence()
	for {
		key, shutdown := l.queue.Get()
		if shutdown {
			return
		}
		err := l.sync(ctx, key)
		switch {
		case err == nil || ctx.Err() != nil:
			l.queue.Forget(key)
		default:
			if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) {
				l.log.Debug("sync failed", "err", err, "controller", l.name, "key", key)
			}
			l.queue.AddRateLimited(key)
		}
		l.queue.Done(key)
	}
}
