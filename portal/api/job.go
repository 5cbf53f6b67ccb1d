package api

import (
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	"github.com/dpesim/dpesim/sim"
)

// JobKind says what a job does.
type JobKind string

// JobProfile profiles one CSV object.
const JobProfile JobKind = "profile"

// JobKinds lists what jobs can do.
func JobKinds() []JobKind { return []JobKind{JobProfile} }

// JobSpec is the body of POST /environments/{env}/jobs.
type JobSpec struct {
	Kind       JobKind   `json:"kind,omitempty"` // default: profile
	Bucket     string    `json:"bucket"`         // of the object to read
	Key        string    `json:"key"`
	Label      sim.Label `json:"label,omitempty"`       // the DPE to run on; empty: any
	MaxRecords int64     `json:"max_records,omitempty"` // 0: all
}

// JobFilter says which jobs to read.
type JobFilter struct {
	State  JobState  // only those in it; empty: all
	Before sim.JobID // only those that were accepted before this one; empty: from the newest
	Limit  int       // at most so many; of the API, 0: 100
}

func (f JobFilter) query() url.Values {
	q := url.Values{}
	if f.State != "" {
		q.Set("state", string(f.State))
	}
	if f.Before != "" {
		q.Set("before", string(f.Before))
	}
	if f.Limit != 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return q
}

// JobState is where a job is in its life. The names are an assumption (product-facts, section 2).
type JobState string

// The states of a job; the last three are final.
const (
	JobNotSubmitted JobState = "NOT_SUBMITTED"
	JobPlanned      JobState = "PLANNED"
	JobResolving    JobState = "RESOLVING"
	JobStaged       JobState = "STAGED"
	JobSubmitted    JobState = "SUBMITTED"
	JobEnqueued     JobState = "ENQUEUED"
	JobRunning      JobState = "RUNNING"
	JobKilled       JobState = "KILLED"
	JobSuccess      JobState = "SUCCESS"
	JobFailure      JobState = "FAILURE"
)

// JobStates lists the states in the order of a job's life.
func JobStates() []JobState {
	return []JobState{JobNotSubmitted, JobPlanned, JobResolving, JobStaged, JobSubmitted, JobEnqueued, JobRunning, JobKilled, JobSuccess, JobFailure}
}

// Final tells whether a job in state s changes no more.
func (s JobState) Final() bool { return s == JobKilled || s == JobSuccess || s == JobFailure }

// Object names an object in the environment's object storage.
type Object struct {
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	SHA256    string `json:"sha256"` // lower-case hex
	SizeBytes int64  `json:"size_bytes"`
}

// Job is one job of an environment.
type Job struct {
	ID       sim.JobID       `json:"id"`
	Spec     JobSpec         `json:"spec"`
	State    JobState        `json:"state"`
	Attempt  int             `json:"attempt"`           // 0 before the first
	Engine   sim.ReplicaID   `json:"engine,omitempty"`  // that has or had it
	Label    sim.Label       `json:"label,omitempty"`   // of that engine
	Summary  json.RawMessage `json:"summary,omitempty"` // inline payload of the last event
	Result   *Object         `json:"result,omitempty"`
	Reason   string          `json:"reason,omitempty"` // why it waits, or why it failed, for a person
	Created  time.Time       `json:"created"`
	Started  *time.Time      `json:"started,omitempty"`
	Finished *time.Time      `json:"finished,omitempty"`
}
