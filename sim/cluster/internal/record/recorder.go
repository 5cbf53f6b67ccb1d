// Package record writes Kubernetes events: what `kubectl get events` and `kubectl describe` show to an operator.
//
// client-go has a recorder too; it stamps by the machine's clock. This one goes by product time, and counts a repeated event up instead of writing it again.
package record

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/reference"

	"github.com/dpesim/dpesim/sim/clock"
)

// remembered is how many different events are counted up when they repeat; the count starts anew past it.
const remembered = 4096

// Recorder writes events in the order in which they are told, in the background. It is safe for concurrent use.
type Recorder struct {
	client kubernetes.Interface
	clock  *clock.Clock
	log    *slog.Logger

	mu      sync.Mutex
	last    int64 // in the latest name
	waiting []corev1.Event
	more    chan struct{} // cap 1: something waits
}

// New gives a recorder. Nothing is written before [Recorder.Run].
func New(client kubernetes.Interface, c *clock.Clock, log *slog.Logger) *Recorder {
	return &Recorder{client: client, clock: c, log: log, more: make(chan struct{}, 1)}
}

// Source is who tells: a component, and the node it speaks for.
type Source struct{ Component, Node string }

// Normal tells of something as it should be.
func (r *Recorder) Normal(from Source, about runtime.Object, reason, format string, args ...any) {
	r.tell(from, about, corev1.EventTypeNormal, reason, fmt.Sprintf(format, args...))
}

// Warning tells of something that an operator may have to act on.
func (r *Recorder) Warning(from Source, about runtime.Object, reason, format string, args ...any) {
	r.tell(from, about, corev1.EventTypeWarning, reason, fmt.Sprintf(format, args...))
}

func (r *Recorder) tell(from Source, about runtime.Object, kind, reason, message string) {
	ref, err := reference.GetReference(scheme.Scheme, about)
	if err != nil {
		r.log.Error("event not recorded", "err", err, "reason", reason)
		return
	}
	r.Tell(from, *ref, kind, reason, message)
}

// Tell writes an event of a kind, Normal or Warning, about what ref refers to: also a part of an object, by a field path.
func (r *Recorder) Tell(from Source, ref corev1.ObjectReference, kind, reason, message string) {
	now := metav1.NewTime(r.clock.Now())
	namespace := ref.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	e := corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: namespace},
		InvolvedObject: ref, Type: kind, Reason: reason, Message: message, Count: 1,
		FirstTimestamp: now, LastTimestamp: now,
		Source:              corev1.EventSource{Component: from.Component, Host: from.Node},
		ReportingController: from.Component, ReportingInstance: from.Node,
	}
	r.mu.Lock()
	// Names are in the order of events: a list of those of one second shows them as they came.
	r.last = max(r.last+1, now.UnixNano())
	e.Name = fmt.Sprintf("%s.%x.%s", e.InvolvedObject.Name, r.last, strings.ToLower(rand.Text()[:6]))
	r.waiting = append(r.waiting, e)
	r.mu.Unlock()
	select {
	case r.more <- struct{}{}:
	default: // Run has been woken already
	}
}

// key is what makes two events the same one, again.
type key struct {
	object                                              types.UID
	namespace, path, component, node, kind, reason, msg string
}

type seen struct {
	name  string
	count int32
}

// Run writes events until ctx is done; what waits then is dropped.
func (r *Recorder) Run(ctx context.Context) {
	told := map[key]seen{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.more:
		}
		r.mu.Lock()
		batch := r.waiting
		r.waiting = nil
		r.mu.Unlock()
		if len(told) > remembered {
			clear(told)
		}
		for _, e := range batch {
			r.write(ctx, told, e)
		}
	}
}

func (r *Recorder) write(ctx context.Context, told map[key]seen, e corev1.Event) {
	k := key{e.InvolvedObject.UID, e.Namespace, e.InvolvedObject.FieldPath, e.Source.Component, e.Source.Host, e.Type, e.Reason, e.Message}
	events := r.client.CoreV1().Events(e.Namespace)
	if s, again := told[k]; again {
		s.count++
		patch, err := json.Marshal(map[string]any{"count": s.count, "lastTimestamp": e.LastTimestamp})
		if err == nil {
			_, err = events.Patch(ctx, s.name, types.MergePatchType, patch, metav1.PatchOptions{})
		}
		if err == nil {
			told[k] = s
			return
		}
		// It has been deleted meanwhile: tell it anew.
	}
	if _, err := events.Create(ctx, &e, metav1.CreateOptions{}); err != nil {
		r.log.Debug("event not written", "err", err, "reason", e.Reason) // its namespace may be going
		return
	}
	told[k] = seen{e.Name, 1}
}
