// Package residue keeps the ledger of what installations of DPEs leave: what each ever created on every side (portal, DPM,
// object storage, registry, cluster), what of it is there, and whether it should be.
//
// It looks nowhere itself: sim/stack gathers what there is. [Classify] is a pure function of that; [Ledger] remembers what
// was there before, over restarts. Nothing here holds a secret's data.
package residue

import (
	"time"

	"github.com/dpesim/dpesim/sim"
)

// Side is where a thing is.
type Side string

// The sides.
const (
	SidePortal   Side = "portal"
	SideDPM      Side = "dpm"
	SideStorage  Side = "storage"
	SideRegistry Side = "registry"
	SideCluster  Side = "cluster"
)

// Owner is the installation that a thing belongs to.
type Owner struct {
	Environment sim.EnvironmentID `json:"environment,omitempty"` // empty: unknown, as a cluster knows labels alone
	DPE         sim.Label         `json:"dpe,omitempty"`         // empty: the environment's own, or nobody's
}

// Kinds of things that are no Kubernetes objects.
const (
	KindEnvironment = "Environment"
	KindDPE         = "DPE"
	KindRevision    = "Revision"   // of a DPE's generated files
	KindKey         = "Key"        // among DPM's Authorized Components
	KindStream      = "Stream"     // an engine that is connected
	KindLease       = "JobLease"   // a job that an engine has
	KindJobs        = "Jobs"       // that are finished, or wait
	KindCredential  = "Credential" // of object storage
	KindToken       = "Token"      // of the registry
	KindBucket      = "Bucket"
	KindResults     = "Results" // objects that engines stored
	KindRelease     = "HelmRelease"
	KindNamespace   = "Namespace"
)

// Thing is something that is there.
type Thing struct {
	Side    Side      `json:"side"`
	Kind    string    `json:"kind"` // one of the constants, or a Kubernetes kind
	Name    string    `json:"name"` // unique for side and kind: "edge-eu", "dpe/edge-eu-config"
	ID      string    `json:"id"`   // tells it from another of the same name at another time: a UID; may be empty
	Owner             // of things in the cluster only DPE, which is the Helm release
	Created time.Time `json:"created"`         // zero: unknown
	By      string    `json:"by,omitempty"`    // what created it: a person's act or client, or what happened in the portal
	Cause   uint64    `json:"cause,omitempty"` // Seq of that event; 0: unknown, or of an earlier run
	Count   int       `json:"count,omitempty"` // how many it stands for; 0: one

	// Of the cluster.
	Namespace string `json:"namespace,omitempty"`
	Policy    string `json:"-"` // why nobody takes it away with its release; empty: Helm does
	Going     bool   `json:"-"` // its deletion has begun
	Holds     string `json:"-"` // a finalizer that somebody must take away before the deletion ends; empty: none
	Ended     bool   `json:"-"` // a Helm release whose record says that it is uninstalled
	Simulator bool   `json:"-"` // the simulator made it for itself
}

// Class says whether a thing should be there.
type Class string

// The classes.
const (
	InUse   Class = "in use"         // of an installation that is alive
	Kept    Class = "kept by policy" // nobody takes it away, and that is right
	Leaked  Class = "leaked"         // of an installation that is gone: it should be gone too
	Foreign Class = "foreign"        // in the same place, and not made by an installation
	Own     Class = "simulator"      // the simulator made it for itself
	Unknown Class = "unknown"        // the cluster does not let the simulator see what there is of a kind
	Gone    Class = "gone"           // it was there
)

// Entry is a thing with its class.
type Entry struct {
	Thing
	Class  Class      `json:"class"`
	Reason string     `json:"reason"`
	Gone   *time.Time `json:"gone,omitempty"` // when it was seen to be gone
}

// key tells things apart.
type key struct {
	side           Side
	kind, name, id string
	environment    sim.EnvironmentID // names of the cloud's things are unique in their environment
}

func (t Thing) key() key { return key{t.Side, t.Kind, t.Name, t.ID, t.Environment} }

// Filter chooses entries. The zero value chooses those that are there.
type Filter struct {
	Environment sim.EnvironmentID // empty: all
	DPE         sim.Label         // empty: all
	All         bool              // gone ones, too
}

// match tells whether e is wanted. What a cluster holds of a label may be of any environment.
func (f Filter) match(e Entry) bool {
	return (f.All || e.Class != Gone) &&
		(f.Environment == "" || e.Environment == f.Environment || e.Environment == "" && e.DPE != "") &&
		(f.DPE == "" || e.DPE == f.DPE)
}
