// Package trail tells the bus what happened in the cluster, and remembers of each object what the next event about it
// will name as its cause: from a Deployment's scaling to the pod that became ready by it.
//
// Controllers and the node agent share one trail. What it knows is of this run of the process: after a restart causes
// are unknown until something happens.
package trail

import (
	"cmp"
	"context"
	"maps"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/event"
)

// Notes are the Seqs of events about one object that will be causes; 0 is unknown.
type Notes struct {
	Wanted uint64 // what made it wanted as it is: a set's scaling until it is served, a pod's making and then its binding

	// Of a set.
	Generation int64  // that Wanted made; what came later was somebody else's
	Replaced   uint64 // the newest end of a pod that it made up for
	Counted    uint64 // the newest Turned that it has told of
	News       uint64 // the last that was told of its pods as a whole

	// Of a pod; of a node Turned is when it was stopped, 0 while it runs.
	Turned   uint64 // when it last became ready, or ceased to be
	Ready    bool   // which of the two
	Unwanted uint64 // why it is being deleted
}

// Trail is locked by who changes an object, from before the change until it is told and noted: so nobody who sees the
// change can look for its cause too early. All methods but Lock and Unlock need the lock.
type Trail struct {
	sync.Mutex
	Acts  *Acts // what people did; it needs no lock
	bus   *event.Bus
	notes map[types.UID]*Notes
}

// New gives an empty trail. A nil bus swallows what is told.
func New(bus *event.Bus) *Trail {
	return &Trail{Acts: NewActs(), bus: bus, notes: map[types.UID]*Notes{}}
}

// Of gives what is noted of an object.
func (t *Trail) Of(uid types.UID) Notes {
	if n := t.notes[uid]; n != nil {
		return *n
	}
	return Notes{}
}

// Note gives the notes of an object to write to. The object must be there, or its notes stay for ever.
func (t *Trail) Note(uid types.UID) *Notes {
	n := t.notes[uid]
	if n == nil {
		n = &Notes{}
		t.notes[uid] = n
	}
	return n
}

// Made gives what made a pod wanted: what is noted, or the person who made it.
func (t *Trail) Made(pod types.UID) uint64 { return cmp.Or(t.Of(pod).Wanted, t.Acts.Of(pod).Seq) }

// Ended gives why a pod is being deleted: what is noted, or the person who deletes it.
func (t *Trail) Ended(pod types.UID) uint64 { return cmp.Or(t.Of(pod).Unwanted, t.Acts.Deletion(pod)) }

// Forget drops the notes of an object that is gone.
func (t *Trail) Forget(uid types.UID) { delete(t.notes, uid) }

// Tell publishes an event about an object and gives its Seq.
func (t *Trail) Tell(ctx context.Context, about metav1.Object, cause uint64, what string, detail map[string]string) uint64 {
	label := sim.Label(about.GetLabels()["app.kubernetes.io/instance"])
	if !label.Valid() {
		label = ""
	}
	d := map[string]string{}
	if ns := about.GetNamespace(); ns != "" {
		d["namespace"] = ns
	}
	maps.Copy(d, detail)
	return t.bus.Publish(ctx, sim.Event{Part: sim.PartCluster, DPE: label, What: what, Detail: d, Cause: cause}).Seq
}
