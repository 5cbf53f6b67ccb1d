package cluster

import (
	"cmp"
	"context"
	"maps"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/dpesim/dpesim/sim/cluster/internal/node"
	"github.com/dpesim/dpesim/sim/cluster/internal/trail"
)

// watcher tells of a real cluster's pods, by what is written in them, in the words in which the cluster in the process tells of
// its own, and of what people did there. What happened between two writes is not told.
type watcher struct {
	factories []informers.SharedInformerFactory        // one for each namespace, or one for all
	records   []metadatainformer.SharedInformerFactory // of Helm's records, as many: nobody reads what is in them
	trail     *trail.Trail                             // notes of each pod what was told of it last
	operators *operators
}

func newWatcher(client kubernetes.Interface, records metadata.Interface, o RealOptions) *watcher {
	t := trail.New(o.Bus)
	w := &watcher{trail: t, operators: newOperators(t)}
	w.factories = factories(client, o.Namespaces, informers.WithTransform(slimmer), informers.WithTweakListOptions(func(l *metav1.ListOptions) { l.LabelSelector = o.Chart }))
	for _, n := range places(o.Namespaces) {
		w.records = append(w.records, metadatainformer.NewFilteredSharedInformerFactory(records, 0, n, func(l *metav1.ListOptions) { l.LabelSelector = "owner=helm" }))
	}
	return w
}

// slimmer is [slim], but for Deployments: who manages which fields tells who did something.
func slimmer(o any) (any, error) {
	if _, ok := o.(*appsv1.Deployment); ok {
		return o, nil
	}
	return slim(o)
}

// serve watches until ctx is done.
func (w *watcher) serve(ctx context.Context) error {
	for i, f := range w.factories {
		if err := w.watch(ctx, f, w.records[i]); err != nil {
			return err
		}
		w.records[i].Start(ctx.Done())
	}
	run(ctx, w.factories)
	for _, f := range w.records {
		f.Shutdown()
	}
	return nil
}

// watch makes the informers of a namespace tell.
func (w *watcher) watch(ctx context.Context, factory informers.SharedInformerFactory, records metadatainformer.SharedInformerFactory) error {
	deployments := factory.Apps().V1().Deployments().Informer()
	pods := follow(func(was, is metav1.Object) {
		old, _ := was.(*corev1.Pod)
		p, _ := is.(*corev1.Pod)
		switch {
		case p == nil && old != nil && ours(old):
			w.gone(ctx, old)
		case p == nil || !ours(p):
		case old == nil:
			w.made(ctx, p, deployments.GetIndexer())
		default:
			w.changed(ctx, old, p, deployments.GetIndexer())
		}
	})
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		factory.Core().V1().Pods().Informer(): pods,
		deployments:                           w.operators.deployments(ctx),
		records.ForResource(corev1.SchemeGroupVersion.WithResource("secrets")).Informer(): w.operators.records(ctx),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	return nil
}

// made tells of a new pod, and of what it is already.
func (w *watcher) made(ctx context.Context, p *corev1.Pod, deployments cache.Indexer) {
	w.trail.Lock()
	w.trail.Note(p.UID).Wanted = w.operators.wanted(p, deployments)
	w.trail.Unlock()
	w.tell(ctx, p, "pod created", owner(p))
	w.changed(ctx, &corev1.Pod{}, p, deployments)
}

// gone tells that a pod is no more.
func (w *watcher) gone(ctx context.Context, p *corev1.Pod) {
	w.tell(ctx, p, "pod deleted", nil)
	w.trail.Lock()
	defer w.trail.Unlock()
	w.trail.Forget(p.UID)
}

// deleted notes why a pod is to go. If no act explains it, somebody has deleted it, or a controller has: the cluster does not say.
func (w *watcher) deleted(ctx context.Context, p *corev1.Pod, deployments cache.Indexer) {
	w.trail.Lock()
	defer w.trail.Unlock()
	seq := w.operators.wanted(p, deployments)
	if seq == 0 {
		seq = w.operators.tell(ctx, p, "object deleted", nil)
	}
	w.trail.Note(p.UID).Wanted = seq
}

