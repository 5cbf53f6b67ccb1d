package why_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/why"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// told numbers events as the bus does.
func told(events ...sim.Event) []sim.Event {
	for i := range events {
		events[i].Seq, events[i].Time = uint64(i+1), noon.Add(time.Duration(i)*time.Second)
	}
	return events
}

func cluster(cause uint64, what string, detail ...string) sim.Event {
	return sim.Event{Part: sim.PartCluster, DPE: "edge-eu", What: what, Cause: cause, Detail: details("namespace", "dpe", detail)}
}

func cloud(part sim.Part, cause uint64, what string, detail ...string) sim.Event {
	return sim.Event{Part: part, Environment: "acme", DPE: "edge-eu", What: what, Cause: cause, Detail: details("", "", detail)}
}

func details(k, v string, pairs []string) map[string]string {
	d := map[string]string{}
	if k != "" {
		d[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		d[pairs[i]] = pairs[i+1]
	}
	return d
}

// installed is how a release comes to a pod that is created: events 1 to 4.
func installed(more ...sim.Event) []sim.Event {
	return told(append([]sim.Event{
		cloud(sim.PartPortal, 0, "dpe added"),
		cluster(0, "helm install started", "release", "edge-eu", "user", "operator"),
		cluster(2, "deployment scaled", "deployment", "edge-eu", "from", "0", "to", "1"),
		cluster(3, "pod created", "pod", "edge-eu-1"),
	}, more...)...)
}

var waiting = []why.DPE{{Environment: "acme", Label: "edge-eu", Message: "DPE isn't connected yet", Detail: "0 of 1 replicas connected"}}

// read gives an explanation as one reads it: the summary, and each chain's events, the first cause marked.
func read(x why.Explanation) []string {
	out := []string{x.Summary}
	for _, c := range x.Chains {
		var steps []string
		for _, s := range c.Steps {
			mark := ""
			if s.Seq == x.FirstCause {
				mark = "*"
			}
			steps = append(steps, " "+s.What+mark)
		}
		out = append(out, strings.TrimPrefix(c.Relation+":"+strings.Join(steps, ";"), ":"))
	}
	return out
}

func TestExplanations(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		subject string
		facts   why.Facts
		want    []string
		hint    string
	}{
		"a pod that fits on no node": {
			"pod/edge-eu-1",
			why.Facts{Events: installed(cluster(4, "pod unschedulable", "pod", "edge-eu-1", "reason", "0/3 nodes are available: 3 Insufficient memory."))},
			[]string{
				"pod/dpe/edge-eu-1: pod unschedulable: 0/3 nodes are available: 3 Insufficient memory.",
				" pod unschedulable; pod created; deployment scaled; helm install started*",
			},
			"make room",
		},
		"a pod whose scratch disk fits on no node": {
			"pod/edge-eu-1",
			why.Facts{Events: installed(cluster(4, "pod unschedulable", "pod", "edge-eu-1", "reason", "0/1 nodes are available: 1 node(s) did not have enough free storage."))},
			[]string{
				"pod/dpe/edge-eu-1: pod unschedulable: 0/1 nodes are available: 1 node(s) did not have enough free storage.",
				" pod unschedulable; pod created; deployment scaled; helm install started*",
			},
			"make room",
		},
		"a pod on cordoned nodes": {
			"pod/edge-eu-1",
			why.Facts{Events: told(
				cluster(0, "node cordoned", "node", "n1"),
				cluster(0, "pod created", "pod", "edge-eu-1"),
				cluster(2, "pod unschedulable", "pod", "edge-eu-1", "reason", "0/1 nodes are available: 1 node(s) were unschedulable."),
			)},
			[]string{
				"pod/dpe/edge-eu-1: pod unschedulable: 0/1 nodes are available: 1 node(s) were unschedulable.",
				" pod unschedulable; pod created", "what happened to the nodes: node cordoned*",
			},
			"uncordon",
		},
		"an image that is refused since the DPE was removed": {
			"pod/dpe/edge-eu-1",
			why.Facts{Events: installed(
				cloud(sim.PartPortal, 0, "dpe removed"),
				sim.Event{Part: sim.PartRegistry, What: "login refused", Detail: map[string]string{"user": "acme.edge-eu", "reason": "unknown user"}},
				cluster(4, "image pull failed", "pod", "edge-eu-1", "message", "401 Unauthorized"),
			)},
			[]string{
				"pod/dpe/edge-eu-1: image pull failed: 401 Unauthorized",
				" image pull failed; pod created; deployment scaled; helm install started",
				"the registry refused the node: login refused", "its access had been withdrawn: dpe removed*",
			},
			"fresh values file",
		},
		"an image that is refused since the token was replaced": {
			"pod/dpe/edge-eu-1",
			why.Facts{Events: installed(
				cloud(sim.PartPortal, 0, "registry token rotated", "by", "tess"),
				sim.Event{Part: sim.PartRegistry, What: "login refused", Detail: map[string]string{"user": "acme.edge-eu", "reason": "wrong token"}},
				cluster(4, "image pull backed off", "pod", "edge-eu-1", "message", "401 Unauthorized"),
			)},
			[]string{
				"pod/dpe/edge-eu-1: image pull backed off: 401 Unauthorized",
				" image pull backed off; pod created; deployment scaled; helm install started",
				"the registry refused the node: login refused", "its access had been withdrawn: registry token rotated*",
			},
			"fresh values file",
		},
		"one replica more in a real cluster, whose engines name no causes": {
			"dpe/acme/edge-eu",
			why.Facts{
				DPEs: []why.DPE{{Environment: "acme", Label: "edge-eu", Message: "DPE is connected successfully", Detail: "1 of 1 replicas connected", Connected: true}},
				Events: told(
					cluster(0, "object changed", "client", "kubectl", "command", "kubectl scale", "deployment", "edge-eu", "name", "edge-eu", "resource", "deployments"),
					cluster(1, "pod created", "pod", "edge-eu-2"),
					cloud(sim.PartDPM, 0, "engine connected", "replica", "edge-eu-2"), // may be told before the kubelet tells of its container
					cluster(2, "container started", "pod", "edge-eu-2"),
					cloud(sim.PartPortal, 3, "dpe status changed", "to", "connected"),
				),
			},
			[]string{
				"dpe/acme/edge-eu: DPE is connected successfully (1 of 1 replicas connected)",
				" dpe status changed; engine connected", "its pod: container started; pod created; object changed*",
			},
			"",
		},
		"an image that is refused on another machine since the token was replaced": {
			"pod/dpe/edge-eu-2",
			why.Facts{Events: installed(
				cloud(sim.PartPortal, 0, "registry token rotated", "by", "tess"),
				cluster(0, "node removed", "node", "n1"),
				cluster(6, "container exited", "pod", "edge-eu-1"),
				cluster(0, "pod created", "pod", "edge-eu-2"),
				sim.Event{Part: sim.PartRegistry, What: "login refused", Detail: map[string]string{"user": "acme.edge-eu", "reason": "wrong token"}},
				cluster(8, "image pull failed", "pod", "edge-eu-2"),
			)},
			[]string{
				"pod/dpe/edge-eu-2: image pull failed", " image pull failed; pod created", "the registry refused the node: login refused",
				"the pod that it replaces: container exited; node removed", "its access had been withdrawn: registry token rotated*",
			},
			"fresh values file",
		},
		"a DPE that is too old for the platform": {
			"dpe/acme/edge-eu",
			why.Facts{DPEs: []why.DPE{{Environment: "acme", Label: "edge-eu", Message: "DPE is disconnected", Detail: "0 of 1 replicas connected"}}, Events: installed(
				cloud(sim.PartDPM, 0, "engine connected", "replica", "edge-eu-1"),
				sim.Event{Part: sim.PartPortal, Environment: "acme", What: "environment upgraded", Detail: map[string]string{"from": "14.5.0", "to": "15.3.0"}},
				cloud(sim.PartDPM, 0, "engine refused", "kind", "conflict", "reason", "upgrade required: the engine has release 14.5.0"),
			)},
			[]string{
				"dpe/acme/edge-eu: DPE is disconnected (0 of 1 replicas connected): engine refused: upgrade required: the engine has release 14.5.0",
				" engine refused", "the platform had been upgraded: environment upgraded*",
			},
			"upgrade it: 'dpesim dpe commands acme edge-eu' prints how",
		},
		"a DPE whose streams the upgrade has just ended": {
			"dpe/acme/edge-eu",
			why.Facts{DPEs: []why.DPE{{Environment: "acme", Label: "edge-eu", Message: "DPE is disconnected", Detail: "0 of 1 replicas connected"}}, Events: installed(
				cloud(sim.PartDPM, 0, "engine connected", "replica", "edge-eu-1"),
				sim.Event{Part: sim.PartPortal, Environment: "acme", What: "environment upgraded"},
				cloud(sim.PartDPM, 6, "engine disconnected", "replica", "edge-eu-1", "reason", "upgrade required: the engine has release 14.5.0"),
			)},
			[]string{
				"dpe/acme/edge-eu: DPE is disconnected (0 of 1 replicas connected): engine disconnected: upgrade required: the engine has release 14.5.0",
				" engine disconnected; environment upgraded*",
			},
			"upgrade it: 'dpesim dpe commands acme edge-eu' prints how",
		},
		"a crash loop whose engine was refused": {
			"pod/edge-eu-1",
			why.Facts{Events: installed(
				cluster(4, "container started", "pod", "edge-eu-1"),
				cloud(sim.PartObjstore, 0, "request refused", "reason", "AccessDenied"),
				cluster(5, "container exited", "pod", "edge-eu-1", "reason", "Error", "exit_code", "1"),
			)},
			[]string{
				"pod/dpe/edge-eu-1: container exited: Error",
				" container exited; container started; pod created; deployment scaled; helm install started",
				"its engine was refused: request refused*",
			},
			"--previous",
		},
		"an orange DPE that nobody has installed": {
			"dpe/edge-eu",
			why.Facts{DPEs: waiting, Events: told(cloud(sim.PartPortal, 0, "dpe added"))},
			[]string{"dpe/acme/edge-eu: DPE isn't connected yet (0 of 1 replicas connected): nobody has installed it yet", " dpe added*"},
			"'dpesim dpe commands acme edge-eu'",
		},
		"an orange DPE whose pod waits": {
			"dpe/acme/edge-eu",
			why.Facts{DPEs: waiting, Events: installed(cluster(4, "pod unschedulable", "pod", "edge-eu-1", "reason", "no nodes available to schedule pods"))},
			[]string{
				"dpe/acme/edge-eu: DPE isn't connected yet (0 of 1 replicas connected): pod unschedulable: no nodes available to schedule pods",
				" pod unschedulable; pod created; deployment scaled; helm install started*",
			},
			"describe pod edge-eu-1",
		},
		"an orange DPE that DPM refuses": {
			"dpe/edge-eu",
			why.Facts{DPEs: waiting, Events: installed(
				cloud(sim.PartDPM, 0, "engine refused", "kind", "unauthenticated", "reason", "the token is signed by a key that this DPM does not know"),
				cluster(4, "pod not ready", "pod", "edge-eu-1"),
			)},
			[]string{
				"dpe/acme/edge-eu: DPE isn't connected yet (0 of 1 replicas connected): engine refused: the token is signed by a key that this DPM does not know",
				" engine refused*",
			},
			"values file of this very environment",
		},
		"a DPE that the edge keeps out": {
			"dpe/edge-eu",
			why.Facts{DPEs: waiting, Events: told(
				sim.Event{Part: sim.PartEdge, Environment: "acme", What: "allowlist set"},
				sim.Event{Part: sim.PartEdge, Environment: "acme", What: "connection refused", Detail: map[string]string{"reason": "not on the allowlist"}},
			)},
			[]string{
				"dpe/acme/edge-eu: DPE isn't connected yet (0 of 1 replicas connected): connection refused: not on the allowlist",
				" connection refused", "the allowlist had been set: allowlist set*",
			},
			"allowlist",
		},
		"a DPE whose pod was deleted": {
			"dpe/edge-eu",
			why.Facts{DPEs: waiting, Events: told(
				cloud(sim.PartDPM, 0, "engine connected", "replica", "edge-eu-1"),
				cluster(0, "object deleted", "pod", "edge-eu-1", "user", "operator"),
				cloud(sim.PartDPM, 0, "engine disconnected", "replica", "edge-eu-1", "reason", "drained"),
			)},
			[]string{
				"dpe/acme/edge-eu: DPE isn't connected yet (0 of 1 replicas connected): engine disconnected: drained",
				" engine disconnected", "what became of its pod: object deleted*",
			},
			"why pod/edge-eu-1",
		},
		"a DPE whose way is broken on purpose": {
			"dpe/edge-eu",
			why.Facts{DPEs: waiting, Events: told(
				sim.Event{Part: sim.PartPortal, What: "fault armed", Detail: details("", "", []string{"fault", "old", "point", "dpm.connect"})},
				sim.Event{Part: sim.PartPortal, What: "fault disarmed", Detail: details("", "", []string{"fault", "old"})},
				sim.Event{Part: sim.PartPortal, Environment: "acme", What: "fault armed", Detail: details("", "", []string{"fault", "cut", "point", "dpm.connect"})},
				sim.Event{Part: sim.PartPortal, Environment: "other", What: "fault armed", Detail: details("", "", []string{"fault", "far", "point", "dpm.connect"})},
				cloud(sim.PartDPM, 0, "engine refused", "kind", "unavailable", "reason", "the network is broken"),
			)},
			[]string{
				"dpe/acme/edge-eu: DPE isn't connected yet (0 of 1 replicas connected): engine refused: the network is broken",
				" engine refused", "it is broken on purpose there: fault armed*",
			},
			"fault disarm cut",
		},
		"a DPE that was refused after the fault was mended": {
			"dpe/edge-eu",
			why.Facts{DPEs: waiting, Events: told(
				sim.Event{Part: sim.PartPortal, What: "fault armed", Detail: details("", "", []string{"fault", "old", "point", "dpm.connect"})},
				sim.Event{Part: sim.PartPortal, What: "fault disarmed", Detail: details("", "", []string{"fault", "old"})},
				cloud(sim.PartDPM, 0, "engine refused", "kind", "unavailable", "reason", "it stops"),
			)},
			[]string{
				"dpe/acme/edge-eu: DPE isn't connected yet (0 of 1 replicas connected): engine refused: it stops",
				" engine refused*",
			},
			"its log says more",
		},
		"a green DPE": {
			"dpe/edge-eu",
			why.Facts{
				DPEs: []why.DPE{{Environment: "acme", Label: "edge-eu", Connected: true, Message: "DPE is connected successfully", Detail: "1 of 1 replicas connected"}},
				Events: installed(
					cluster(4, "container started", "pod", "edge-eu-1"),
					cloud(sim.PartDPM, 5, "engine connected", "replica", "edge-eu-1"),
					cloud(sim.PartPortal, 6, "dpe status changed", "to", "connected", "replicas", "1 of 1"),
					cloud(sim.PartDPM, 0, "job started"),
					cloud(sim.PartPortal, 8, "dpe status changed", "to", "connected", "replicas", "1 of 1"), // of another thing
				),
			},
			[]string{
				"dpe/acme/edge-eu: DPE is connected successfully (1 of 1 replicas connected)",
				" dpe status changed; engine connected; container started; pod created; deployment scaled; helm install started*",
			},
			"nothing: it works",
		},
		"a green DPE of which more run than may": {
			"dpe/edge-eu",
			why.Facts{
				DPEs: []why.DPE{{
					Environment: "acme", Label: "edge-eu", Connected: true, Message: "DPE is connected successfully", Detail: "2 of 1 replicas connected",
					Compliance: "2 replicas are connected, and 1 are specified",
				}},
				Events: told(cloud(sim.PartPortal, 0, "dpe status changed", "to", "connected", "replicas", "2 of 1")),
			},
			[]string{
				"dpe/acme/edge-eu: DPE is connected successfully (2 of 1 replicas connected): 2 replicas are connected, and 1 are specified",
				" dpe status changed*",
			},
			"kubectl scale deployment/edge-eu",
		},
		"a DPE one of whose pods had no room before the other connected": {
			"dpe/edge-eu",
			why.Facts{DPEs: waiting, Events: installed(
				cluster(4, "pod unschedulable", "pod", "edge-eu-1", "reason", "0/1 nodes are available: 1 Insufficient memory."),
				cluster(3, "pod created", "pod", "edge-eu-2"),
				cloud(sim.PartDPM, 6, "engine connected", "replica", "edge-eu-2"),
				cluster(6, "pod ready", "pod", "edge-eu-2"),
			)},
			[]string{
				"dpe/acme/edge-eu: DPE isn't connected yet (0 of 1 replicas connected): pod unschedulable: 0/1 nodes are available: 1 Insufficient memory.",
				" pod unschedulable; pod created; deployment scaled; helm install started*",
			},
			"make room",
		},
		"a DPE that was removed and still runs": {
			"dpe/acme/edge-eu",
			why.Facts{Events: installed(cluster(4, "container started", "pod", "edge-eu-1"), cloud(sim.PartPortal, 0, "dpe removed"))},
			[]string{
				"dpe/acme/edge-eu is not in the portal: dpe removed", " dpe removed",
				"what still runs in the cluster: container started; pod created; deployment scaled; helm install started*",
			},
			"helm uninstall edge-eu -n dpe",
		},
		"a job that waits": {
			"job/j-1",
			why.Facts{
				Events: told(cloud(sim.PartDPM, 0, "job submitted", "job_id", "j-17")),
				Jobs:   []why.Job{{Environment: "acme", ID: "j-17", State: "ENQUEUED", Reason: "no DPE is connected"}},
			},
			[]string{"job/j-17 of acme: ENQUEUED: no DPE is connected", " job submitted*"},
			"environment engines acme",
		},
		"a node": {
			"node/n1",
			why.Facts{Events: told(cluster(0, "object changed", "node", "n1"), cluster(1, "node lost", "node", "n1"), cluster(0, "pod scheduled", "node", "n1", "pod", "edge-eu-1"))},
			[]string{"node/n1: node lost", " node lost; object changed*"},
			"timeline",
		},
		"a release that failed for its pods": {
			"release/edge-eu",
			why.Facts{Events: installed(
				cluster(4, "image pull failed", "pod", "edge-eu-1", "message", "not found"),
				cluster(2, "helm release failed", "release", "edge-eu"),
			)},
			[]string{
				"release/dpe/edge-eu: image pull failed: not found", " helm release failed; helm install started*",
				"its pods: image pull failed; pod created; deployment scaled; helm install started*",
			},
			"fresh values file",
		},
		"what led to it is forgotten": {
			"pod/edge-eu-1",
			why.Facts{Events: installed(cluster(4, "pod scheduled", "pod", "edge-eu-1"))[4:]},
			[]string{"pod/dpe/edge-eu-1: pod scheduled", " pod scheduled"},
			"on its way",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, err := why.Explain(tc.subject, tc.facts)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, read(x)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if !strings.Contains(x.Hint, tc.hint) {
				t.Errorf("the hint %q does not say %q", x.Hint, tc.hint)
			}
		})
	}
}

