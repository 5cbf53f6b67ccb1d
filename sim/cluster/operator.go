package cluster

import (
	"cmp"
	"context"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/dpesim/dpesim/sim/cluster/internal/controller"
	"github.com/dpesim/dpesim/sim/cluster/internal/release"
	"github.com/dpesim/dpesim/sim/cluster/internal/trail"
)

// operators tells what people did in a real cluster, as far as its objects say so: Helm's records of releases, and who has set
// which fields of a Deployment. By which program, an object tells; as whom, or who deleted something, it does not. All is
// guarded by the trail's lock.
type operators struct {
	trail    *trail.Trail
	releases map[release.Name]uint64         // Seq of Helm's operation under way
	ended    map[types.NamespacedName]uint64 // Seq of what deleted a Deployment
}

func newOperators(t *trail.Trail) *operators {
	return &operators{trail: t, releases: map[release.Name]uint64{}, ended: map[types.NamespacedName]uint64{}}
}

// records follows Helm's records, of which only the metadata are read.
func (o *operators) records(ctx context.Context) cache.ResourceEventHandler {
	tell := func(was, is metav1.Object) {
		r, ok := release.RecordOf("secrets", cmp.Or(is, was))
		if !ok {
			return
		}
		status := func(o metav1.Object) string {
			if o == nil {
				return ""
			}
			return o.GetLabels()["status"]
		}
		c := release.Changed(status(was), status(is))
		if c.What == "" {
			return
		}
		o.trail.Lock()
		defer o.trail.Unlock()
		detail := map[string]string{"release": r.Release.Name, "revision": r.Revision}
		if !c.Begins {
			o.trail.Tell(ctx, named(cmp.Or(is, was), r.Release.Name), o.releases[r.Release], c.What, detail)
			delete(o.releases, r.Release)
			return
		}
		detail["client"] = "helm"
		seq := o.trail.Tell(ctx, named(is, r.Release.Name), 0, c.What, detail)
		o.releases[r.Release] = seq
		o.trail.Acts.Note(is.GetUID(), trail.Act{Seq: seq, Made: seq})
	}
	return follow(tell)
}

// deployments follows what is done to Deployments.
func (o *operators) deployments(ctx context.Context) cache.ResourceEventHandler {
	return follow(func(was, is metav1.Object) {
		before, _ := was.(*appsv1.Deployment)
		d, _ := is.(*appsv1.Deployment)
		o.trail.Lock()
		defer o.trail.Unlock()
		switch {
		case d != nil:
			o.changed(ctx, before, d)
		case before != nil:
			seq := o.releases[release.Of(before)]
			if seq == 0 {
				seq = o.tell(ctx, before, "object deleted", nil)
			}
			o.ended[types.NamespacedName{Namespace: before.Namespace, Name: before.Name}] = seq
			o.trail.Forget(before.UID)
		}
	})
}

// changed tells what is new in d since before, nil if d is new. Where the watch was lost for a while, that is several changes at once.
func (o *operators) changed(ctx context.Context, before, d *appsv1.Deployment) {
	written := true
	switch {
	case before == nil:
		o.acted(ctx, d, "object created", setter(nil, d.ManagedFields))
	case before.Generation != d.Generation:
		o.acted(ctx, d, "object changed", setter(before.ManagedFields, d.ManagedFields))
	default:
		written = false
	}
	if Complete(d) && (written || !Complete(before)) {
		n := o.trail.Note(d.UID)
		o.trail.Tell(ctx, d, n.Wanted, "deployment complete", map[string]string{"deployment": d.Name, "revision": d.Annotations["deployment.kubernetes.io/revision"]})
		n.Wanted = 0 // if a pod is missing from now on, the reason is another
	}
}

// acted notes who has made or changed d, and tells it unless it is part of what Helm does. The cluster's own parts are nobody.
func (o *operators) acted(ctx context.Context, d *appsv1.Deployment, what string, by metav1.ManagedFieldsEntry) {
	if strings.HasPrefix(by.Manager, "kube-") {
		return
	}
	kubectl := strings.HasPrefix(by.Manager, "kubectl")
	seq := o.releases[release.Of(d)]
	if seq == 0 || kubectl {
		detail := map[string]string{"client": by.Manager, "verb": strings.ToLower(string(by.Operation)), "subresource": by.Subresource}
		switch {
		case kubectl:
			detail["client"], detail["command"] = "kubectl", command(by)
		case by.Manager == "":
			detail["client"], detail["command"] = "unknown", scale
		}
		seq = o.tell(ctx, d, what, detail)
	}
	act := trail.Act{Seq: seq, Generation: d.Generation}
	if what == "object created" {
		act.Made = seq
		delete(o.ended, types.NamespacedName{Namespace: d.Namespace, Name: d.Name})
	}
	o.trail.Acts.Note(d.UID, act)
	o.trail.Note(d.UID).Wanted = seq
}

