// Package survey knows the metadata of what a Kubernetes cluster holds: names, labels, owners, field managers, never any
// content. It asks the API server as any client does, so it works for a real cluster as for the one in the process.
package survey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster/internal/release"
)

// maxBrief bounds how many objects that came and went are remembered until [Survey.Take].
const maxBrief = 4096

// Object is one object.
type Object struct {
	Kind      string
	Namespace string // empty: of the cluster
	Name      string
	UID       string
	Created   time.Time
	Manager   string // the field manager that made it, as far as that is told; empty: unknown
	Deleting  bool   // its deletion has begun
	Holds     string // a finalizer that is not Kubernetes' own, which keeps it from being deleted; empty: none

	Release          string // Helm release that it belongs to, itself or through its owners; empty: none
	ReleaseNamespace string // of that release
	Hook             bool   // a Helm hook made it
	Keep             bool   // it is annotated to outlive its release
	Bundled          bool   // a definition of a kind that Helm took from a chart's folder crds/
	System           bool   // every cluster, or every namespace, has it
	Simulator        bool   // the simulator made it for itself

	// Of a record of a Helm release.
	Record bool
	Status string // "deployed", "uninstalled"
}

// Survey watches a cluster. It is safe for concurrent use.
type Survey struct {
	config     *rest.Config
	namespaces []string // in which is looked; nil: all
	log        *slog.Logger
	changed    chan struct{} // cap 1
	kinds      chan struct{} // cap 1; kinds may have come or gone

	synced  chan struct{} // closed once all has been seen
	failing chan struct{} // closed once the API server could not be asked

	mu        sync.Mutex
	fault     error // of the latest attempt to ask; nil: none failed
	followers map[scope]*follower
	broken    map[schema.GroupVersion]error // what the API server could not tell of itself
	items     map[types.UID]item
	brief     []item // gone since the last Take
}

// item is what is kept of an object: its metadata without what nobody asks for.
type item struct {
	kind   string
	of     schema.GroupResource
	object *metav1.PartialObjectMetadata
}

// New gives a survey that knows nothing before [Survey.Serve]. What is in namespaces it knows of these alone; nil: of all.
func New(config *rest.Config, namespaces []string, log *slog.Logger) *Survey {
	return &Survey{
		config: config, namespaces: namespaces, log: log, changed: make(chan struct{}, 1), kinds: make(chan struct{}, 1), synced: make(chan struct{}), failing: make(chan struct{}),
		followers: map[scope]*follower{}, items: map[types.UID]item{},
	}
}

// Synced is closed once all of the cluster has been seen that may be; see [Survey.Unseen].
func (s *Survey) Synced() <-chan struct{} { return s.synced }

