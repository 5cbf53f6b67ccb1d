package residue_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/residue"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var acme, edge = residue.Owner{Environment: "acme"}, residue.Owner{Environment: "acme", DPE: "edge"}

func thing(side residue.Side, kind, name string, o residue.Owner) residue.Thing {
	return residue.Thing{Side: side, Kind: kind, Name: name, Owner: o}
}

// object is an object in the namespace dpe, of a Helm release unless that is "".
func object(kind, name string, release sim.Label) residue.Thing {
	return residue.Thing{Side: residue.SideCluster, Kind: kind, Name: "dpe/" + name, Namespace: "dpe", Owner: residue.Owner{DPE: release}}
}

func environment() residue.Thing {
	return thing(residue.SidePortal, residue.KindEnvironment, "acme", acme)
}

func row() residue.Thing { return thing(residue.SidePortal, residue.KindDPE, "edge", edge) }

func helm() residue.Thing { return object(residue.KindRelease, "edge", "edge") }

func namespace(name string) residue.Thing {
	return thing(residue.SideCluster, residue.KindNamespace, name, residue.Owner{})
}

func classes(entries []residue.Entry) []string {
	out := []string{}
	for _, e := range entries {
		out = append(out, fmt.Sprintf("%s %s %s: %s", e.Side, e.Kind, e.Name, e.Class))
	}
	return out
}

