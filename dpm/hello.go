package dpm

import (
	"regexp"
	"slices"
	"time"

	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
	"github.com/dpesim/dpesim/sim"
)

// Bounds of what an engine may say. Assumptions.
const (
	maxSlots        = 1000
	maxCapabilities = 200
	maxCapability   = 100 // bytes
)

// helloTimeout is how long a stream may stay without its Hello. Assumption.
const helloTimeout = 10 * time.Second

// replicaPattern is a DNS-1123 subdomain, as the names of pods are (Kubernetes, "Object Names and IDs").
var replicaPattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

var capabilityPattern = regexp.MustCompile(`^[a-z0-9]+:[A-Za-z0-9][-A-Za-z0-9_.]*$`)

// engineID names a connected engine: one stream each.
type engineID struct {
	label   sim.Label
	replica sim.ReplicaID
}

// Engine is a connected engine.
type Engine struct {
	Label        sim.Label
	Replica      sim.ReplicaID
	Version      sim.Release
	Capabilities []string
	Drivers      []sim.Driver
	Slots        int   // commands that it runs at once
	Running      int   // commands that it holds
	Revision     int64 // of the portal's specification that it was installed with; 0: unknown
	Remote       string
	ConnectedAt  time.Time
	Draining     bool
}

// engineFromProto checks a hello from the component with that label. It returns Invalid for what cannot be and Forbidden
// for the label of another component.
func engineFromProto(h *dpmv1.Hello, label sim.Label) (Engine, error) {
	if h.GetLabel() != string(label) {
		return Engine{}, sim.Errorf(sim.Forbidden, "the key belongs to the DPE %q, the engine says it is %q", string(label), h.GetLabel()).
			WithHelp("use the values.yaml that the portal made for this DPE")
	}
	bad := func(format string, args ...any) (Engine, error) {
		return Engine{}, sim.Errorf(sim.Invalid, "bad hello: "+format, args...).WithHelp("this engine does not speak as dpm.proto says")
	}
	if r := h.GetReplica(); len(r) > 253 || !replicaPattern.MatchString(r) {
		return bad("replica %.80q is no DNS name", r)
	}
	version, err := sim.ParseRelease(h.GetVersion())
	if err != nil {
		return bad("version %.80q is not MAJOR.MINOR.PATCH", h.GetVersion())
	}
	if h.GetSlots() < 1 || h.GetSlots() > maxSlots {
		return bad("%d slots, want 1 to %d", h.GetSlots(), maxSlots)
	}
	if len(h.GetCapabilities()) > maxCapabilities {
		return bad("%d capabilities, want at most %d", len(h.GetCapabilities()), maxCapabilities)
	}
	for _, c := range h.GetCapabilities() {
		if len(c) > maxCapability || !capabilityPattern.MatchString(c) {
			return bad("capability %.80q is not family:name", c)
		}
	}
	if h.GetConfigurationRevision() < 0 {
		return bad("configuration revision %d is negative", h.GetConfigurationRevision())
	}
	drivers := make([]sim.Driver, len(h.GetDrivers()))
	for i, d := range h.GetDrivers() {
		drivers[i] = sim.Driver(d)
	}
	if err := sim.CheckDrivers(drivers); err != nil {
		return bad("%s", err)
	}
	return Engine{
		Label: label, Replica: sim.ReplicaID(h.GetReplica()), Version: version, Capabilities: slices.Clone(h.GetCapabilities()),
		Drivers: drivers, Slots: int(h.GetSlots()), Revision: h.GetConfigurationRevision(),
	}, nil
}

// can tells whether the engine has every capability that is needed.
func (e Engine) can(need []string) bool {
	return !slices.ContainsFunc(need, func(n string) bool { return !slices.Contains(e.Capabilities, n) })
}
