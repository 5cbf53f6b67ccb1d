package api

import (
	"strconv"
	"time"

	"github.com/dpesim/dpesim/sim"
)

// DPESpec is the body of POST /environments/{env}/dpes.
type DPESpec struct {
	Name     string       `json:"name"`
	Drivers  []sim.Driver `json:"drivers,omitempty"`  // absent: all; empty: none
	Replicas int          `json:"replicas,omitempty"` // absent or 0: 1

	ExceptionalSizing sim.Sizing `json:"exceptional_sizing,omitzero"` // in place of the tier's, if the contract allows it
}

// DPEEdit is the body of PATCH .../dpes/{label}. What is nil stays as it is; nothing else can be edited.
type DPEEdit struct {
	Drivers  *[]sim.Driver `json:"drivers,omitempty"`
	Replicas *int          `json:"replicas,omitempty"`

	ExceptionalSizing *sim.Sizing `json:"exceptional_sizing,omitempty"` // in place of what it had; {}: the tier's again
}

// DPE is a self-managed DPE: what is wanted, and how it is going.
type DPE struct {
	Environment sim.EnvironmentID `json:"environment"`
	Label       sim.Label         `json:"label"` // derived from the name; never changes
	// LabelWarning says what speaks against the label; empty: nothing.
	LabelWarning string       `json:"label_warning,omitempty"`
	Name         string       `json:"name"`
	Drivers      []sim.Driver `json:"drivers"` // in the catalogue's order
	Replicas     int          `json:"replicas"`
	Release      sim.Release  `json:"release"`  // that the generated files are for
	Revision     int64        `json:"revision"` // of the generated files, from 1; +1 on each edit and platform upgrade
	KeyID        sim.KeyID    `json:"key_id"`
	Created      time.Time    `json:"created"`
	Status       Status       `json:"status"`

	RegistryTokenExpires time.Time `json:"registry_token_expires,omitzero"` // zero: never

	Sizing            sim.Sizing `json:"sizing"`                      // of each replica
	ExceptionalSizing sim.Sizing `json:"exceptional_sizing,omitzero"` // those figures of it that are not the tier's
}

// ETag is the entity tag of d's specification, for If-Match.
func (d DPE) ETag() string { return ETag(d.Revision) }

// ETag is the entity tag of a revision.
func ETag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// State says how a DPE's installation is going.
//
//	not_connected -> partially_connected <-> connected
//	                         \__ disconnected __/
type State string

// The states.
const (
	StateNotConnected       State = "not_connected"       // no replica has ever connected
	StatePartiallyConnected State = "partially_connected" // some of the wanted replicas are connected
	StateConnected          State = "connected"           // at least as many as wanted are connected
	StateDisconnected       State = "disconnected"        // replicas were connected, none is now
)

// States lists the states.
func States() []State {
	return []State{StateNotConnected, StatePartiallyConnected, StateConnected, StateDisconnected}
}

// Colour is the colour of a status: what the portal shows at a glance.
type Colour string

// The colours.
const (
	Orange Colour = "orange"
	Green  Colour = "green"
)

// Colours lists the colours.
func Colours() []Colour { return []Colour{Orange, Green} }

// Status is how a DPE's installation is going, computed from what is wanted and what is connected to DPM.
type Status struct {
	State             State         `json:"state"`
	Colour            Colour        `json:"colour"`
	Message           string        `json:"message"`            // the product's words: "DPE isn't connected yet"
	Detail            string        `json:"detail"`             // "1 of 3 replicas connected"
	ReplicasConnected int           `json:"replicas_connected"` // now
	ReplicasWanted    int           `json:"replicas_wanted"`
	RedeployNeeded    bool          `json:"redeploy_needed"` // what runs (or ran last) is of an older revision
	Differences       []Difference  `json:"differences"`     // what a redeploy would change; empty unless RedeployNeeded
	Outdated          bool          `json:"outdated"`        // what runs (or ran last) is of another release than the environment
	Running           []sim.Release `json:"running"`         // releases that run (or ran last), oldest first
	Platform          sim.Release   `json:"platform"`        // the environment's
	DisconnectedSince *time.Time    `json:"disconnected_since,omitempty"`
	UpgradeRequired   bool          `json:"upgrade_required"`       // what runs (or ran last) is older than the platform works with
	OldestRelease     sim.Release   `json:"oldest_release"`         // of an engine that the platform works with
	NonCompliant      bool          `json:"non_compliant"`          // more replicas are connected than were specified
	Compliance        string        `json:"compliance,omitempty"`   // in what, if NonCompliant
	LastFailure       *Failure      `json:"last_failure,omitempty"` // that DPM or the edge saw, unless it is over
}

