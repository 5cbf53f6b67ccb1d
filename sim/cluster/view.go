package cluster

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	portal "github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster/internal/api"
)

// View is the cluster as its operator sees it, and acts in it: what kubectl does, for the control room. It follows what it
// shows from the first look on, so that a look costs no request. It is safe for concurrent use.
type View struct {
	nodes  *Nodes
	looked func()        // begins to follow
	follow chan struct{} // closed by looked

	factories []informers.SharedInformerFactory
	stores    struct{ nodes, pods, volumes, deployments, events stores }
}

// stores hold the objects of one kind, one each of a namespace, or one of all.
type stores []cache.SharedIndexInformer

// newView gives a view of what is in the namespaces; nil: in all.
func newView(c *rest.Config, namespaces []string) (*View, error) {
	client, err := kubernetes.NewForConfig(c)
	if err != nil {
		return nil, fmt.Errorf("open the view: %w", err)
	}
	v := &View{nodes: &Nodes{client}, follow: make(chan struct{})}
	v.looked = sync.OnceFunc(func() { close(v.follow) })
	v.factories = factories(client, namespaces)
	core := v.factories[0].Core().V1()
	v.stores.nodes, v.stores.volumes = stores{core.Nodes().Informer()}, stores{core.PersistentVolumes().Informer()}
	for _, f := range v.factories {
		v.stores.pods = append(v.stores.pods, f.Core().V1().Pods().Informer())
		v.stores.events = append(v.stores.events, f.Core().V1().Events().Informer())
		v.stores.deployments = append(v.stores.deployments, f.Apps().V1().Deployments().Informer())
	}
	return v, nil
}

// places gives the namespaces, or, if there are none, what stands for all.
func places(namespaces []string) []string {
	if namespaces == nil {
		return []string{metav1.NamespaceAll}
	}
	return namespaces
}

// factories gives an informer factory for each namespace, or one for all if there are none.
func factories(client kubernetes.Interface, namespaces []string, more ...informers.SharedInformerOption) []informers.SharedInformerFactory {
	var out []informers.SharedInformerFactory
	for _, n := range places(namespaces) {
		options := append([]informers.SharedInformerOption{informers.WithTransform(slim), informers.WithNamespace(n)}, more...)
		out = append(out, informers.NewSharedInformerFactoryWithOptions(client, 0, options...))
	}
	return out
}

// slim drops what no view shows.
func slim(o any) (any, error) {
	if m, err := meta.Accessor(o); err == nil {
		m.SetManagedFields(nil)
	}
	return o, nil
}

// serve follows the cluster from the first look on, until ctx is done.
func (v *View) serve(ctx context.Context) error {
	select {
	case <-v.follow:
	case <-ctx.Done():
		return nil
	}
	run(ctx, v.factories)
	return nil
}

// run runs the informers until ctx is done.
func run(ctx context.Context, all []informers.SharedInformerFactory) {
	for _, f := range all {
		f.StartWithContext(ctx)
	}
	<-ctx.Done()
	for _, f := range all {
		f.Shutdown()
	}
}

// maxViewEvents bounds how many events a view shows: so many warnings, and so many of the others.
const maxViewEvents = 15

// Read gives what the cluster looks like, in the words that kubectl prints. It waits until all has been read once, or for
// ctx's end.
func (v *View) Read(ctx context.Context) (portal.Cluster, error) {
	v.looked()
	var synced []cache.InformerSynced
	for _, s := range slices.Concat(v.stores.nodes, v.stores.pods, v.stores.volumes, v.stores.deployments, v.stores.events) {
		synced = append(synced, s.HasSynced)
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return portal.Cluster{}, fmt.Errorf("read the cluster: %w", context.Cause(ctx))
	}
	pods := held[corev1.Pod](v.stores.pods)
	return portal.Cluster{
		Nodes: nodeViews(held[corev1.Node](v.stores.nodes), pods, held[corev1.PersistentVolume](v.stores.volumes)),
		Pods:  podViews(pods), Deployments: deploymentViews(held[appsv1.Deployment](v.stores.deployments)),
		Events: eventViews(held[corev1.Event](v.stores.events)),
	}, nil
}

// held gives what is in the stores, which nobody may change.
func held[T any](from stores) []*T {
	var out []*T
	for _, s := range from {
		for _, o := range s.GetStore().List() {
			if x, ok := o.(*T); ok {
				out = append(out, x)
			}
		}
	}
	return out
}

func nodeViews(nodes []*corev1.Node, pods []*corev1.Pod, volumes []*corev1.PersistentVolume) []portal.ClusterNode {
	var out []portal.ClusterNode
	for _, n := range states(nodes, pods, volumes) {
		out = append(out, portal.ClusterNode{
			Name: n.Name, Status: n.Status, Power: n.Power, Pods: n.Pods, CPU: n.CPU.of(), Memory: n.Memory.of(), Disk: n.Disk.of(),
			Percent: max(n.CPU.percent(), n.Memory.percent(), n.Disk.percent()),
		})
	}
	return out
}

func (s Share) of() string { return s.Requested + " of " + s.Allocatable }

