package cluster

import (
	"context"
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/dpesim/dpesim/sim/cluster/internal/trail"
	"github.com/dpesim/dpesim/sim/event"
)

// watcher tells of a real cluster's pods, by what is written in them, in the words in which the cluster in the process tells of
// its own. What happened between two writes is not told.
type watcher struct {
	factory informers.SharedInformerFactory
	trail   *trail.Trail // notes of each pod what was told of it last
}

func newWatcher(client kubernetes.Interface, bus *event.Bus) *watcher {
	return &watcher{factory: informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(slim)), trail: trail.New(bus)}
}

// serve watches until ctx is done.
func (w *watcher) serve(ctx context.Context) error {
	pods := w.factory.Core().V1().Pods().Informer()
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(o any, initial bool) {
			if p, ok := o.(*corev1.Pod); ok && ours(p) && !initial {
				w.tell(ctx, p, "pod created", nil)
				w.changed(ctx, &corev1.Pod{}, p)
			}
		},
		UpdateFunc: func(was, o any) {
			old, ok := was.(*corev1.Pod)
			p, ok2 := o.(*corev1.Pod)
			if ok && ok2 && ours(p) {
				w.changed(ctx, old, p)
			}
		},
		DeleteFunc: func(o any) {
			if x, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = x.Obj
			}
			if p, ok := o.(*corev1.Pod); ok && ours(p) {
				w.tell(ctx, p, "pod deleted", nil)
				w.trail.Lock()
				w.trail.Forget(p.UID)
				w.trail.Unlock()
			}
		},
	})
	if err != nil {
		return err
	}
	w.factory.StartWithContext(ctx)
	<-ctx.Done()
	w.factory.Shutdown()
	return nil
}

// ours tells whether a pod is of an installation, and not of the cluster itself.
func ours(p *corev1.Pod) bool { return p.Namespace != metav1.NamespaceSystem }

// changed tells what is new in p since old.
func (w *watcher) changed(ctx context.Context, old, p *corev1.Pod) {
	if old.Spec.NodeName == "" && p.Spec.NodeName != "" {
		w.tell(ctx, p, "pod scheduled", map[string]string{"node": p.Spec.NodeName})
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
	if ended != nil && (was == nil || was.ContainerID != ended.ContainerID) {
		w.tell(ctx, p, "container exited", map[string]string{"container": c.Name, "exit_code": strconv.Itoa(int(ended.ExitCode)), "reason": ended.Reason})
	}
	if x := c.State.Waiting; x != nil && (old.State.Waiting == nil || old.State.Waiting.Reason != x.Reason) {
		switch x.Reason {
		case "ErrImagePull", "ImagePullBackOff":
			w.tell(ctx, p, "image pull failed", map[string]string{"container": c.Name, "image": c.Image, "reason": x.Reason, "detail": x.Message})
		}
	}
}

func containerOf(p *corev1.Pod, name string) corev1.ContainerStatus {
	for _, c := range p.Status.ContainerStatuses {
		if c.Name == name {
			return c
		}
	}
	return corev1.ContainerStatus{}
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
