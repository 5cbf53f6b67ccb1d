package sim

import "time"

// Part is a part of the simulator that events come from.
type Part string

// The parts.
const (
	PartSim      Part = "sim"
	PartPortal   Part = "portal"
	PartDPM      Part = "dpm"
	PartDPE      Part = "dpe"
	PartObjstore Part = "objstore"
	PartRegistry Part = "registry"
	PartEdge     Part = "edge"
	PartCluster  Part = "cluster"
)

// Event is one change of state, told after it happened. Events are values: nobody may change a Detail map after Publish.
type Event struct {
	Seq         uint64            `json:"seq"`                   // position in the run's log, from 1; set by the bus
	Time        time.Time         `json:"time"`                  // product time; set by the bus
	Part        Part              `json:"part"`                  // who tells
	Environment EnvironmentID     `json:"environment,omitempty"` // empty: none in particular
	DPE         Label             `json:"dpe,omitempty"`         // empty: none in particular
	What        string            `json:"what"`                  // lower case, past tense, constant: "engine connected"
	Detail      map[string]string `json:"detail,omitempty"`      // snake_case keys; never a secret
	Cause       uint64            `json:"cause,omitempty"`       // Seq of the event that led to this one; 0: a person's act or unknown
}
