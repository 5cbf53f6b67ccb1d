package api

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
)

// ledger is what the stores of all resources share, as the keys of one etcd do: a lock, a revision that grows with every
// change, and the journal that keeps the changes.
type ledger struct {
	mu      sync.Mutex
	rev     uint64 // of the newest change
	journal *journal
	stop    context.Context // done when the server closes: ends every watch
	watches sync.WaitGroup  // goroutines of watches
}

// newLedger gives an empty ledger. Its first revision is 1, since 0 means "any" on the wire.
func newLedger(stop context.Context) *ledger { return &ledger{rev: 1, stop: stop} }

// change is one step of one object. Its objects are shared and never written to.
type change struct {
	rev  uint64
	key  string
	prev runtime.Object // nil: created
	next runtime.Object // nil: deleted
}

// nextLocked counts one change.
func (l *ledger) nextLocked() uint64 {
	l.rev++
	if l.journal != nil {
		l.journal.reserveLocked(l.rev)
	}
	return l.rev
}

// tailLocked gives the batch of the newest change that is not safe yet, or nil.
func (l *ledger) tailLocked() *batch {
	if l.journal == nil {
		return nil
	}
	return l.journal.tailLocked()
}

// close waits for the watches, which must have been told to stop, and closes the journal.
func (l *ledger) close() error {
	l.watches.Wait()
	if l.journal == nil {
		return nil
	}
	return l.journal.close()
}
