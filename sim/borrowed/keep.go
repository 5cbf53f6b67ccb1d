package borrowed

import (
	"context"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/dpesim/dpesim/sim/cluster"
	"github.com/dpesim/dpesim/sim/stack"
)

const (
	// ofChart selects what the chart makes. The product's own chart makes such objects, too: they show nothing by themselves.
	ofChart = "app.kubernetes.io/part-of=ataccama-one"
	// instance is the label with a release's name.
	instance = "app.kubernetes.io/instance"
)

// keeper knows which namespaces were there before, and in which a release of this simulator was seen since.
//
// A release is this simulator's if its ConfigMap trusts the simulator's authority and its engines dial the simulator's names at
// its port. Nobody else's is so, the real product's least of all.
type keeper struct {
	client     kubernetes.Interface
	namespaces []string           // that may be worked in, or [metav1.NamespaceAll] alone
	before     map[types.UID]bool // namespaces that were there at the beginning
	stop       context.CancelFunc
	following  []informers.SharedInformerFactory

	mu    sync.Mutex
	reach stack.Reach     // of the simulator
	seen  map[string]bool // namespaces with a release of this simulator, by name, until they are cleaned
}

// keep notes the namespaces that are there and begins to follow releases in those that may be worked in.
func keep(ctx context.Context, client kubernetes.Interface, namespaces []string) (*keeper, error) {
	if namespaces == nil {
		namespaces = []string{metav1.NamespaceAll}
	}
	k := &keeper{client: client, namespaces: namespaces, before: map[types.UID]bool{}, seen: map[string]bool{}}
	there, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	for _, n := range there.Items {
		k.before[n.UID] = true
	}
	look := func(o any) {
		if m, ok := o.(*corev1.ConfigMap); ok {
			k.look(m)
		}
	}
	for _, n := range namespaces {
		f := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(n),
			informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = ofChart }))
		if _, err := f.Core().V1().ConfigMaps().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: look, UpdateFunc: func(_, o any) { look(o) }}); err != nil {
			return nil, fmt.Errorf("follow releases: %w", err)
		}
		k.following = append(k.following, f)
	}
	ctx, k.stop = context.WithCancel(context.WithoutCancel(ctx))
	for _, f := range k.following {
		f.StartWithContext(ctx)
	}
	return k, nil
}

func (k *keeper) close() {
	k.stop()
	for _, f := range k.following {
		f.Shutdown()
	}
}

// serves tells the keeper of the simulator that begins now.
func (k *keeper) serves(r stack.Reach) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reach = r
}

// look notes the namespace of a release of this simulator.
func (k *keeper) look(m *corev1.ConfigMap) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.oursLocked(m) {
		k.seen[m.Namespace] = true
	}
}

// oursLocked tells whether m is of a release of this simulator.
func (k *keeper) oursLocked(m *corev1.ConfigMap) bool {
	_, names, ok := strings.Cut(k.reach.Inside, ".") // "registry.DOMAIN:PORT"
	return ok && strings.Contains(m.Data["ca.pem"], strings.TrimSpace(string(k.reach.CA))) && strings.Contains(m.Data["application.properties"], "."+names)
}

// take gives the namespaces in which a release of this simulator was seen, and forgets them, and the releases that are there.
func (k *keeper) take(ctx context.Context) (namespaces map[string]bool, releases []types.NamespacedName, err error) {
	var there []corev1.ConfigMap
	for _, n := range k.namespaces {
		list, err := k.client.CoreV1().ConfigMaps(n).List(ctx, metav1.ListOptions{LabelSelector: ofChart})
		if err != nil {
			return nil, nil, fmt.Errorf("look for releases: %w", err)
		}
		there = append(there, list.Items...)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range there {
		if k.oursLocked(&m) {
			k.seen[m.Namespace] = true
			releases = append(releases, types.NamespacedName{Namespace: m.Namespace, Name: m.Labels[instance]})
		}
	}
	namespaces, k.seen = k.seen, map[string]bool{}
	return namespaces, releases, nil
}

// Clean removes what a rehearsal has left, and waits until it is gone: a namespace that came into being since [Open], if a release
// of this simulator was seen in it; in a namespace that was there before, this simulator's releases, as helm uninstalls
// them. Other namespaces that came into being meanwhile are told of, and left.
func (c *Cluster) Clean(ctx context.Context) error {
	seen, releases, err := c.keeper.take(ctx)
	if err != nil {
		return err
	}
	namespaces := c.client.CoreV1().Namespaces()
	all, err := namespaces.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list namespaces: %w", err)
	}
	gone := map[string]types.UID{}
	for _, n := range all.Items {
		switch {
		case c.keeper.before[n.UID] || n.Name == Home:
		case !seen[n.Name]:
			c.opts.Progress(fmt.Sprintf("the namespace %s has come into being meanwhile, and nothing in it is known as this simulator's: it is left", n.Name))
			c.keeper.before[n.UID] = true // told once
		default:
			if err := namespaces.Delete(ctx, n.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(n.UID))}); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
				return fmt.Errorf("remove the namespace %s: %w", n.Name, err)
			}
			gone[n.Name] = n.UID
		}
	}
	for _, r := range releases {
		if gone[r.Namespace] != "" {
			continue
		}
		c.opts.Progress(fmt.Sprintf("uninstalling %s, which is left in the namespace %s", r.Name, r.Namespace))
		if err := c.opts.Uninstall(ctx, c.kubeconfig, r.Namespace, r.Name); err != nil {
			return fmt.Errorf("uninstall what is left: %w", err)
		}
		c.opts.Progress(fmt.Sprintf("waiting until the pods of %s have ended", r.Name))
		pods := metav1.ListOptions{LabelSelector: ofChart + "," + instance + "=" + r.Name}
		if err := cluster.AwaitGone(ctx, "pods", c.client.CoreV1().Pods(r.Namespace), pods, func(metav1.Object) bool { return true }); err != nil {
			return err
		}
	}
	return cluster.AwaitGone(ctx, "namespaces", namespaces, metav1.ListOptions{}, func(n metav1.Object) bool { return gone[n.GetName()] == n.GetUID() })
}
