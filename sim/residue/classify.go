package residue

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/dpesim/dpesim/sim"
)

// Classify says of each thing that is there whether it should be. past is what was there earlier, by which an installation
// that has gone is known. The result is in the order of sides, kinds and names.
func Classify(present, past []Thing) []Entry {
	w := newWorld(present, past)
	out := make([]Entry, 0, len(present))
	for _, t := range present {
		if t.Side == SideCluster && t.Environment == "" {
			t.Environment = w.environmentOf(t.DPE)
		}
		e := Entry{Thing: t}
		if t.Side == SideCluster {
			e.Class, e.Reason = w.inCluster(t)
		} else {
			e.Class, e.Reason = w.inCloud(t)
		}
		if e.Class != "" {
			out = append(out, e)
		}
	}
	order(out)
	return out
}

func order(entries []Entry) {
	rank := []Side{SidePortal, SideDPM, SideStorage, SideRegistry, SideCluster}
	slices.SortStableFunc(entries, func(a, b Entry) int {
		return cmp.Or(
			cmp.Compare(slices.Index(rank, a.Side), slices.Index(rank, b.Side)), cmp.Compare(a.Environment, b.Environment),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID),
		)
	})
}

// release names a Helm release.
type release struct {
	namespace string
	name      sim.Label
}

// world is what the classes of things hang on.
type world struct {
	environments map[sim.EnvironmentID]bool        // that the portal has
	dpes         map[Owner]bool                    // that the portal has
	labels       map[sim.Label][]sim.EnvironmentID // where there is a DPE of that label now
	known        map[sim.Label][]sim.EnvironmentID // where there ever was one
	releases     map[release]bool                  // Helm has a record of it; false: of its end only
	places       map[string]bool                   // namespaces of installations; true: a release is in it now
}

func newWorld(present, past []Thing) *world {
	w := &world{
		environments: map[sim.EnvironmentID]bool{}, dpes: map[Owner]bool{}, labels: map[sim.Label][]sim.EnvironmentID{},
		known: map[sim.Label][]sim.EnvironmentID{}, releases: map[release]bool{}, places: map[string]bool{},
	}
	learn := func(m map[sim.Label][]sim.EnvironmentID, o Owner) {
		if !slices.Contains(m[o.DPE], o.Environment) {
			m[o.DPE] = append(m[o.DPE], o.Environment)
		}
	}
	for _, t := range present {
		switch {
		case t.Side == SidePortal && t.Kind == KindEnvironment:
			w.environments[t.Environment] = true
		case t.Side == SidePortal && t.Kind == KindDPE:
			w.dpes[t.Owner] = true
			learn(w.labels, t.Owner)
			learn(w.known, t.Owner)
		case t.Kind == KindRelease:
			r := release{t.Namespace, t.DPE}
			w.releases[r] = w.releases[r] || !t.Ended
		}
	}
	for _, t := range past {
		if t.Side == SidePortal && t.Kind == KindDPE {
			learn(w.known, t.Owner)
		}
	}
	for _, t := range slices.Concat(past, present) {
		if t.Kind == KindRelease && len(w.known[t.DPE]) > 0 {
			w.places[t.Namespace] = w.places[t.Namespace] || w.releases[release{t.Namespace, t.DPE}]
		}
	}
	return w
}

// environmentOf gives the environment of a label that only one has, or only one ever had; else "".
func (w *world) environmentOf(l sim.Label) sim.EnvironmentID {
	for _, m := range []map[sim.Label][]sim.EnvironmentID{w.labels, w.known} {
		if len(m[l]) == 1 {
			return m[l][0]
		}
	}
	return ""
}

// inCloud classes what a service of the cloud holds.
func (w *world) inCloud(t Thing) (Class, string) {
	switch {
	case t.Side == SidePortal && (t.Kind == KindEnvironment || t.Kind == KindDPE):
		return InUse, "the portal has it"
	case !w.environments[t.Environment]:
		return Leaked, fmt.Sprintf("environment %s was deleted", t.Environment)
	case t.DPE == "":
		return InUse, "it is the environment's own"
	case w.dpes[t.Owner]:
		return InUse, "the DPE is in the portal"
	case t.Kind == KindResults:
		return Kept, "results belong to the environment: its object storage keeps them"
	case t.Kind == KindJobs:
		return Kept, "the environment keeps its job history"
	}
	return Leaked, "the DPE was removed in the portal"
}

// inCluster classes an object of the cluster; "" says that it is no business of an installation. A deletion that has begun
// ends by itself, unless somebody holds the object by a finalizer.
func (w *world) inCluster(t Thing) (Class, string) {
	if t.Going && t.Holds == "" {
		return InUse, "its deletion is under way"
	}
	c, reason := w.there(t)
	if t.Going && c != "" {
		reason += "; its deletion waits for the finalizer " + t.Holds
	}
	return c, reason
}

// there classes an object by its release, its policy and its namespace.
func (w *world) there(t Thing) (Class, string) {
	live, ours := w.places[t.Namespace]
	switch {
	case t.Simulator:
		return Own, "the simulator made it for itself, no installation"
	case t.Kind == KindNamespace:
		return w.namespace(t)
	case t.DPE == "" && !ours:
		return "", "" // of a namespace where nobody installed anything
	case t.DPE == "" && t.Policy != "":
		if live {
			return InUse, t.Policy
		}
		return Kept, t.Policy
	case t.DPE == "":
		return Foreign, "no installation of a DPE made it"
	case len(w.known[t.DPE]) == 0:
		if ours {
			return Foreign, "its Helm release is that of no DPE"
		}
		return "", ""
	}
	installed := w.releases[release{t.Namespace, t.DPE}]
	switch {
	case installed && len(w.labels[t.DPE]) > 0:
		return InUse, "its Helm release is installed"
	case installed:
		return Leaked, "the DPE was removed in the portal, its Helm release is still installed"
	case t.Policy != "":
		return Kept, t.Policy
	}
	return Leaked, "its Helm release was uninstalled"
}

func (w *world) namespace(t Thing) (Class, string) {
	switch live, ours := w.places[t.Name]; {
	case !ours || t.Policy != "": // one that every cluster has
		return "", ""
	case live:
		return InUse, "a Helm release is in it"
	}
	return Kept, "Helm never deletes a namespace, also one that it made by --create-namespace"
}
