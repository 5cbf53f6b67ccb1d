package api

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ktypes "k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster/internal/release"
	"github.com/dpesim/dpesim/sim/cluster/internal/trail"
	"github.com/dpesim/dpesim/sim/event"
)

// witness tells the bus what people do: each write that took effect or was refused, never its content. Reads, dry runs and
// what the cluster's own parts do are not told.
type witness struct {
	bus     *event.Bus
	acts    *trail.Acts
	decoder runtime.Decoder // of answers

	mu       sync.Mutex
	releases map[release.Name]operation // Helm's, under way
	refused  map[string]bool            // what has been told and would be told again
}

func newWitness(bus *event.Bus, acts *trail.Acts, decoder runtime.Decoder) *witness {
	return &witness{bus: bus, acts: acts, decoder: decoder, releases: map[release.Name]operation{}, refused: map[string]bool{}}
}

// act is a write of a person that is under way.
type act struct {
	witness *witness
	who     actor
	info    *request.RequestInfo

	mu   sync.Mutex
	told map[ktypes.UID]bool // an object may change twice in one request, as one with finalizers that is deleted
}

// actor is who writes, by what. It is comparable.
type actor struct {
	user    string
	client  string // "helm", "kubectl", or what else the client calls itself
	version string // of the client
	command string // that a person typed, as far as that is known: "kubectl cordon"
}

type actKey struct{}

// witnessed lets the stores know what a person's request is, and tells when it is refused.
func (w *witness) witnessed(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		who, known := request.UserFrom(r.Context())
		if !ok || !known || !writes(info) || r.URL.Query().Has("dryRun") || who.GetName() == ControllerManager || who.GetName() == NodeAgent {
			h.ServeHTTP(rw, r)
			return
		}
		a := &act{witness: w, who: actorOf(who.GetName(), r.Header), info: info, told: map[ktypes.UID]bool{}}
		answer := &answer{ResponseWriter: rw}
		ctx := event.WithCause(r.Context(), w.bus.Claimed(r.Header.Get(impersonateExtra+event.CauseHeader))) // see [Server.Kubeconfig]
		h.ServeHTTP(answer, r.WithContext(context.WithValue(ctx, actKey{}, a)))
		w.refuse(ctx, a, answer)
	})
}

// writes tells whether a request may change something that is worth telling.
func writes(i *request.RequestInfo) bool {
	if !i.IsResourceRequest || i.Resource == "events" || i.Resource == "leases" {
		return false
	}
	switch i.Verb {
	case "create", "update", "patch", "delete", "deletecollection":
		return true
	}
	return false
}

// maxWord bounds what a client says of itself, in bytes.
const maxWord = 64

// actorOf reads who writes from a request's header. Clients say "Helm/3.13.3" or "kubectl/v1.37.2 (linux/amd64) kubernetes/1a2b3c4".
// Source of Kubectl-Command: Kubernetes, KEP 859 (kubectl headers).
func actorOf(user string, h http.Header) actor {
	product, _, _ := strings.Cut(h.Get("User-Agent"), " ")
	name, version, _ := strings.Cut(product, "/")
	a := actor{user: word(user), client: strings.ToLower(word(name)), version: strings.TrimPrefix(word(version), "v")}
	if c := word(h.Get("Kubectl-Command")); a.client == "kubectl" || strings.HasPrefix(c, "kubectl ") {
		a.client, a.command = "kubectl", c
	}
	return a
}

// word drops from a client's words what could break a line or be no word at all.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(" .:-_+@", r):
			return r
		}
		return -1
	}, s[:min(len(s), maxWord)])
}

// committed tells that a request has changed an object of a resource. It is called with the ledger's lock, before anybody
// can see the change: so who looks for its cause finds it. A nil prev means that the object is new, a nil next that it is gone.
func committed(ctx context.Context, resource string, prev, next runtime.Object) {
	a, ok := ctx.Value(actKey{}).(*act)
	if !ok || a.info.Resource != resource {
		return
	}
	o := next
	if o == nil {
		o = prev
	}
	now, err := meta.Accessor(o)
	if err != nil {
		return
	}
	was := now
	if prev != nil {
		if was, err = meta.Accessor(prev); err != nil {
			return
		}
	}
	a.tell(ctx, step{
		object: now, deletes: next == nil || prev != nil && was.GetDeletionTimestamp() == nil && now.GetDeletionTimestamp() != nil,
		creates: prev == nil, prev: prev, next: next,
	})
}

// step is what a person's request did to one object.
type step struct {
	object           metav1.Object // as it is, or last was
	creates, deletes bool
	prev, next       runtime.Object
}

func (s step) verb() string {
	switch {
	case s.creates:
		return "created"
	case s.deletes:
		return "deleted"
	}
	return "changed"
}

func (a *act) tell(ctx context.Context, s step) {
	a.mu.Lock()
	defer a.mu.Unlock()
	uid := s.object.GetUID()
	if a.told[uid] {
		return
	}
	a.told[uid] = true
	if record, ok := release.RecordOf(a.info.Resource, s.object); ok {
		a.tellRelease(ctx, record, s)
		if seq := a.witness.operation(a.who, record.Release); s.creates {
			a.witness.acts.Note(uid, trail.Act{Seq: seq, Made: seq})
		}
		return
	}
	seq := a.witness.operation(a.who, release.Of(s.object))
	if seq == 0 {
		seq = a.publish(ctx, s.object, what(s), a.about(s.object))
	}
	act := trail.Act{Seq: seq, Generation: s.object.GetGeneration(), Deletes: s.deletes}
	if s.creates {
		act.Made = seq
	}
	a.witness.acts.Note(uid, act)
}

// about says in an event's details which object it is.
func (a *act) about(o metav1.Object) map[string]string {
	d := map[string]string{"resource": a.info.Resource, "name": o.GetName()}
	switch a.info.Resource {
	case "pods", "deployments", "nodes":
		d[strings.TrimSuffix(a.info.Resource, "s")] = o.GetName() // as other events name them
	}
	if a.info.Subresource != "" {
		d["subresource"] = a.info.Subresource
	}
	return d
}

func (a *act) publish(ctx context.Context, o metav1.Object, what string, detail map[string]string) uint64 {
	for k, v := range map[string]string{
		"namespace": o.GetNamespace(), "user": a.who.user, "client": a.who.client, "version": a.who.version, "command": a.who.command, "verb": a.info.Verb,
	} {
		if v != "" {
			detail[k] = v
		}
	}
	return a.witness.bus.Publish(ctx, sim.Event{Part: sim.PartCluster, DPE: labelOf(cmp.Or(detail["release"], o.GetLabels()["app.kubernetes.io/instance"])), What: what, Detail: detail}).Seq
}

// labelOf gives the DPE that a release may be of.
func labelOf(release string) sim.Label {
	if l := sim.Label(release); l.Valid() {
		return l
	}
	return ""
}
