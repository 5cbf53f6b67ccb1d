package trail

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// maxActs bounds how many objects' acts are remembered, also of objects that are gone: more than a workshop's cluster holds.
const maxActs = 1 << 13

// Act is the last thing that a person did to an object. The zero Act is none.
type Act struct {
	Seq        uint64 // of the event that tells it
	Generation int64  // of the object by it; 0 for kinds that do not count
	Deletes    bool   // it is the object's deletion, or that of its owner or namespace
	Made       uint64 // Seq of the event that tells who made the object; 0 in what is noted: as noted before
}

// Acts remembers the last act of a person on each object. It has a lock of its own, so that the API server may note an act
// in the very moment in which it takes effect, whoever holds the trail. It is safe for concurrent use; a nil *Acts knows
// nothing and notes nothing.
type Acts struct {
	mu    sync.Mutex
	of    map[types.UID]Act
	order []types.UID // of of, oldest first
}

// NewActs gives an empty memory.
func NewActs() *Acts { return &Acts{of: map[types.UID]Act{}} }

// Note remembers an act on an object in place of the one before.
func (a *Acts) Note(uid types.UID, act Act) {
	if a == nil || uid == "" || act.Seq == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	was, known := a.of[uid]
	if act.Made == 0 {
		act.Made = was.Made
	}
	if !known {
		if a.order = append(a.order, uid); len(a.order) > maxActs {
			delete(a.of, a.order[0])
			a.order = a.order[1:]
		}
	}
	a.of[uid] = act
}

// Of gives the last act on an object.
func (a *Acts) Of(uid types.UID) Act {
	if a == nil {
		return Act{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.of[uid]
}

// Change gives the Seq of the act that made an object's generation, 0 if none did.
func (a *Acts) Change(uid types.UID, generation int64) uint64 {
	if act := a.Of(uid); act.Generation == generation && !act.Deletes {
		return act.Seq
	}
	return 0
}

// Deletion gives the Seq of the act that deletes an object, 0 if none does.
func (a *Acts) Deletion(uid types.UID) uint64 {
	if act := a.Of(uid); act.Deletes {
		return act.Seq
	}
	return 0
}

// Inherit notes that an object goes because another does.
func (a *Acts) Inherit(uid, from types.UID) {
	a.Note(uid, Act{Seq: a.Deletion(from), Deletes: true})
}