// tell publishes an event about an object that somebody has written.
func (o *operators) tell(ctx context.Context, of metav1.Object, what string, detail map[string]string) uint64 {
	d := map[string]string{"name": of.GetName()}
	switch of.(type) {
	case *appsv1.Deployment:
		d["resource"], d["deployment"] = "deployments", of.GetName()
	case *corev1.Pod:
		d["resource"], d["pod"] = "pods", of.GetName()
	}
	for k, v := range detail {
		if v != "" {
			d[k] = v
		}
	}
	return o.trail.Tell(ctx, of, 0, what, d)
}

// wanted gives why the pods of p's Deployment are to change now, 0 if that is not known: what was done to the Deployment and
// is not served yet, or what Helm does.
func (o *operators) wanted(p *corev1.Pod, deployments cache.Indexer) uint64 {
	name := types.NamespacedName{Namespace: p.Namespace, Name: deploymentOf(p)}
	if x, ok, err := deployments.GetByKey(name.String()); err == nil && ok {
		if d, ok := x.(*appsv1.Deployment); ok {
			return o.trail.Of(d.UID).Wanted
		}
	}
	return cmp.Or(o.ended[name], o.releases[release.Name{Namespace: p.Namespace, Name: p.Labels["app.kubernetes.io/instance"]}])
}

// deploymentOf gives the name of the Deployment that a pod is of, empty if of none. A ReplicaSet has that name and the hash that
// its pods are labelled with. Source: Kubernetes, "Deployments", pod-template-hash label.
func deploymentOf(p *corev1.Pod) string {
	if r := metav1.GetControllerOf(p); r != nil && r.Kind == "ReplicaSet" {
		if name, ok := strings.CutSuffix(r.Name, "-"+p.Labels[appsv1.DefaultDeploymentUniqueLabelKey]); ok {
			return name
		}
	}
	return ""
}

// Complete tells whether a Deployment has all that it asks for, and nothing else.
func Complete(d *appsv1.Deployment) bool { return controller.Complete(d, &d.Status) }

// setter gives who has written, status aside: the newest entry of now that is new, or has fields that it had not before. An entry
// that lost some only lost them to another. Where nobody has gained any, it was a scale to zero, of which Kubernetes keeps no
// entry: a Scale does not have a zero, and what is not there is owned by nobody.
func setter(before, now []metav1.ManagedFieldsEntry) metav1.ManagedFieldsEntry {
	newest := metav1.ManagedFieldsEntry{Subresource: scale}
	for _, e := range now {
		if e.Subresource != "status" && wrote(before, e) && !e.Time.Before(newest.Time) {
			newest = e
		}
	}
	return newest
}

// scale is the subresource by which the replicas alone are written.
const scale = "scale"

// wrote tells whether e says of a write after before.
func wrote(before []metav1.ManagedFieldsEntry, e metav1.ManagedFieldsEntry) bool {
	i := slices.IndexFunc(before, func(x metav1.ManagedFieldsEntry) bool {
		return x.Manager == e.Manager && x.Operation == e.Operation && x.Subresource == e.Subresource
	})
	if i < 0 || !before[i].Time.Equal(e.Time) {
		return true
	}
	var was, is fieldpath.Set
	if before[i].FieldsV1 == nil || e.FieldsV1 == nil || was.FromJSON(before[i].FieldsV1.GetRawReader()) != nil || is.FromJSON(e.FieldsV1.GetRawReader()) != nil {
		return false
	}
	return !is.Difference(&was).Empty()
}

// command gives what a person typed, by the name under which kubectl manages fields: "kubectl-edit", "kubectl-client-side-apply",
// "kubectl" for an apply on the server's side, or for a scale.
func command(by metav1.ManagedFieldsEntry) string {
	verb := strings.TrimPrefix(strings.TrimPrefix(by.Manager, "kubectl"), "-")
	switch {
	case by.Subresource == scale:
		verb = scale
	case by.Operation == metav1.ManagedFieldsOperationApply, verb == "client-side-apply":
		verb = "apply"
	}
	return strings.TrimSpace("kubectl " + verb)
}

// named is an object as what an event about a release is about: the DPE is the release's name.
func named(o metav1.Object, release string) metav1.Object {
	return &metav1.ObjectMeta{Namespace: o.GetNamespace(), Labels: map[string]string{"app.kubernetes.io/instance": release}}
}

// follow makes a handler of one function, which is told of each change with the object before, nil for a new one, and after, nil for
// one that is gone. What was there from the beginning is not told.
func follow(tell func(was, is metav1.Object)) cache.ResourceEventHandler {
	of := func(x any) metav1.Object {
		if gone, ok := x.(cache.DeletedFinalStateUnknown); ok {
			x = gone.Obj
		}
		o, err := meta.Accessor(x)
		if err != nil {
			return nil
		}
		return o
	}
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(x any, initial bool) {
			if !initial {
				tell(nil, of(x))
			}
		},
		UpdateFunc: func(was, is any) { tell(of(was), of(is)) },
		DeleteFunc: func(x any) { tell(of(x), nil) },
	}
}
