package survey

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
)

// scope is what is followed by itself: a kind, in one namespace or ([metav1.NamespaceAll]) everywhere.
type scope struct {
	resource  schema.GroupVersionResource
	namespace string
}

// follower follows the objects of one kind in a scope.
type follower struct {
	scope
	kind    string
	synced  func() bool
	stop    context.CancelFunc
	done    chan struct{}
	refusal string // why the API server does not tell of them, under the survey's mu; empty: it has not refused
}

// follow begins with kinds that are new and ends with those that are no more. It is late if a kind is defined that the
// API server does not serve yet.
func (s *Survey) follow(ctx context.Context, running *sync.WaitGroup, client metadata.Interface, lists []*metav1.APIResourceList) (late bool, err error) {
	served, there := map[scope]string{}, map[schema.GroupResource]bool{}
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			return false, err
		}
		for _, r := range l.APIResources {
			there[schema.GroupResource{Group: gv.Group, Resource: r.Name}] = true
			if !surveyed(gv.Group, r) {
				continue
			}
			for _, n := range s.namespacesOf(r) {
				served[scope{gv.WithResource(r.Name), n}] = r.Kind
			}
		}
	}
	s.mu.Lock()
	var begun, ended []*follower
	for at, kind := range served {
		if s.followers[at] == nil {
			s.followers[at] = &follower{scope: at, kind: kind, done: make(chan struct{})}
			begun = append(begun, s.followers[at])
		}
	}
	for at, f := range s.followers {
		_, is := served[at]
		if _, broken := s.broken[at.resource.GroupVersion()]; !is && !broken {
			ended = append(ended, f)
			delete(s.followers, at)
		}
	}
	for _, i := range s.items {
		late = late || i.kind == definitionKind && i.object.DeletionTimestamp == nil && !there[schema.ParseGroupResource(i.object.Name)]
	}
	s.mu.Unlock()
	for _, f := range begun {
		if err := s.begin(ctx, running, client, f); err != nil {
			return false, err
		}
	}
	for _, f := range ended {
		f.stop()
		<-f.done
		if gr := f.resource.GroupResource(); !there[gr] { // else it is served in another version
			s.forget(gr)
		}
	}
	return late, nil
}

// namespacesOf gives where a kind is followed.
func (s *Survey) namespacesOf(r metav1.APIResource) []string {
	if !r.Namespaced || s.namespaces == nil {
		return []string{metav1.NamespaceAll}
	}
	return s.namespaces
}

// begin follows a kind until ctx is done or it is stopped.
func (s *Survey) begin(ctx context.Context, running *sync.WaitGroup, client metadata.Interface, f *follower) error {
	ctx, f.stop = context.WithCancel(ctx)
	i := metadatainformer.NewFilteredMetadataInformer(client, f.resource, f.namespace, 0, cache.Indexers{}, nil).Informer()
	if err := i.SetTransform(slim); err != nil {
		return err
	}
	if err := i.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) { s.unable(ctx, f, r, err) }); err != nil {
		return err
	}
	registered, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { s.note(f, o, false) },
		UpdateFunc: func(_, o any) { s.note(f, o, false) },
		DeleteFunc: func(o any) { s.note(f, o, true) },
	})
	if err != nil {
		return err
	}
	f.synced = registered.HasSynced
	running.Go(func() {
		defer close(f.done)
		i.RunWithContext(ctx)
	})
	return nil
}

// unable takes why a kind could not be listed or watched. The informer tries again by itself.
func (s *Survey) unable(ctx context.Context, f *follower, r *cache.Reflector, err error) {
	if !apierrors.IsForbidden(err) && !apierrors.IsMethodNotSupported(err) && !apierrors.IsNotFound(err) {
		cache.DefaultWatchErrorHandler(ctx, r, err)
		return
	}
	said := err.Error()
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
		said = status.ErrStatus.Message // without what client-go says around it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.refusal = said
}

// report says in the log, in one line, what is not seen, if that is more than at the last time.
func (s *Survey) report(ctx context.Context, before int) int {
	var kinds []string
	for _, u := range s.Unseen() {
		kinds = append(kinds, u.What)
	}
	if len(kinds) > before {
		s.log.WarnContext(ctx, "the cluster does not let these be surveyed", "kinds", strings.Join(kinds, " "))
	}
	return len(kinds)
}

// sight is how often it is looked whether all has been seen. It is machine time, as that of client-go's own watches.
const sight = 20 * time.Millisecond

// caughtUp waits until all has been seen that the API server tells of; not so means that ctx is done.
func (s *Survey) caughtUp(ctx context.Context) bool {
	return wait.PollUntilContextCancel(ctx, sight, true, func(context.Context) (bool, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, f := range s.followers {
			if !f.synced() && f.refusal == "" {
				return false, nil
			}
		}
		return true, nil
	}) == nil
}

// forget takes the objects of a kind that is no more as gone.
func (s *Survey) forget(gr schema.GroupResource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.items {
		if i.of == gr {
			s.goneLocked(i)
		}
	}
}

// Unseen is a part of the cluster that is not known.
type Unseen struct {
	What   string // a kind, or a version of an API of whose kinds nothing is known: "metrics.example.com/v1"
	Reason string // as the API server says it
}

// Unseen gives what the API server does not let the survey see, in the order of names.
func (s *Survey) Unseen() []Unseen {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Unseen
	for gv, err := range s.broken {
		out = append(out, Unseen{gv.String(), err.Error()})
	}
	for _, f := range s.followers {
		if f.refusal != "" && !f.synced() {
			out = append(out, Unseen{f.kind, f.refusal})
		}
	}
	slices.SortFunc(out, func(a, b Unseen) int {
		return cmp.Or(strings.Compare(a.What, b.What), strings.Compare(a.Reason, b.Reason))
	})
	return slices.CompactFunc(out, func(a, b Unseen) bool { return a.What == b.What }) // refused in several namespaces
}

// surveyed leaves out what no installation makes, or what comes and goes by itself: events, leases, nodes.
func surveyed(group string, r metav1.APIResource) bool {
	for _, verb := range []string{"delete", "list", "watch"} {
		if !slices.Contains(r.Verbs, verb) {
			return false
		}
	}
	return r.Name != "events" && r.Name != "nodes" && group != "coordination.k8s.io" && group != "metrics.k8s.io"
}