// owner names what made a pod, as the cluster in the process does.
func owner(p *corev1.Pod) map[string]string {
	if o := metav1.GetControllerOf(p); o != nil {
		if key := map[string]string{"ReplicaSet": "replica_set", "Job": "job"}[o.Kind]; key != "" {
			return map[string]string{key: o.Name}
		}
	}
	return nil
}

// ours tells whether a pod is of an installation, and not of the cluster itself.
func ours(p *corev1.Pod) bool { return p.Namespace != metav1.NamespaceSystem }

// changed tells what is new in p since old.
func (w *watcher) changed(ctx context.Context, old, p *corev1.Pod, deployments cache.Indexer) {
	if old.DeletionTimestamp == nil && p.DeletionTimestamp != nil {
		w.deleted(ctx, p, deployments)
	}
	if old.Spec.NodeName == "" && p.Spec.NodeName != "" {
		w.tell(ctx, p, "pod scheduled", map[string]string{"node": p.Spec.NodeName})
	}
	if was, is := unschedulable(old), unschedulable(p); is != "" && was != is {
		w.tell(ctx, p, "pod unschedulable", map[string]string{"reason": is})
	}
	for _, c := range p.Status.ContainerStatuses {
		w.container(ctx, p, containerOf(old, c.Name), c)
	}
	if was, is := readiness(old), readiness(p); was != is {
		what := "pod ready"
		if !is {
			what = "pod not ready"
		}
		w.tell(ctx, p, what, nil)
	}
}

// container tells what is new in a container's state.
func (w *watcher) container(ctx context.Context, p *corev1.Pod, old, c corev1.ContainerStatus) {
	name := map[string]string{"container": c.Name}
	if r, was := c.State.Running, old.State.Running; r != nil && (was == nil || !was.StartedAt.Equal(&r.StartedAt)) {
		w.tell(ctx, p, "container started", name)
	}
	ended := c.State.Terminated
	if ended == nil {
		ended = c.LastTerminationState.Terminated
	}
	was := old.State.Terminated
	if was == nil {
		was = old.LastTerminationState.Terminated
	}
	if ended != nil && ended.ContainerID != "" && (was == nil || was.ContainerID != ended.ContainerID) {
		w.tell(ctx, p, "container exited", map[string]string{"container": c.Name, "exit_code": strconv.Itoa(int(ended.ExitCode)), "reason": ended.Reason})
	}
	why, before := pullFailure(c), pullFailure(old)
	if again := waiting(c) == node.ErrImagePull && waiting(old) != node.ErrImagePull; why != "" && (again || why != before) {
		w.tell(ctx, p, "image pull failed", map[string]string{"container": c.Name, "image": c.Image, "detail": why})
	}
}

// waiting gives the reason why a container waits, empty if it does not.
func waiting(c corev1.ContainerStatus) string {
	if c.State.Waiting == nil {
		return ""
	}
	return c.State.Waiting.Reason
}

// pullFailure gives why a container's image was not pulled at the last try; empty: it was, or nobody has tried. Between two tries a
// kubelet says it after words of its own. Source: Kubernetes, pkg/kubelet/images, image_manager.go.
func pullFailure(c corev1.ContainerStatus) string {
	switch waiting(c) {
	case node.ErrImagePull, node.ImagePullBackOff:
		_, why, _ := strings.Cut(c.State.Waiting.Message, ": "+node.ErrImagePull+": ")
		return cmp.Or(why, c.State.Waiting.Message)
	}
	return ""
}

func containerOf(p *corev1.Pod, name string) corev1.ContainerStatus {
	for _, c := range p.Status.ContainerStatuses {
		if c.Name == name {
			return c
		}
	}
	return corev1.ContainerStatus{}
}

// unschedulable gives why no node has room for a pod, empty if one has, or nobody has looked yet.
func unschedulable(p *corev1.Pod) string {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return c.Message
		}
	}
	return ""
}

func readiness(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// tell publishes an event about a pod, caused by the one before it.
func (w *watcher) tell(ctx context.Context, p *corev1.Pod, what string, detail map[string]string) {
	d := map[string]string{"pod": p.Name}
	maps.Copy(d, detail)
	w.trail.Lock()
	defer w.trail.Unlock()
	w.trail.Note(p.UID).Wanted = w.trail.Tell(ctx, p, w.trail.Of(p.UID).Wanted, what, d)
}