// percent tells how much of all is requested.
func (s Share) percent() int {
	some, err := resource.ParseQuantity(s.Requested)
	if err != nil {
		return 0
	}
	all, err := resource.ParseQuantity(s.Allocatable)
	if err != nil || all.IsZero() {
		return 0
	}
	return int(100 * some.AsApproximateFloat64() / all.AsApproximateFloat64())
}

// podViews gives pods by namespace and name.
func podViews(pods []*corev1.Pod) []portal.ClusterPod {
	var out []portal.ClusterPod
	for _, p := range pods {
		x := portal.ClusterPod{
			Namespace: p.Namespace, Name: p.Name, Ready: api.PodReady(p), Status: api.PodStatus(p), Node: p.Spec.NodeName, Created: p.CreationTimestamp.UTC(),
		}
		for _, c := range p.Status.ContainerStatuses {
			x.Restarts += int(c.RestartCount)
		}
		if len(p.Spec.Containers) > 0 {
			x.Image = p.Spec.Containers[0].Image
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b portal.ClusterPod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// deploymentViews gives Deployments by namespace and name.
func deploymentViews(all []*appsv1.Deployment) []portal.ClusterDeployment {
	var out []portal.ClusterDeployment
	for _, d := range all {
		x := portal.ClusterDeployment{Namespace: d.Namespace, Name: d.Name, Ready: int(d.Status.ReadyReplicas), Desired: 1}
		if d.Spec.Replicas != nil {
			x.Desired = int(*d.Spec.Replicas)
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b portal.ClusterDeployment) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// eventViews gives the last events, newest first.
func eventViews(all []*corev1.Event) []portal.ClusterEvent {
	slices.SortFunc(all, func(a, b *corev1.Event) int {
		return cmp.Or(lastTime(b).Compare(lastTime(a)), cmp.Compare(version(b), version(a))) // times are whole seconds
	})
	var out []portal.ClusterEvent
	shown := map[bool]int{}
	for _, e := range all {
		warning := e.Type == corev1.EventTypeWarning
		if shown[warning]++; shown[warning] > maxViewEvents {
			continue
		}
		out = append(out, portal.ClusterEvent{
			Time: lastTime(e), Warning: warning, Reason: e.Reason, Namespace: e.InvolvedObject.Namespace,
			Object: strings.ToLower(e.InvolvedObject.Kind) + "/" + e.InvolvedObject.Name, Message: e.Message, Count: max(1, int(e.Count)),
		})
	}
	return out
}

// version orders what was written within a second.
func version(e *corev1.Event) uint64 {
	n, _ := strconv.ParseUint(e.ResourceVersion, 10, 64) // the API server is ours: it is a number
	return n
}

// lastTime is when an event happened last.
func lastTime(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.UTC()
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.UTC()
	case !e.EventTime.IsZero():
		return e.EventTime.UTC()
	}
	return e.CreationTimestamp.UTC()
}

// Scale asks for another number of a Deployment's replicas, as kubectl scale does.
func (v *View) Scale(ctx context.Context, namespace, name string, replicas int) error {
	if replicas < 0 {
		return sim.Errorf(sim.Invalid, "a deployment cannot have %d replicas", replicas).WithHelp("give 0 or more")
	}
	patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas)
	_, err := v.nodes.client.AppsV1().Deployments(namespace).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "scale")
	return told(err)
}

// DeletePod deletes a pod, as kubectl delete pod does.
func (v *View) DeletePod(ctx context.Context, namespace, name string) error {
	return told(v.nodes.client.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{}))
}

// maxLog bounds how much of a log is read, in bytes.
const maxLog = 256 << 10

// Log reads the end of a pod's log, of its container before if previous.
func (v *View) Log(ctx context.Context, namespace, name string, previous bool) (string, error) {
	lines, limit := int64(400), int64(maxLog)
	body, err := v.nodes.client.CoreV1().Pods(namespace).GetLogs(name, &corev1.PodLogOptions{Previous: previous, TailLines: &lines, LimitBytes: &limit}).Stream(ctx)
	if err != nil {
		return "", told(err)
	}
	b, err := io.ReadAll(io.LimitReader(body, maxLog))
	if e := body.Close(); err == nil {
		err = e
	}
	return string(b), err
}

// Cordon keeps new pods off a node, or lets them on again.
func (v *View) Cordon(ctx context.Context, name string, on bool) error {
	_, err := v.nodes.client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, on), metav1.PatchOptions{})
	return told(err)
}

// SetPower is [Nodes.SetPower].
func (v *View) SetPower(ctx context.Context, name string, on bool) error {
	return v.nodes.SetPower(ctx, name, on)
}

// told classifies what the API server refuses; its words are for people.
func told(err error) error {
	var kind sim.Kind
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		kind = sim.NotFound
	case apierrors.IsConflict(err):
		kind = sim.Conflict
	case apierrors.IsForbidden(err):
		kind = sim.Forbidden
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		kind = sim.Invalid
	default:
		return err
	}
	return &sim.Error{Kind: kind, Msg: err.Error(), Help: "these are the words of the cluster's API server", Err: err}
}
