package api

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dpesim/dpesim/sim"
)

// releaseName names a Helm release.
type releaseName struct{ namespace, name string }

// operation is an install, upgrade, rollback or uninstall of a release that has begun.
type operation struct {
	who actor
	seq uint64 // of the event that tells that it began
}

// record is what a record of a release says of itself in its labels. Source: helm, pkg/storage/driver, secrets.go.
type record struct {
	release          releaseName
	status, revision string
}

// recordOf reads o as a record of a Helm release, if it is one: a Secret or, if Helm is told so, a ConfigMap.
func recordOf(resource string, o metav1.Object) (record, bool) {
	l := o.GetLabels()
	if resource != "secrets" && resource != "configmaps" || l["owner"] != "helm" || !strings.HasPrefix(o.GetName(), "sh.helm.release.v1.") {
		return record{}, false
	}
	return record{releaseName{o.GetNamespace(), l["name"]}, l["status"], l["version"]}, true
}

// releaseOf gives the release that o says it is part of; the zero name if none.
// Source: Helm, "Labels and Annotations", "Chart Hooks".
func releaseOf(o metav1.Object) releaseName {
	notes := o.GetAnnotations()
	if name := notes["meta.helm.sh/release-name"]; name != "" {
		ns := notes["meta.helm.sh/release-namespace"]
		if ns == "" {
			ns = o.GetNamespace()
		}
		return releaseName{ns, name}
	}
	if notes["helm.sh/hook"] != "" {
		return releaseName{o.GetNamespace(), o.GetLabels()["app.kubernetes.io/instance"]}
	}
	return releaseName{}
}

// operation gives the Seq of who's operation on a release that is under way, 0 if there is none: what Helm does to the
// objects of a release is then part of that, and told once. Not so what the same person does by kubectl meanwhile. (A program
// made with Helm's SDK comes with two names: one of the client that keeps records, and one of the client of objects.)
func (w *witness) operation(who actor, of releaseName) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o, ok := w.releases[of]; ok && of.name != "" && o.who.user == who.user && who.client != "kubectl" {
		return o.seq
	}
	return 0
}

// tellRelease tells what a change of a release's record means.
func (a *act) tellRelease(ctx context.Context, r record, s step) {
	before := ""
	if s.prev != nil {
		if was, ok := s.prev.(metav1.ObjectMetaAccessor); ok {
			before = was.GetObjectMeta().GetLabels()["status"]
		}
	}
	if s.deletes {
		if before == "uninstalling" {
			a.endRelease(ctx, r, "helm release uninstalled")
		}
		return // an old revision that is forgotten
	}
	if r.status == before {
		return
	}
	switch r.status {
	case "pending-install":
		a.beginRelease(ctx, r, s, "helm install started")
	case "pending-upgrade":
		a.beginRelease(ctx, r, s, "helm upgrade started")
	case "pending-rollback":
		a.beginRelease(ctx, r, s, "helm rollback started")
	case "uninstalling":
		a.beginRelease(ctx, r, s, "helm uninstall started")
	case "deployed", "failed", "uninstalled":
		a.endRelease(ctx, r, "helm release "+r.status)
	}
}

func (a *act) beginRelease(ctx context.Context, r record, s step, what string) {
	seq := a.publish(ctx, s.object, what, map[string]string{"release": r.release.name, "revision": r.revision})
	a.witness.mu.Lock()
	defer a.witness.mu.Unlock()
	a.witness.releases[r.release] = operation{a.who, seq}
}

func (a *act) endRelease(ctx context.Context, r record, what string) {
	a.witness.mu.Lock()
	cause := a.witness.releases[r.release].seq
	delete(a.witness.releases, r.release)
	a.witness.mu.Unlock()
	a.witness.bus.Publish(ctx, sim.Event{Part: sim.PartCluster, DPE: labelOf(r.release.name), What: what, Cause: cause, Detail: map[string]string{
		"release": r.release.name, "revision": r.revision, "namespace": r.release.namespace,
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