func TestUnknownSubjectsNameTheNearest(t *testing.T) {
	t.Parallel()
	f := why.Facts{DPEs: waiting, Events: installed(cluster(0, "pod created", "pod", "edge-eu-12"), cluster(0, "pod created", "pod", "edge-us-1"))}
	f.Events[5].Detail["namespace"] = "dpe-us"
	for subject, want := range map[string]string{
		"pod/edge-ex-1":     "NotFound: nothing was told of pod/edge-ex-1 in this run; the nearest are pod/dpe/edge-eu-1, pod/dpe-us/edge-us-1, pod/dpe/edge-eu-12",
		"dpe/edge-e":        "NotFound: nothing was told of dpe/edge-e in this run; the nearest are dpe/acme/edge-eu",
		"pod/dpe/edge-us-1": "NotFound: nothing was told of pod/dpe/edge-us-1 in this run; the nearest are pod/dpe-us/edge-us-1, pod/dpe/edge-eu-1, pod/dpe/edge-eu-12",
		"pod/edge-e":        "Invalid: pod/edge-e may mean pod/dpe/edge-eu-1, pod/dpe/edge-eu-12; name one of them in full",
		"node/n1":           "NotFound: nothing was told of node/n1 in this run; no node has been seen; 'dpesim timeline' shows what was",
		"tea":               `Invalid: "tea" is nothing that can be explained; name it pod/[NAMESPACE/]NAME, dpe/[ENVIRONMENT/]LABEL, job/ID, node/NAME, release/[NAMESPACE/]NAME or deployment/[NAMESPACE/]NAME`,
	} {
		_, err := why.Explain(subject, f)
		msg, help := sim.Explain(err)
		kind := map[sim.Kind]string{sim.NotFound: "NotFound", sim.Invalid: "Invalid"}[sim.KindOf(err)]
		if got := kind + ": " + msg + "; " + help; got != want {
			t.Errorf("%s:\n%s\nwant\n%s", subject, got, want)
		}
	}
}