func TestClasses(t *testing.T) {
	t.Parallel()
	credential := thing(residue.SideStorage, residue.KindCredential, "k1", edge)
	results, jobs := thing(residue.SideStorage, residue.KindResults, "r", edge), thing(residue.SideDPM, residue.KindJobs, "j", edge)
	hook, going := object("Pod", "edge-test", "edge"), object("Pod", "edge-1", "edge")
	hook.Policy, going.Going = "Helm leaves what its hooks made", true
	held := object("ConfigMap", "edge", "edge")
	held.Going, held.Holds = true, "example.com/hold"
	ended := helm()
	ended.Ended, ended.Policy = true, "kept history"
	for name, tc := range map[string]struct {
		present, past []residue.Thing
		want          []string
	}{
		"installed": {
			[]residue.Thing{environment(), row(), credential, helm(), object("Secret", "edge", "edge"), object("Secret", "mine", ""), namespace("dpe"), namespace("other")},
			nil,
			[]string{
				"portal DPE edge: in use", "portal Environment acme: in use", "storage Credential k1: in use",
				"cluster Namespace dpe: in use", "cluster Secret dpe/mine: foreign", "cluster HelmRelease dpe/edge: in use", "cluster Secret dpe/edge: in use",
			},
		},
		"removed in the portal alone": {
			[]residue.Thing{environment(), credential, results, jobs, helm(), object("Pod", "edge-1", "edge"), namespace("dpe")},
			[]residue.Thing{row()},
			[]string{
				"portal Environment acme: in use", "dpm Jobs j: kept by policy", "storage Credential k1: leaked", "storage Results r: kept by policy",
				"cluster Namespace dpe: in use", "cluster HelmRelease dpe/edge: leaked", "cluster Pod dpe/edge-1: leaked",
			},
		},
		"uninstalled alone": {
			[]residue.Thing{environment(), row(), credential, namespace("dpe")},
			[]residue.Thing{helm()},
			[]string{"portal DPE edge: in use", "portal Environment acme: in use", "storage Credential k1: in use", "cluster Namespace dpe: kept by policy"},
		},
		"both, with what is left": {
			[]residue.Thing{environment(), object("PersistentVolumeClaim", "edge-1-scratch", "edge"), object("Secret", "mine", ""), hook, going, namespace("dpe")},
			[]residue.Thing{row(), helm()},
			[]string{
				"portal Environment acme: in use", "cluster Namespace dpe: kept by policy", "cluster Secret dpe/mine: foreign",
				"cluster PersistentVolumeClaim dpe/edge-1-scratch: leaked", "cluster Pod dpe/edge-1: in use", "cluster Pod dpe/edge-test: kept by policy",
			},
		},
		"uninstalled with its history kept": {
			[]residue.Thing{environment(), ended, namespace("dpe")},
			[]residue.Thing{row()},
			[]string{"portal Environment acme: in use", "cluster Namespace dpe: kept by policy", "cluster HelmRelease dpe/edge: kept by policy"},
		},
		"a finalizer holds what should go": {
			[]residue.Thing{environment(), held, namespace("dpe")},
			[]residue.Thing{row(), helm()},
			[]string{"portal Environment acme: in use", "cluster Namespace dpe: kept by policy", "cluster ConfigMap dpe/edge: leaked"},
		},
		"a finalizer holds what is uninstalled just now": {
			[]residue.Thing{environment(), row(), helm(), held},
			nil,
			[]string{"portal DPE edge: in use", "portal Environment acme: in use", "cluster ConfigMap dpe/edge: in use", "cluster HelmRelease dpe/edge: in use"},
		},
		"the environment is gone and its token is not": {
			[]residue.Thing{thing(residue.SideRegistry, residue.KindToken, "acme.edge", edge)},
			[]residue.Thing{environment(), row()},
			[]string{"registry Token acme.edge: leaked"},
		},
		"somebody else's cluster": {
			[]residue.Thing{environment(), object(residue.KindRelease, "nginx", "nginx"), object("Pod", "nginx-1", "nginx"), object("Pod", "bare", ""), namespace("dpe")},
			nil,
			[]string{"portal Environment acme: in use"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := residue.Classify(tc.present, tc.past)
			if d := cmp.Diff(tc.want, classes(got)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			for _, e := range got {
				if e.Reason == "" {
					t.Errorf("%s %s has no reason", e.Kind, e.Name)
				}
			}
		})
	}
}

// Whatever side an installation is planted a leak on, that is found, and says what made it.
func TestALeakOfEachSideIsFound(t *testing.T) {
	t.Parallel()
	const removed, uninstalled = "the DPE was removed in the portal", "its Helm release was uninstalled"
	wide := residue.Thing{Side: residue.SideCluster, Kind: "ClusterRole", Name: "edge", Namespace: "dpe", Owner: residue.Owner{DPE: "edge"}}
	volume := wide
	volume.Kind, volume.Name = "PersistentVolume", "pvc-1"
	for _, tc := range []struct {
		leak   residue.Thing
		reason string
	}{
		{thing(residue.SidePortal, residue.KindRevision, "edge r1", edge), removed},
		{thing(residue.SideDPM, residue.KindKey, "k", edge), removed},
		{thing(residue.SideDPM, residue.KindStream, "edge-1", edge), removed},
		{thing(residue.SideDPM, residue.KindLease, "j-1", edge), removed},
		{thing(residue.SideStorage, residue.KindCredential, "k1", edge), removed},
		{thing(residue.SideRegistry, residue.KindToken, "acme.edge", edge), removed},
		{thing(residue.SideStorage, residue.KindBucket, "results", residue.Owner{Environment: "gone"}), "environment gone was deleted"},
		{thing(residue.SideStorage, residue.KindResults, "results of edge", residue.Owner{Environment: "gone", DPE: "edge"}), "environment gone was deleted"},
		{helm(), "the DPE was removed in the portal, its Helm release is still installed"},
		{object("Secret", "edge", "edge"), uninstalled},
		{object("Deployment", "edge", "edge"), uninstalled},
		{object("Pod", "edge-1", "edge"), uninstalled},
		{object("PersistentVolumeClaim", "edge-1-scratch", "edge"), uninstalled},
		{volume, uninstalled},
		{wide, uninstalled},
	} {
		tc.leak.By, tc.leak.Cause = "somebody", 7
		if tc.leak.Side == residue.SideCluster {
			tc.leak.Environment = "" // a cluster knows labels alone
		}
		got := slices.DeleteFunc(residue.Classify([]residue.Thing{environment(), tc.leak}, []residue.Thing{row(), object(residue.KindRelease, "edge", "edge")}), func(e residue.Entry) bool {
			return e.Kind == residue.KindEnvironment
		})
		if len(got) != 1 || got[0].Class != residue.Leaked || got[0].Reason != tc.reason || got[0].By != "somebody" || got[0].Cause != 7 {
			t.Errorf("%s %s is found as %+v, want it leaked: %s", tc.leak.Side, tc.leak.Kind, got, tc.reason)
		}
		if tc.leak.Environment == "" && got[0].Environment != "acme" {
			t.Errorf("%s is of environment %q", tc.leak.Kind, got[0].Environment)
		}
	}
}

// Whatever there is: the order of things does not matter; nothing that is alive leaks; nothing that a removed DPE could
// still use with a service of the cloud is passed over; and what nobody installed is never called leaked.
func TestTheClassifierKeepsItsPromises(t *testing.T) {
	t.Parallel()
	labels := []sim.Label{"", "edge", "fin"}
	environments := []sim.EnvironmentID{"acme", "beta"}
	kinds := map[residue.Side][]string{
		residue.SidePortal:   {residue.KindEnvironment, residue.KindDPE},
		residue.SideDPM:      {residue.KindKey, residue.KindStream, residue.KindLease, residue.KindJobs},
		residue.SideStorage:  {residue.KindCredential, residue.KindBucket, residue.KindResults},
		residue.SideRegistry: {residue.KindToken},
		residue.SideCluster:  {residue.KindRelease, "Pod", "Secret", "PersistentVolumeClaim"},
	}
	sides := []residue.Side{residue.SidePortal, residue.SideDPM, residue.SideStorage, residue.SideRegistry, residue.SideCluster}
	draw := rapid.Custom(func(t *rapid.T) residue.Thing {
		x := residue.Thing{Side: rapid.SampledFrom(sides).Draw(t, "side"), Owner: residue.Owner{DPE: rapid.SampledFrom(labels).Draw(t, "label")}}
		x.Kind = rapid.SampledFrom(kinds[x.Side]).Draw(t, "kind")
		x.Name = rapid.StringMatching(`[a-c]`).Draw(t, "name")
		if x.Side == residue.SideCluster {
			x.Namespace = rapid.SampledFrom([]string{"dpe", "other"}).Draw(t, "namespace")
			x.Ended = rapid.Bool().Draw(t, "ended")
		} else {
			x.Environment = rapid.SampledFrom(environments).Draw(t, "environment")
		}
		if x.Kind == residue.KindEnvironment {
			x.DPE = ""
		} else if x.Kind == residue.KindDPE && x.DPE == "" {
			x.DPE = "edge"
		}
		return x
	})
	rapid.Check(t, func(t *rapid.T) {
		present, past := rapid.SliceOfN(draw, 0, 20).Draw(t, "present"), rapid.SliceOfN(draw, 0, 20).Draw(t, "past")
		got := residue.Classify(present, past)
		shuffled := rapid.Permutation(present).Draw(t, "shuffled")
		a, b := classes(got), classes(residue.Classify(shuffled, past))
		slices.Sort(a)
		slices.Sort(b)
		if d := cmp.Diff(a, b); d != "" {
			t.Fatalf("the order matters:\n%s", d)
		}
		live, there, installed := map[residue.Owner]bool{}, map[sim.EnvironmentID]bool{}, map[string]bool{}
		known := map[sim.Label]bool{}
		for _, x := range slices.Concat(present, past) {
			known[x.DPE] = known[x.DPE] || x.Kind == residue.KindDPE
		}
		for _, x := range present {
			live[x.Owner] = live[x.Owner] || x.Kind == residue.KindDPE
			there[x.Environment] = there[x.Environment] || x.Kind == residue.KindEnvironment
			if x.Kind == residue.KindRelease && !x.Ended {
				installed[x.Namespace+"/"+string(x.DPE)] = true
			}
		}
		for _, e := range got {
			alive := there[e.Environment] && (live[e.Owner] || e.DPE == "")
			switch {
			case e.Side == residue.SideCluster && e.Class == residue.Leaked && (!known[e.DPE] || installed[e.Namespace+"/"+string(e.DPE)] && live[e.Owner]):
				t.Fatalf("%+v leaked", e)
			case e.Side != residue.SideCluster && e.Class == residue.Leaked && alive:
				t.Fatalf("%+v leaked, and its owner is alive", e)
			case (e.Kind == residue.KindKey || e.Kind == residue.KindCredential || e.Kind == residue.KindToken || e.Kind == residue.KindStream) && !alive && e.Class != residue.Leaked:
				t.Fatalf("%+v is usable and not called leaked", e)
			}
		}
	})
}

func TestLedgerRemembersOverRestarts(t *testing.T) {
	t.Parallel()
	ctx, c, path := t.Context(), clock.NewFrozen(noon), filepath.Join(t.TempDir(), "residue.db")
	open := func() *residue.Ledger {
		l, err := residue.Open(ctx, path, c)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	all := []residue.Side{residue.SidePortal, residue.SideCluster}
	record := func(l *residue.Ledger, sides []residue.Side, present, brief []residue.Thing) {
		t.Helper()
		if err := l.Record(ctx, sides, nil, present, brief); err != nil {
			t.Fatal(err)
		}
	}
	made := row()
	made.By, made.Cause = "dpe added", 7
	l := open()
	record(l, all, []residue.Thing{environment(), made, helm()}, []residue.Thing{object("Pod", "edge-test", "edge")})
	if err := c.Advance(ctx, time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil { // and nothing else: as after a kill
		t.Fatal(err)
	}

	l = open()
	got := l.Entries([]residue.Thing{environment(), row(), helm()}, residue.Filter{DPE: "edge"})
	if len(got) != 2 || got[0].By != "dpe added" || got[0].Cause != 0 || !got[0].Created.Equal(noon) {
		t.Errorf("after a restart: %+v", got)
	}
	record(l, all[:1], []residue.Thing{environment()}, nil) // the cluster could not be asked
	record(l, all, []residue.Thing{environment()}, nil)
	want := []string{"portal DPE edge: gone", "portal Environment acme: in use", "cluster HelmRelease dpe/edge: gone", "cluster Pod dpe/edge-test: gone"}
	for range 2 {
		if d := cmp.Diff(want, classes(l.Entries([]residue.Thing{environment()}, residue.Filter{All: true}))); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
		for _, e := range l.Entries(nil, residue.Filter{Environment: "acme", DPE: "edge", All: true}) {
			if at := noon.Add(time.Minute); e.Name != "dpe/edge-test" && (e.Gone == nil || !e.Gone.Equal(at)) {
				t.Errorf("%s is gone since %v", e.Name, e.Gone)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// A volume whose claim is gone says of itself only that it is there. The ledger knows whose it was, also after a restart.
func TestLedgerKnowsWhoseAVolumeWas(t *testing.T) {
	t.Parallel()
	ctx, c, path := t.Context(), clock.NewFrozen(noon), filepath.Join(t.TempDir(), "residue.db")
	volume := residue.Thing{Side: residue.SideCluster, Kind: "PersistentVolume", Name: "pvc-1", ID: "uid-1", Namespace: "dpe", Owner: residue.Owner{DPE: "edge"}, By: "dpesim"}
	alone := volume
	alone.Owner, alone.Namespace, alone.By = residue.Owner{}, "", ""
	sides := []residue.Side{residue.SidePortal, residue.SideCluster}
	after := []residue.Thing{environment(), alone}
	for i, present := range [][]residue.Thing{{environment(), row(), helm(), volume}, after, {environment()}} {
		l, err := residue.Open(ctx, path, c)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Record(ctx, sides, nil, present, nil); err != nil {
			t.Fatal(err)
		}
		want := [][]string{{"cluster PersistentVolume pvc-1: in use"}, {"cluster PersistentVolume pvc-1: leaked"}, {"cluster PersistentVolume pvc-1: gone"}}[i]
		got := slices.DeleteFunc(l.Entries(present, residue.Filter{DPE: "edge", All: true}), func(e residue.Entry) bool { return e.Kind != "PersistentVolume" })
		if d := cmp.Diff(want, classes(got)); d != "" || len(got) == 1 && got[0].By != "dpesim" {
			t.Errorf("look %d: by %q, -want +got:\n%s", i, got[0].By, d)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What the cluster no longer lets itself be asked for is not called gone.
func TestLedgerKeepsWhatIsUnseen(t *testing.T) {
	t.Parallel()
	l, err := residue.Open(t.Context(), filepath.Join(t.TempDir(), "residue.db"), clock.NewFrozen(noon))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sides := []residue.Side{residue.SidePortal, residue.SideCluster}
	pod, secret := object("Pod", "edge-test", "edge"), object("Secret", "edge", "edge")
	before := []residue.Thing{environment(), row(), helm(), pod, secret}
	after := []residue.Thing{environment(), row(), helm()}
	for _, look := range []struct {
		unseen  []string
		present []residue.Thing
	}{{nil, before}, {[]string{"Secret"}, after}} {
		if err := l.Record(t.Context(), sides, look.unseen, look.present, nil); err != nil {
			t.Fatal(err)
		}
	}
	gone := slices.DeleteFunc(l.Entries(after, residue.Filter{All: true}), func(e residue.Entry) bool { return e.Class != residue.Gone })
	if d := cmp.Diff([]string{"cluster Pod dpe/edge-test: gone"}, classes(gone)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestLedgerIsBounded(t *testing.T) {
	t.Parallel()
	l, err := residue.Open(t.Context(), filepath.Join(t.TempDir(), "residue.db"), clock.NewFrozen(noon))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const most, more = 10_000, 5
	brief := make([]residue.Thing, most+more)
	for i := range brief {
		brief[i] = thing(residue.SideDPM, residue.KindStream, fmt.Sprint("s", i), edge)
	}
	if err := l.Record(t.Context(), nil, nil, nil, brief); err != nil {
		t.Fatal(err)
	}
	got := l.Entries(nil, residue.Filter{All: true})
	if len(got) != most || slices.ContainsFunc(got, func(e residue.Entry) bool { return e.Name == "s0" }) {
		t.Errorf("%d things are remembered, the oldest among them", len(got))
	}
}
