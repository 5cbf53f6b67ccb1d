package api

import (
	"time"
)

// eventTTL is how long an event is kept after its last change, in product time.
// Source: kube-apiserver's flag --event-ttl (1 h).
const eventTTL = time.Hour

// expireEvery is how often the server looks for events that are too old, in product time.
const expireEvery = time.Minute

// expiry forgets the objects of a store some time after their last change.
type expiry struct {
	after   time.Duration
	changed map[string]time.Time // by key; the ledger's lock guards it
}

// noteLocked remembers when the object at key changed last.
func (e *expiry) noteLocked(key string, there bool, now time.Time) {
	switch {
	case e == nil:
	case there:
		e.changed[key] = now
	default:
		delete(e.changed, key)
	}
}

// expire removes what is too old, as a deletion that watches are told of.
func (s *store) expire(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, changed := range s.expiry.changed {
		cur := s.objects[key]
		if cur == nil || now.Sub(changed) < s.expiry.after {
			continue
		}
		last, rev := cur.DeepCopyObject(), s.nextLocked()
		if err := s.UpdateObject(last, rev); err != nil {
			return err
		}
		s.commitLocked(s.stop, key, rev, cur, nil)
	}
	return nil
}

// expireEvents removes old events until the ledger is closed.
func (reg *registry) expireEvents() {
	s, c := reg.stores["events"].objects, reg.options.Clock
	reg.ledger.watches.Go(func() {
		for c.Sleep(reg.ledger.stop, expireEvery) == nil {
			if err := s.expire(c.Now()); err != nil {
				reg.options.Log.Error("events not expired", "err", err)
				return
			}
		}
	})
}