func TestTextIsOneLine(t *testing.T) {
	t.Parallel()
	e := cluster(0, "container exited", "pod", "p", "reason", "Error", "message", "first\nsecond\x1b[31m", "exit_code", "1")
	if got, want := why.Text(e), "container exited: first second[31m (exit_code=1 namespace=dpe pod=p reason=Error)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWhoHadThePortalRunItsCommandsIsNamed(t *testing.T) {
	t.Parallel()
	e := cloud(sim.PartPortal, 0, "commands started", "by", "ada", "task", "install", "run", "run-1")
	if got, want := why.Text(e), "ada had the portal run the install commands of edge-eu: commands started (run=run-1)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Whatever the events say, an explanation ends, tells no event twice and begins with one about the subject.
func TestExplanationsAreSoundForAnyEvents(t *testing.T) {
	t.Parallel()
	whats := []string{
		"pod created", "pod scheduled", "pod unschedulable", "container started", "container exited", "pod ready", "pod deleted", "image pull failed",
		"engine refused", "engine connected", "engine disconnected", "component revoked", "login refused", "dpe removed", "dpe added",
		"connection refused", "allowlist set", "deployment scaled", "helm install started", "node lost", "object deleted",
	}
	parts := []sim.Part{sim.PartCluster, sim.PartDPM, sim.PartPortal, sim.PartRegistry, sim.PartEdge}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 60).Draw(t, "events")
		events := make([]sim.Event, 0, n)
		for i := range n {
			e := sim.Event{
				Seq: uint64(i + 5), Part: rapid.SampledFrom(parts).Draw(t, "part"), What: rapid.SampledFrom(whats).Draw(t, "what"),
				Cause:       rapid.Uint64Range(0, uint64(n+9)).Draw(t, "cause"), // of events that are forgotten, and of nonsense, too
				Environment: rapid.SampledFrom([]sim.EnvironmentID{"", "acme"}).Draw(t, "environment"),
				DPE:         rapid.SampledFrom([]sim.Label{"", "edge-eu"}).Draw(t, "dpe"),
				Detail:      map[string]string{},
			}
			for k, v := range map[string]string{"pod": "p1", "replica": "p1", "namespace": "dpe", "key_id": "k", "user": "acme.edge-eu", "node": "n1"} {
				if rapid.Bool().Draw(t, k) {
					e.Detail[k] = v
				}
			}
			events = append(events, e)
		}
		subject := rapid.SampledFrom([]string{"pod/p1", "dpe/edge-eu", "node/n1", "release/edge-eu"}).Draw(t, "subject")
		x, err := why.Explain(subject, why.Facts{Events: events, DPEs: waiting})
		if err != nil {
			if k := sim.KindOf(err); k != sim.NotFound && k != sim.Invalid {
				t.Fatalf("%v", err)
			}
			return
		}
		known := map[uint64]bool{0: true}
		for _, c := range x.Chains {
			if len(c.Steps) == 0 {
				t.Fatal("an empty chain")
			}
			for i, s := range c.Steps {
				known[s.Seq] = true
				if i > 0 && s.Seq >= c.Steps[i-1].Seq {
					t.Fatalf("%d is said to have led to %d", s.Seq, c.Steps[i-1].Seq)
				}
			}
		}
		if !known[x.FirstCause] {
			t.Fatalf("the first cause %d is no step", x.FirstCause)
		}
		if x.Summary == "" || x.Hint == "" {
			t.Fatalf("without words: %+v", x)
		}
	})
}

