package controller

import (
	"context"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
}

func (m *Manager) loop(name string, sync func(ctx context.Context, key string) error) *loop {
	l := &loop{
		name: name, clock: m.clock, log: m.log, sync: sync,
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry)),
	}
	m.loops = append(m.loops, l)
	return l
}

// add asks for a sync of key.
func (l *loop) add(key string) { l.queue.Add(key) }

// addAfter asks for a sync of key once d of product time has passed.
func (l *loop) addAfter(key string, d time.Duration) {
	l.clock.AfterFunc(d, func() { l.queue.Add(key) })
}

// run syncs until the queue is shut down.
func (l *loop) run(ctx context.Context) {
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