// Wait waits until all of the cluster has been seen. It returns Unavailable, and why, if the API server does not let itself be
// asked, and ctx's error when ctx is done.
func (s *Survey) Wait(ctx context.Context) error {
	select {
	case <-s.synced:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.failing:
	}
	select {
	case <-s.synced:
		return nil
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return &sim.Error{
		Kind: sim.Unavailable, Msg: fmt.Sprintf("the cluster cannot be surveyed: %v", s.fault), Err: s.fault,
		Help: "it is tried again by itself; is the cluster's API server up?",
	}
}

// Changed receives when something may have changed since the last [Survey.Take]. It is for one reader.
func (s *Survey) Changed() <-chan struct{} { return s.changed }

// again is how often an API server that does not answer is asked what it has. It is machine time, as that of client-go's own
// watches.
const again = time.Second

// Serve watches until ctx is done, and then returns nil. It may be called once. As long as the API server does not let itself
// be asked it tries again, and says so in the log. Kinds that come later are watched too.
func (s *Survey) Serve(ctx context.Context) error {
	asked, err := discovery.NewDiscoveryClientForConfig(s.config)
	if err != nil {
		return fmt.Errorf("survey the cluster: %w", err)
	}
	client, err := metadata.NewForConfig(s.config)
	if err != nil {
		return fmt.Errorf("survey the cluster: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	for seen, unseen := false, 0; ; seen = true {
		lists, ok := s.ask(ctx, asked)
		if !ok {
			return nil
		}
		late, err := s.follow(ctx, &running, client, lists)
		if err != nil {
			return fmt.Errorf("survey the cluster: %w", err)
		}
		if !s.caughtUp(ctx) {
			return nil
		}
		unseen = s.report(ctx, unseen)
		if !seen {
			close(s.synced)
		}
		s.signal(s.changed)
		limited, cancel := ctx, context.CancelFunc(func() {})
		if late {
			limited, cancel = context.WithTimeout(ctx, again)
		}
		select {
		case <-s.kinds:
		case <-limited.Done():
		}
		cancel()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// ask gives what the API server has, once it answers; not ok means that ctx is done.
func (s *Survey) ask(ctx context.Context, asked *discovery.DiscoveryClient) (lists []*metav1.APIResourceList, ok bool) {
	err := wait.PollUntilContextCancel(ctx, again, true, func(ctx context.Context) (bool, error) {
		var err error
		lists, err = asked.ServerPreferredResourcesWithContext(ctx)
		part, partly := errors.AsType[*discovery.ErrGroupDiscoveryFailed](err)
		if err != nil && !partly {
			s.failed(ctx, err)
			return false, nil
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.broken = nil; partly {
			s.broken = part.Groups
		}
		return true, nil
	})
	return lists, err == nil
}

// failed notes that the API server did not let itself be asked, and says so if that is news.
func (s *Survey) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	was := s.fault
	s.fault = err
	s.mu.Unlock()
	if was == nil {
		close(s.failing)
	}
	if was == nil || was.Error() != err.Error() {
		s.log.WarnContext(ctx, "cluster not surveyed, trying again", "err", err)
	}
}

// managerKey is where slim keeps who made an object.
const managerKey = "dpesim.dev/made-by"

// slim drops what is large and not needed: of the managed fields it keeps the oldest manager's name.
func slim(o any) (any, error) {
	m, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return o, nil
	}
	keep := map[string]string{}
	for _, k := range []string{releaseKey, placeKey, hookKey, policyKey} {
		if v, ok := m.Annotations[k]; ok {
			keep[k] = v
		}
	}
	if first := maker(m.ManagedFields); first != "" {
		keep[managerKey] = first
	}
	m.Annotations, m.ManagedFields = keep, nil
	return m, nil
}

func maker(fields []metav1.ManagedFieldsEntry) string {
	var first *metav1.ManagedFieldsEntry
	for i, f := range fields {
		if f.Time != nil && f.Subresource == "" && (first == nil || f.Time.Before(first.Time)) {
			first = &fields[i]
		}
	}
	if first == nil {
		return ""
	}
	return first.Manager
}

// definitionKind is the kind of objects that define kinds.
const definitionKind = "CustomResourceDefinition"

func (s *Survey) note(f *follower, o any, gone bool) {
	if t, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = t.Obj
	}
	m, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return
	}
	s.mu.Lock()
	i := item{f.kind, f.resource.GroupResource(), m}
	if gone {
		s.goneLocked(i)
	} else {
		s.items[m.UID] = i
	}
	s.mu.Unlock()
	if f.kind == definitionKind {
		s.signal(s.kinds)
	}
	s.signal(s.changed)
}

func (s *Survey) goneLocked(i item) {
	delete(s.items, i.object.UID)
	if s.brief = append(s.brief, i); len(s.brief) > maxBrief {
		s.brief = s.brief[1:]
	}
}

func (s *Survey) signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default: // it is signalled already
	}
}

// Take gives what is there and what has gone since the last Take, both in the order of kinds and names.
func (s *Survey) Take() (present, gone []Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := finder{items: maps.Clone(s.items)}
	for _, i := range s.brief { // owners that went with what they owned
		f.items[i.object.UID] = i
	}
	for _, i := range f.items {
		if r, ok := release.RecordOf(i.of.Resource, i.object); ok && r.Revision == "1" {
			f.firsts = append(f.firsts, i.object)
		}
	}
	for _, i := range s.items {
		present = append(present, f.object(i))
	}
	for _, i := range s.brief {
		gone = append(gone, f.object(i))
	}
	s.brief = nil
	for _, l := range [][]Object{present, gone} {
		slices.SortFunc(l, func(a, b Object) int {
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
		})
	}
	return present, gone
}

// Annotations and labels of Helm and of the charts that follow Kubernetes' recommendations. Source: Helm, "Labels and
// Annotations", "Chart Hooks"; Kubernetes, "Recommended Labels".
const (
	releaseKey  = "meta.helm.sh/release-name"
	placeKey    = "meta.helm.sh/release-namespace"
	hookKey     = "helm.sh/hook"
	policyKey   = "helm.sh/resource-policy"
	instanceKey = "app.kubernetes.io/instance"
	managedKey  = "app.kubernetes.io/managed-by"
)

// ManagedBy is the label by which the simulator marks what it makes in a cluster for itself, with the value Simulator.
const (
	ManagedBy = managedKey
	Simulator = "dpesim"
)

// finder resolves owners.
type finder struct {
	items  map[types.UID]item
	firsts []*metav1.PartialObjectMetadata // records of releases' first revisions
}

