package dpm

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"

	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
	"github.com/dpesim/dpesim/sim"
)

// Bounds of an event. The first stands in dpm.proto.
const (
	maxPayload = 64 << 10 // bytes of JSON
	maxError   = 4 << 10  // bytes of text
)

var sha256Pattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// report takes an event of a job. What it changes is stored before the receipt goes out; what does not count is refused
// by a receipt, so that the engine drops the job.
func (t *turn) report(e *session, ev *dpmv1.JobEvent) error {
	e.seen = t.up
	why, err := t.refusal(e, ev)
	if err != nil {
		return err
	}
	ends := ev.GetState() != dpmv1.JobState_JOB_STATE_RUNNING
	if why == "" {
		t.apply(ev)
	} else if !ends || why != already {
		t.then(func() { t.s.refuse(e, ev, why) })
		return nil
	}
	if ends {
		t.then(func() {
			e.send(receiptMessage(&dpmv1.EventReceipt{JobId: ev.GetJobId(), Attempt: ev.GetAttempt(), Accepted: true}))
		})
	}
	return nil
}

// already is no refusal: the very event was stored before, and its receipt was lost.
const already = "already stored"

// refusal says why an event does not count: "" if it does. It returns an error if the database cannot tell.
func (t *turn) refusal(e *session, ev *dpmv1.JobEvent) (string, error) {
	if why := checkEvent(ev); why != "" {
		return why, nil
	}
	j, ok := t.jobs[sim.JobID(ev.GetJobId())]
	if !ok {
		stored, err := t.s.readJob(t.s.ctx, sim.JobID(ev.GetJobId()))
		if sim.KindOf(err) == sim.NotFound {
			return fmt.Sprintf("there is no job %.80q", ev.GetJobId()), nil
		}
		if err != nil {
			return "", err
		}
		j = &job{Job: stored}
	}
	attempt := int(ev.GetAttempt())
	own := attempt == j.Attempt && j.holder() == engineID{e.Label, e.Replica}
	switch {
	case j.State.Final() && own && finalState(ev) == j.State && j.attempt().Outcome != outcomeLost:
		return already, nil
	case j.State.Final():
		return fmt.Sprintf("the job has ended: %s", j.State), nil
	case attempt != j.Attempt:
		return fmt.Sprintf("attempt %d is superseded by attempt %d", attempt, j.Attempt), nil
	case !own:
		return fmt.Sprintf("attempt %d belongs to replica %s of DPE %s", attempt, j.Replica, j.Label), nil
	case !j.State.held():
		return fmt.Sprintf("attempt %d has lost its lease", attempt), nil
	}
	return "", nil
}

func finalState(ev *dpmv1.JobEvent) State {
	if ev.GetState() == dpmv1.JobState_JOB_STATE_SUCCEEDED {
		return Success
	}
	return Failure
}

// checkEvent says what is wrong with an event in itself: "" if nothing is.
func checkEvent(ev *dpmv1.JobEvent) string {
	switch ev.GetState() {
	case dpmv1.JobState_JOB_STATE_RUNNING, dpmv1.JobState_JOB_STATE_SUCCEEDED, dpmv1.JobState_JOB_STATE_FAILED:
	case dpmv1.JobState_JOB_STATE_UNSPECIFIED:
		return "the event has no state"
	default:
		return fmt.Sprintf("unknown state %d", ev.GetState())
	}
	switch p, r := ev.GetPayload(), ev.GetResult(); {
	case len(p) > maxPayload:
		return fmt.Sprintf("the payload has %d bytes, more than %d", len(p), maxPayload)
	case len(p) > 0 && !json.Valid(p):
		return "the payload is not JSON"
	case len(ev.GetError()) > maxError:
		return fmt.Sprintf("the error has %d bytes, more than %d", len(ev.GetError()), maxError)
	case r != nil && (r.GetBucket() == "" || r.GetKey() == "" || !sha256Pattern.MatchString(r.GetSha256()) || r.GetSizeBytes() < 0):
		return "the result reference needs a bucket, a key, a SHA-256 in lower-case hex and a size"
	}
	return ""
}

// apply does what an event says that counts.
func (t *turn) apply(ev *dpmv1.JobEvent) {
	j := t.jobs[sim.JobID(ev.GetJobId())]
	a := j.attempt()
	if len(ev.GetPayload()) > 0 {
		j.Summary = json.RawMessage(ev.GetPayload())
	}
	t.save(j)
	if ev.GetState() == dpmv1.JobState_JOB_STATE_RUNNING {
		j.lease = t.up + t.s.opts.Lease
		if j.State == Running {
			return
		}
		j.State, j.StartedAt, a.StartedAt = Running, t.now, t.now
		label := j.Label
		detail := map[string]string{"job_id": string(j.ID), "attempt": strconv.Itoa(j.Attempt), "replica": string(j.Replica)}
		t.then(func() { j.cause = t.s.publish(j.cause, label, "job started", detail) })
		return
	}
	t.unhold(j)
	a.Outcome, a.EndedAt, a.Error = outcomeSucceeded, t.now, ev.GetError()
	if r := ev.GetResult(); r != nil {
		j.Result = &Object{Bucket: r.GetBucket(), Key: r.GetKey(), SHA256: r.GetSha256(), Size: r.GetSizeBytes()}
	}
	if finalState(ev) == Success {
		t.finish(j, Success, "")
		return
	}
	a.Outcome = outcomeFailed
	reason := ev.GetError()
	if reason == "" {
		reason = "the engine gave no reason"
	}
	t.finish(j, Failure, reason)
}

// refuse tells an engine, and the bus, that an event does not count.
func (s *Server) refuse(e *session, ev *dpmv1.JobEvent, why string) {
	s.publish(0, e.Label, "event refused", map[string]string{
		"job_id": fmt.Sprintf("%.80s", ev.GetJobId()), "attempt": strconv.Itoa(int(ev.GetAttempt())), "replica": string(e.Replica), "reason": why,
	})
	e.send(receiptMessage(&dpmv1.EventReceipt{JobId: ev.GetJobId(), Attempt: ev.GetAttempt(), Reason: why}))
}
