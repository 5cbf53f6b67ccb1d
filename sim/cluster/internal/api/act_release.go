package api

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster/internal/release"
)

// operation is an install, upgrade, rollback or uninstall of a release that has begun.
type operation struct {
	who actor
	seq uint64 // of the event that tells that it began
}

// operation gives the Seq of who's operation on a release that is under way, 0 if there is none: what Helm does to the
// objects of a release is then part of that, and told once. Not so what the same person does by kubectl meanwhile. (A program
// made with Helm's SDK comes with two names: one of the client that keeps records, and one of the client of objects.)
func (w *witness) operation(who actor, of release.Name) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o, ok := w.releases[of]; ok && of.Name != "" && o.who.user == who.user && who.client != "kubectl" {
		return o.seq
	}
	return 0
}

// tellRelease tells what a change of a release's record means.
func (a *act) tellRelease(ctx context.Context, r release.Record, s step) {
	before := ""
	if s.prev != nil {
		if was, ok := s.prev.(metav1.ObjectMetaAccessor); ok {
			before = was.GetObjectMeta().GetLabels()["status"]
		}
	}
	after := r.Status
	if s.deletes {
		after = ""
	}
	switch c := release.Changed(before, after); {
	case c.Begins:
		a.beginRelease(ctx, r, s, c.What)
	case c.What != "":
		a.endRelease(ctx, r, c.What)
	}
}

func (a *act) beginRelease(ctx context.Context, r release.Record, s step, what string) {
	seq := a.publish(ctx, s.object, what, map[string]string{"release": r.Release.Name, "revision": r.Revision})
	a.witness.mu.Lock()
	defer a.witness.mu.Unlock()
	a.witness.releases[r.Release] = operation{a.who, seq}
}

func (a *act) endRelease(ctx context.Context, r release.Record, what string) {
	a.witness.mu.Lock()
	cause := a.witness.releases[r.Release].seq
	delete(a.witness.releases, r.Release)
	a.witness.mu.Unlock()
	a.witness.bus.Publish(ctx, sim.Event{Part: sim.PartCluster, DPE: labelOf(r.Release.Name), What: what, Cause: cause, Detail: map[string]string{
		"release": r.Release.Name, "revision": r.Revision, "namespace": r.Release.Namespace,
	}})
}

// what names the event of a step.
func what(s step) string {
	if n, ok := s.next.(*corev1.Node); ok {
		if was, ok := s.prev.(*corev1.Node); ok && was.Spec.Unschedulable != n.Spec.Unschedulable {
			return map[bool]string{true: "node cordoned", false: "node uncordoned"}[n.Spec.Unschedulable]
		}
	}
	return "object " + s.verb()
}
