package api

import "time"

// CreationStep is one of the things that are done to create an environment.
type CreationStep struct {
	Name  string    `json:"name"`
	State StepState `json:"state"`
	Since time.Time `json:"since,omitzero"` // of the state; zero while it waits
}

// StepState says how a step is going.
type StepState string

// The states of a step. One that failed is tried again.
const (
	StepWaiting StepState = "waiting"
	StepRunning StepState = "running"
	StepDone    StepState = "done"
	StepFailed  StepState = "failed"
)

// StepStates lists the states of a step.
func StepStates() []StepState { return []StepState{StepWaiting, StepRunning, StepDone, StepFailed} }

// The steps of a creation, as the cloud does them.
const (
	StepDPM         = "Data Processing Module"
	StepStorage     = "ONE Object Storage"
	StepData        = "Buckets and sample data"
	StepCredentials = "Credentials"
)

// Steps lists the names of the steps in order.
func Steps() []string { return []string{StepDPM, StepStorage, StepData, StepCredentials} }
