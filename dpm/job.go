package dpm

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/event"
)

// State is where a job stands. The names are an assumption (product-facts, section 2), and so is the machine:
//
//	Submit ─> ENQUEUED ──command──> SUBMITTED ──began──> RUNNING ──> SUCCESS
//	             ^                    │   │                │  └────> FAILURE
//	             │                    │   └─ended─> SUCCESS, FAILURE
//	             └────────────────────┴──── lease lost ────┘ (at attempt [MaxAttempts]: FAILURE)
//
// The others are known names that no job takes yet.
type State string

// The states.
const (
	NotSubmitted State = "NOT_SUBMITTED" // unused: composed, not handed in
	Planned      State = "PLANNED"       // unused: of a post-processing plan
	Resolving    State = "RESOLVING"     // unused: what it needs is being looked up
	Staged       State = "STAGED"        // unused: its inputs are being made ready
	Enqueued     State = "ENQUEUED"      // accepted, waits for an engine
	Submitted    State = "SUBMITTED"     // given to an engine under a lease, which has not said yet that it began
	Running      State = "RUNNING"       // the engine has begun
	Killed       State = "KILLED"        // unused: stopped by a person
	Success      State = "SUCCESS"       // final
	Failure      State = "FAILURE"       // final
)

// States lists the states in the order of a job's life.
func States() []State {
	return []State{NotSubmitted, Planned, Resolving, Staged, Enqueued, Submitted, Running, Killed, Success, Failure}
}

// Final tells whether a job stays in s for ever.
func (s State) Final() bool { return s == Success || s == Failure || s == Killed }

// held tells whether an engine has the job under a lease.
func (s State) held() bool { return s == Submitted || s == Running }

// MaxAttempts is how often a job is given to an engine before its failure is final. Assumption.
const MaxAttempts = 5

// TypeProfile is the one job type so far: profile a CSV object.
const TypeProfile = "profile"

// ResultBucket is where engines put results, under profile/<job>/<attempt>.json: an attempt that was given up cannot
// overwrite the result of the next. Our choice.
const ResultBucket = "results"

// Source names the object that a job reads.
type Source struct {
	Bucket string
	Key    string
}

// JobSpec says what to do.
type JobSpec struct {
	Type       string    // [TypeProfile]
	Source     Source    // a CSV object
	Label      sim.Label // of the DPE that must run it; empty: any
	MaxRecords int64     // read at most so many records; 0: all
}

// Check returns Invalid for a spec that no engine could run.
func (j JobSpec) Check() error {
	switch {
	case j.Type != TypeProfile:
		return sim.Errorf(sim.Invalid, "unknown job type %q", j.Type).WithHelp("the job types are: %s", TypeProfile)
	case j.Source.Bucket == "" || j.Source.Key == "" || len(j.Source.Key) > 1024: // 1024: Amazon S3 User Guide, object keys
		return sim.Errorf(sim.Invalid, "a job needs the bucket and key of an object to read").WithHelp("for example bucket sample-data, key cars.csv")
	case j.Label != "" && !j.Label.Valid():
		return sim.Errorf(sim.Invalid, "%q is no label of a DPE", string(j.Label)).WithHelp("use a DPE's label, or none for any DPE")
	case j.MaxRecords < 0:
		return sim.Errorf(sim.Invalid, "max records is %d", j.MaxRecords).WithHelp("use a positive number, or 0 for all records")
	}
	return nil
}

// Object refers to an object in the environment's object storage.
type Object struct {
	Bucket string
	Key    string
	SHA256 string // lower-case hex
	Size   int64  // bytes
}

// Job is a job as it stands.
type Job struct {
	ID          sim.JobID
	Spec        JobSpec
	State       State
	Attempt     int             // of the last command; 0 before the first
	Label       sim.Label       // of the engine of the last attempt; empty before the first
	Replica     sim.ReplicaID   // of the same
	Reason      string          // why it waits, or why it failed: for a person
	Result      *Object         // nil: none
	Summary     json.RawMessage // what the engine told inline; nil: nothing
	SubmittedAt time.Time
	StartedAt   time.Time // when the engine said that it began the last attempt; zero: not yet
	EndedAt     time.Time // zero: not yet
	Attempts    []Attempt // oldest first; [Server.Jobs] leaves it out
}