// bundled tells whether i is a definition that Helm took from a chart's folder crds/: it does not mark those.
func bundled(i item) bool {
	m := i.object
	return i.kind == definitionKind && m.Annotations[releaseKey] == "" && m.Annotations[hookKey] == "" && strings.HasPrefix(m.Annotations[managerKey], "helm")
}

// bundleSpan is how long a release's definitions may be there before the release's first record: Helm waits until they are served.
const bundleSpan = time.Minute

// bundle gives the release that was first recorded next after a time.
func (f finder) bundle(at time.Time) (name, namespace string) {
	var next *metav1.PartialObjectMetadata
	for _, m := range f.firsts {
		if later := m.CreationTimestamp.Sub(at); later >= 0 && later < bundleSpan && (next == nil || m.CreationTimestamp.Before(&next.CreationTimestamp)) {
			next = m
		}
	}
	if next == nil {
		return "", ""
	}
	return next.Labels["name"], next.Namespace
}

func (f finder) object(i item) Object {
	m := i.object
	record, recorded := release.RecordOf(i.of.Resource, m)
	o := Object{
		Kind: i.kind, Namespace: m.Namespace, Name: m.Name, UID: string(m.UID), Created: m.CreationTimestamp.UTC(),
		Manager: m.Annotations[managerKey], Deleting: m.DeletionTimestamp != nil, Hook: m.Annotations[hookKey] != "",
		Keep: m.Annotations[policyKey] == "keep", Bundled: bundled(i), System: system(i.kind, m), Simulator: m.Labels[ManagedBy] == Simulator, Record: recorded, Status: record.Status,
	}
	if i := slices.IndexFunc(m.Finalizers, foreign); i >= 0 {
		o.Holds = m.Finalizers[i]
	}
	o.Release, o.ReleaseNamespace = f.release(i, maxDepth)
	return o
}

// maxDepth is how far owners are followed: Deployment, ReplicaSet, Pod, claim, volume, and as much again.
const maxDepth = 10

// release gives the Helm release that i belongs to: by its own word, else by its owner's, a volume's by its claim's.
func (f finder) release(i item, depth int) (name, namespace string) {
	m := i.object
	r, recorded := release.RecordOf(i.of.Resource, m)
	switch {
	case recorded:
		return r.Release.Name, r.Release.Namespace
	case m.Annotations[releaseKey] != "":
		return m.Annotations[releaseKey], cmp.Or(m.Annotations[placeKey], m.Namespace)
	case m.Annotations[hookKey] != "" && m.Labels[managedKey] == "Helm":
		return m.Labels[instanceKey], m.Namespace
	case bundled(i):
		return f.bundle(m.CreationTimestamp.Time)
	case depth == 0:
		return "", ""
	}
	for _, r := range m.OwnerReferences {
		if owner, ok := f.items[r.UID]; ok {
			if name, namespace := f.release(owner, depth-1); name != "" {
				return name, namespace
			}
		}
	}
	if uid, ok := strings.CutPrefix(m.Name, "pvc-"); ok && i.kind == "PersistentVolume" { // as provisioners name them
		if claim, ok := f.items[types.UID(uid)]; ok {
			return f.release(claim, depth-1)
		}
	}
	if len(m.OwnerReferences) > 0 || i.kind == "Endpoints" { // what is left when its owner went first
		return m.Labels[instanceKey], m.Namespace
	}
	return "", ""
}

// foreign tells whether no controller of Kubernetes takes a finalizer away by itself. Kubernetes' own have no domain
// ("foregroundDeletion"), or one of its domains ("kubernetes.io/pvc-protection", "batch.kubernetes.io/job-tracking").
func foreign(finalizer string) bool {
	domain, _, ok := strings.Cut(finalizer, "/")
	return ok && domain != "kubernetes.io" && !strings.HasSuffix(domain, ".kubernetes.io")
}

// system tells what Kubernetes itself makes in each cluster and namespace.
func system(kind string, m *metav1.PartialObjectMetadata) bool {
	switch kind {
	case "Namespace":
		return m.Name == metav1.NamespaceDefault || strings.HasPrefix(m.Name, "kube-")
	case "ConfigMap":
		return m.Name == "kube-root-ca.crt"
	case "ServiceAccount":
		return m.Name == "default"
	case "Service", "Endpoints":
		return m.Namespace == metav1.NamespaceDefault && m.Name == "kubernetes"
	case "EndpointSlice":
		return m.Namespace == metav1.NamespaceDefault && strings.HasPrefix(m.Name, "kubernetes")
	}
	return false
}