// Failure is something that DPM or the edge saw go wrong with a DPE's connection.
type Failure struct {
	Sentence string    `json:"sentence"` // "the edge refused 203.0.113.10: not on the allowlist"
	Part     sim.Part  `json:"part"`     // that saw it
	Time     time.Time `json:"time"`
	Event    uint64    `json:"event"` // its Seq
}

// Difference is one thing that runs otherwise than wanted.
type Difference struct {
	Field   string `json:"field"` // "drivers", "replicas", "sizing", "release", "revision"
	Running string `json:"running"`
	Wanted  string `json:"wanted"`
}

// Engine is one replica that is connected to DPM now.
type Engine struct {
	Label        sim.Label     `json:"label"`
	Replica      sim.ReplicaID `json:"replica"`
	Version      sim.Release   `json:"version"`
	Capabilities []string      `json:"capabilities"`
	Drivers      []sim.Driver  `json:"drivers"`
	Slots        int           `json:"slots"`   // jobs it runs at once
	Running      int           `json:"running"` // jobs it runs now
	Revision     int64         `json:"revision"`
	Remote       string        `json:"remote"` // source address, host:port
	ConnectedAt  time.Time     `json:"connected_at"`
	Draining     bool          `json:"draining"` // it takes no more jobs
	Managed      bool          `json:"managed"`  // by Ataccama, in the cloud
}

// File is something that the installation commands read.
type File struct {
	Name        string `json:"name"`           // as the commands call it
	Href        string `json:"href,omitempty"` // path on the portal to download it; empty: the operator's own file
	Secret      bool   `json:"secret"`
	Explanation string `json:"explanation"`
}

// Command is one step of an installation.
type Command struct {
	Title       string `json:"title"`
	Explanation string `json:"explanation"`
	Command     string `json:"command"` // POSIX shell; no secret in it
	// NotHere says why a run on the simulator's own cluster leaves it out; absent: it does not.
	NotHere string `json:"not_here,omitempty"`
}

// Requirement is software that an installation needs.
type Requirement struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Explanation string `json:"explanation"`
}

// Variant is a way in which organisations install: the customisations that the product allows (seed, "Local installation").
type Variant string

// The variants.
const (
	VariantDirect    Variant = "direct"     // from the vendor's registry
	VariantMirror    Variant = "mirror"     // from a registry of the organisation's own
	VariantPrivateCA Variant = "private-ca" // behind a proxy that opens TLS, or with another CA of the organisation's own
)

// Variants lists the variants, the plain one first.
func Variants() []Variant { return []Variant{VariantDirect, VariantMirror, VariantPrivateCA} }

// Installation is the commands of one variant, in the order of their use. All run in one folder that has the files.
type Installation struct {
	Variant     Variant   `json:"variant"`
	Title       string    `json:"title"`
	Explanation string    `json:"explanation"`
	Chart       string    `json:"chart"` // OCI reference as the shell reads it: oci://<registry>/charts/dpe
	Files       []File    `json:"files"`
	Prepare     []Command `json:"prepare"` // log in, and whatever the variant needs before
	Diff        []Command `json:"diff"`    // before an update: what it will change
	Install     []Command `json:"install"` // install, update and upgrade are the same
	Verify      []Command `json:"verify"`
	Rollback    []Command `json:"rollback"`
	Uninstall   []Command `json:"uninstall"`
	// NotHere says why it cannot be installed by a run on the simulator's own cluster; absent: it can.
	NotHere string `json:"not_here,omitempty"`
}

// Commands is how to install, look after and uninstall a DPE.
type Commands struct {
	Label        sim.Label      `json:"label"`
	Release      sim.Release    `json:"release"`
	Revision     int64          `json:"revision"`
	Requirements []Requirement  `json:"requirements"`
	Variants     []Installation `json:"variants"` // all of [Variants], in that order
}

// Variant gives the commands of one variant. It returns NotFound for one that there is not.
func (c Commands) Variant(v Variant) (Installation, error) {
	for _, i := range c.Variants {
		if i.Variant == v {
			return i, nil
		}
	}
	return Installation{}, sim.Errorf(sim.NotFound, "there is no variant %q of the installation commands", string(v)).WithHelp("the variants are %v", Variants())
}