// Attempt is one command of a job.
type Attempt struct {
	Number       int // from 1
	Label        sim.Label
	Replica      sim.ReplicaID
	Outcome      string // "": the lease holds; "succeeded", "failed", "lost"
	Error        string // why it failed or was lost
	DispatchedAt time.Time
	StartedAt    time.Time
	EndedAt      time.Time
}

// JobFilter chooses jobs. The zero value chooses all.
type JobFilter struct {
	States []State   // any of them; empty: all
	After  sim.JobID // those accepted after this one
	Before sim.JobID // those accepted before this one
	Newest bool      // the newest first
	Limit  int       // at most so many; 0: all
}

// job is an open job in the state machine.
type job struct {
	Job
	seq   int64
	dirty bool // to be written
	// lease is the uptime at which the current attempt is given up; it counts while an engine holds the job.
	lease time.Duration
	// cause is the event of the job's last change; 0 if that was in another run.
	cause uint64
}

func (j *job) attempt() *Attempt { return &j.Attempts[len(j.Attempts)-1] }

func (j *job) holder() engineID { return engineID{j.Label, j.Replica} }

// Submit accepts a job: once it has returned, the job is stored and will reach exactly one final state. It returns
// Invalid for a wrong spec.
func (s *Server) Submit(ctx context.Context, spec JobSpec) (Job, error) {
	if err := spec.Check(); err != nil {
		return Job{}, err
	}
	j := &job{Job: Job{Spec: spec, State: Enqueued}, cause: event.Cause(ctx)}
	var accepted Job
	err := s.do(ctx, func(t *turn) error {
		t.lastSeq++
		j.seq = t.lastSeq
		j.ID = sim.JobID(fmt.Sprintf("job-%d-%s", j.seq, s.opts.Draw.ID("dpm/job", 5)))
		j.SubmittedAt = t.now
		t.jobs[j.ID] = j
		t.enqueue(j)
		t.save(j)
		accepted = j.Job
		accepted.Reason = t.waitReason(laneOf(spec))
		t.then(func() {
			j.cause = s.publish(j.cause, spec.Label, "job submitted", map[string]string{
				"job_id": string(j.ID), "type": spec.Type, "bucket": spec.Source.Bucket, "key": spec.Source.Key,
			})
		})
		return nil
	})
	return accepted, err
}

// Job gives a job with its attempts. It returns NotFound if there is none of that id.
func (s *Server) Job(ctx context.Context, id sim.JobID) (Job, error) {
	j, err := s.readJob(ctx, id)
	if err != nil {
		return Job{}, err
	}
	jobs := []Job{j}
	err = s.explain(ctx, jobs)
	return jobs[0], err
}

// Jobs lists jobs in the order in which they were accepted, or the newest first. It returns NotFound if the one that they
// shall have been accepted after or before is not there.
func (s *Server) Jobs(ctx context.Context, f JobFilter) ([]Job, error) {
	jobs, err := s.readJobs(ctx, f)
	if err != nil {
		return nil, err
	}
	return jobs, s.explain(ctx, jobs)
}

// explain adds why jobs wait: that depends on who is connected now, so it is not stored.
func (s *Server) explain(ctx context.Context, jobs []Job) error {
	waiting := map[lane]string{}
	for _, j := range jobs {
		if j.State == Enqueued {
			waiting[laneOf(j.Spec)] = ""
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	err := s.do(ctx, func(t *turn) error {
		for l := range waiting {
			waiting[l] = t.waitReason(l)
		}
		return nil
	})
	for i := range jobs {
		if jobs[i].State == Enqueued {
			jobs[i].Reason = waiting[laneOf(jobs[i].Spec)]
		}
	}
	return err
}
