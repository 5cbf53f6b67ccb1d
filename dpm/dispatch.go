package dpm

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
	"github.com/dpesim/dpesim/sim"
)

// lane is what a job needs of an engine. Jobs of one lane go out first in, first out; one lane does not hold up another.
type lane struct {
	kind string // of job
	pin  sim.Label
}

func laneOf(spec JobSpec) lane { return lane{kind: spec.Type, pin: spec.Label} }

// capabilities gives what an engine must be able to do. The one job type reads CSV.
func (l lane) capabilities() []string { return []string{"job:" + l.kind, "source:csv"} }

func (l lane) fits(e *session) bool {
	return (l.pin == "" || l.pin == e.Label) && e.can(l.capabilities())
}

// queue holds the waiting jobs of a lane by age. One that comes back is older than those that wait, so it goes first.
type queue struct{ jobs []*job }

func (q *queue) push(j *job) {
	i, _ := slices.BinarySearchFunc(q.jobs, j.seq, func(x *job, seq int64) int { return cmp.Compare(x.seq, seq) })
	q.jobs = slices.Insert(q.jobs, i, j)
}

func (q *queue) pop() *job {
	j := q.jobs[0]
	q.jobs[0] = nil
	q.jobs = q.jobs[1:]
	return j
}

// enqueue lets j wait for an engine.
func (t *turn) enqueue(j *job) {
	l := laneOf(j.Spec)
	q := t.lanes[l]
	if q == nil {
		q = &queue{}
		t.lanes[l] = q
	}
	q.push(j)
}

// connected gives the engines in the order of their names.
func (s *state) connected() []*session {
	return slices.SortedFunc(maps.Values(s.engines), func(a, b *session) int {
		return cmp.Or(cmp.Compare(a.Label, b.Label), cmp.Compare(a.Replica, b.Replica))
	})
}

// schedule gives waiting jobs to engines, the oldest first, until no lane has both. Called at the end of every turn.
func (t *turn) schedule() {
	if len(t.lanes) == 0 || len(t.engines) == 0 {
		return
	}
	engines := t.connected()
	batches := map[*session][]*dpmv1.Command{}
	for {
		var oldest *job
		var to *session
		for l, q := range t.lanes {
			if len(q.jobs) == 0 {
				delete(t.lanes, l)
				continue
			}
			if oldest != nil && q.jobs[0].seq > oldest.seq {
				continue
			}
			if e := l.choose(engines); e != nil {
				oldest, to = q.jobs[0], e
			}
		}
		if oldest == nil {
			break
		}
		t.lanes[laneOf(oldest.Spec)].pop()
		batches[to] = append(batches[to], t.give(oldest, to))
	}
	for _, e := range engines {
		if commands := batches[e]; len(commands) > 0 {
			t.then(func() { e.send(commandsMessage(commands)) })
			t.arm(t.up + t.s.opts.Lease)
		}
	}
}

// choose gives the engine with room that runs the fewest jobs, the first by name among equals; nil if there is none.
func (l lane) choose(engines []*session) *session {
	var best *session
	for _, e := range engines {
		if e.Draining || e.credits == 0 || !l.fits(e) {
			continue
		}
		if best == nil || len(e.held) < len(best.held) {
			best = e
		}
	}
	return best
}

// give starts the next attempt of j on e.
func (t *turn) give(j *job, e *session) *dpmv1.Command {
	e.credits--
	e.held[j.ID] = j
	j.State, j.Attempt, j.Summary = Submitted, j.Attempt+1, nil
	j.Label, j.Replica, j.StartedAt = e.Label, e.Replica, time.Time{}
	j.lease = t.up + t.s.opts.Lease
	j.Attempts = append(j.Attempts, Attempt{Number: j.Attempt, Label: e.Label, Replica: e.Replica, DispatchedAt: t.now})
	t.save(j)
	attempt := j.Attempt
	command := &dpmv1.Command{
		JobId: string(j.ID), Attempt: int32(attempt), LeaseExpires: timestamppb.New(t.now.Add(t.s.opts.Lease)),
		Work: &dpmv1.Command_Profile{Profile: &dpmv1.Profile{
			Source:     &dpmv1.ObjectReference{Bucket: j.Spec.Source.Bucket, Key: j.Spec.Source.Key},
			Target:     &dpmv1.ObjectReference{Bucket: ResultBucket, Key: fmt.Sprintf("profile/%s/%d.json", j.ID, attempt)},
			MaxRecords: j.Spec.MaxRecords,
		}},
	}
	t.then(func() {
		j.cause = t.s.publish(j.cause, e.Label, "job dispatched", map[string]string{
			"job_id": string(j.ID), "attempt": strconv.Itoa(attempt), "replica": string(e.Replica),
		})
		command.Cause = j.cause // it is sent after this
	})
	return command
}

// waitReason says to a person why jobs of a lane wait; "" if an engine has room: the turn's end gives the job to it.
func (t *turn) waitReason(l lane) string {
	what := fmt.Sprintf("%s jobs (%s)", l.kind, strings.Join(l.capabilities(), ", "))
	var able, draining int
	for _, e := range t.engines {
		if l.fits(e) {
			able++
			if e.Draining {
				draining++
			}
		}
	}
	switch {
	case len(t.engines) == 0:
		return fmt.Sprintf("no connected DPE can run %s: no DPE is connected", what)
	case able == 0 && l.pin != "" && !slices.ContainsFunc(t.connected(), func(e *session) bool { return e.Label == l.pin }):
		return fmt.Sprintf("no connected DPE can run %s: the job is pinned to the DPE %q, which is not connected", what, string(l.pin))
	case able == 0:
		return "no connected DPE can run " + what
	case able == draining:
		return fmt.Sprintf("every connected DPE that can run %s is stopping", what)
	case l.choose(t.connected()) != nil:
		return ""
	default:
		return fmt.Sprintf("every connected DPE that can run %s is busy", what)
	}
}