func FuzzExplain(f *testing.F) {
	for _, s := range []string{"pod/a", "pod/a/b", "dpe/edge-eu", "job/", "//", "release/a/b/c", strings.Repeat("pod/", 200)} {
		f.Add(s)
	}
	events := installed()
	f.Fuzz(func(t *testing.T, s string) {
		before := maps.Clone(events[3].Detail)
		_, err := why.Explain(s, why.Facts{Events: events, DPEs: waiting})
		if k := sim.KindOf(err); err != nil && k != sim.Invalid && k != sim.NotFound {
			t.Errorf("%q: %v", s, err)
		}
		if !maps.Equal(before, events[3].Detail) {
			t.Error("the facts were changed")
		}
	})
}

func TestTroubledIsWhatDoesNotWorkNow(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		events []sim.Event
		want   []string
	}{
		"nothing": {installed(cluster(4, "container started", "pod", "edge-eu-1"), cluster(5, "pod ready", "pod", "edge-eu-1")), nil},
		"mended":  {installed(cluster(4, "pod unschedulable", "pod", "edge-eu-1"), cluster(4, "pod scheduled", "pod", "edge-eu-1")), nil},
		"a crash loop that starts again": {
			installed(cluster(4, "container exited", "pod", "edge-eu-1", "exit_code", "1"), cluster(4, "container started", "pod", "edge-eu-1")),
			[]string{"pod/dpe/edge-eu-1"},
		},
		"a task that is done": {installed(cluster(4, "container exited", "pod", "edge-eu-1", "exit_code", "0")), nil},
		"the newest first": {
			told(
				cluster(0, "node stopped", "node", "n1"), cluster(0, "node lost", "node", "n2"), cluster(0, "node started", "node", "n2"),
				cluster(0, "helm release failed", "release", "edge-eu"), cloud(sim.PartDPM, 0, "job failed", "job_id", "j-1"),
				cloud(sim.PartDPM, 0, "engine refused"),
			),
			[]string{"dpe/acme/edge-eu", "job/j-1", "release/dpe/edge-eu", "node/n1"},
		},
		"an engine that was let in later": {told(cloud(sim.PartDPM, 0, "engine refused"), cloud(sim.PartDPM, 0, "engine connected")), nil},
	} {
		if diff := cmp.Diff(tc.want, why.Troubled(tc.events)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestObjectsOfACommandLine(t *testing.T) {
	t.Parallel()
	for command, want := range map[string][]string{
		`eventually 30s expect dpe/acme/finance status.state=connected`: {"dpe/acme/finance"},
		`expect "pod/dpe/p-1" a=b && expect pod/dpe/p-1 c=d`:            {"pod/dpe/p-1"},
		`expect job/acme/j-1 state=SUCCESS`:                             {"job/j-1"},
		`kubectl get deployment/finance node/n1 | cat > out/file`:       {"deployment/finance", "node/n1"},
		`expect dpe/acme/$label a=b; dpesim s3 cat acme results/key`:    nil,
	} {
		if diff := cmp.Diff(want, why.Objects(command)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", command, diff)
		}
	}
}
