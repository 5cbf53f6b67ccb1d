package dpm

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/sqlite"
)

const jobColumns = `seq, id, type, source_bucket, source_key, pin, max_records, state, attempt, reason,
	result_bucket, result_key, result_sha256, result_size_bytes, summary, submitted_ms, ended_ms`

// saveJob writes a job and its attempts as they stand.
func saveJob(ctx context.Context, tx *sqlite.Tx, j *job) error {
	var result Object
	if j.Result != nil {
		result = *j.Result
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO jobs (`+jobColumns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (seq) DO UPDATE SET state = excluded.state, attempt = excluded.attempt, reason = excluded.reason,
			result_bucket = excluded.result_bucket, result_key = excluded.result_key, result_sha256 = excluded.result_sha256,
			result_size_bytes = excluded.result_size_bytes, summary = excluded.summary, ended_ms = excluded.ended_ms`,
		j.seq, j.ID, j.Spec.Type, j.Spec.Source.Bucket, j.Spec.Source.Key, j.Spec.Label, j.Spec.MaxRecords, j.State, j.Attempt, j.Reason,
		result.Bucket, result.Key, result.SHA256, result.Size, string(j.Summary), millis(j.SubmittedAt), millis(j.EndedAt))
	if err != nil {
		return fmt.Errorf("write job %s: %w", j.ID, err)
	}
	for _, a := range j.Attempts[max(len(j.Attempts)-2, 0):] { // a turn changes two at most: one lost, the next given
		_, err := tx.ExecContext(ctx, `INSERT INTO attempts (job_seq, attempt, label, replica, outcome, error, dispatched_ms, started_ms, ended_ms)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (job_seq, attempt) DO UPDATE SET outcome = excluded.outcome, error = excluded.error,
				started_ms = excluded.started_ms, ended_ms = excluded.ended_ms`,
			j.seq, a.Number, a.Label, a.Replica, a.Outcome, a.Error, millis(a.DispatchedAt), millis(a.StartedAt), millis(a.EndedAt))
		if err != nil {
			return fmt.Errorf("write attempt %d of job %s: %w", a.Number, j.ID, err)
		}
	}
	return nil
}

// millis is [sqlite.Millis] with 0 for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return sqlite.Millis(t)
}

// queryJobs reads jobs with their attempts; where and args follow FROM jobs.
func queryJobs(ctx context.Context, tx *sqlite.Tx, where string, args ...any) ([]*job, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+jobColumns+` FROM jobs `+where, args...)
	jobs, err := sqlite.Collect(rows, err, scanJob)
	if err != nil {
		return nil, err
	}
	bySeq := make(map[int64]*job, len(jobs))
	for _, j := range jobs {
		bySeq[j.seq] = j
	}
	rows, err = tx.QueryContext(ctx, `SELECT job_seq, attempt, label, replica, outcome, error, dispatched_ms, started_ms, ended_ms
		FROM attempts WHERE job_seq IN (SELECT seq FROM jobs `+where+`) ORDER BY job_seq, attempt`, args...)
	_, err = sqlite.Collect(rows, err, func(r *sql.Rows) (seq int64, err error) {
		a, seq, err := scanAttempt(r)
		if j := bySeq[seq]; j != nil {
			j.Attempts = append(j.Attempts, a)
			j.Label, j.Replica, j.StartedAt = a.Label, a.Replica, a.StartedAt
		}
		return seq, err
	})
	return jobs, err
}

func scanJob(r *sql.Rows) (*job, error) {
	j := &job{}
	var result Object
	var summary string
	var submitted, ended int64
	err := r.Scan(&j.seq, &j.ID, &j.Spec.Type, &j.Spec.Source.Bucket, &j.Spec.Source.Key, &j.Spec.Label, &j.Spec.MaxRecords,
		&j.State, &j.Attempt, &j.Reason, &result.Bucket, &result.Key, &result.SHA256, &result.Size, &summary, &submitted, &ended)
	if result.Key != "" {
		j.Result = &result
	}
	if summary != "" {
		j.Summary = json.RawMessage(summary)
	}
	j.SubmittedAt, j.EndedAt = sqlite.FromMillis(submitted), sqlite.FromMillis(ended)
	return j, err
}

func scanAttempt(r *sql.Rows) (a Attempt, seq int64, err error) {
	var dispatched, started, ended int64
	err = r.Scan(&seq, &a.Number, &a.Label, &a.Replica, &a.Outcome, &a.Error, &dispatched, &started, &ended)
	a.DispatchedAt, a.StartedAt, a.EndedAt = sqlite.FromMillis(dispatched), sqlite.FromMillis(started), sqlite.FromMillis(ended)
	return a, seq, err
}

func (s *Server) readJob(ctx context.Context, id sim.JobID) (Job, error) {
	var jobs []*job
	err := s.db.View(ctx, func(tx *sqlite.Tx) (err error) {
		jobs, err = queryJobs(ctx, tx, `WHERE id = ?`, id)
		return err
	})
	if err != nil {
		return Job{}, err
	}
	if len(jobs) == 0 {
		return Job{}, sim.Errorf(sim.NotFound, "there is no job %q in environment %s", string(id), s.opts.Environment).WithHelp("list the jobs for their ids")
	}
	return jobs[0].Job, nil
}

func (s *Server) readJobs(ctx context.Context, f JobFilter) ([]Job, error) {
	where, args := `WHERE seq > 0`, []any{}
	for _, bound := range []struct {
		id    sim.JobID
		where string
	}{{f.After, ` AND seq > (SELECT seq FROM jobs WHERE id = ?)`}, {f.Before, ` AND seq < (SELECT seq FROM jobs WHERE id = ?)`}} {
		if bound.id == "" {
			continue
		}
		if _, err := s.readJob(ctx, bound.id); err != nil {
			return nil, err
		}
		where, args = where+bound.where, append(args, bound.id)
	}
	if len(f.States) > 0 {
		where += ` AND state IN (?` + strings.Repeat(`, ?`, len(f.States)-1) + `)`
		for _, st := range f.States {
			args = append(args, st)
		}
	}
	where += ` ORDER BY seq`
	if f.Newest {
		where += ` DESC`
	}
	if f.Limit > 0 {
		where, args = where+` LIMIT ?`, append(args, f.Limit)
	}
	var found []*job
	err := s.db.View(ctx, func(tx *sqlite.Tx) (err error) {
		found, err = queryJobs(ctx, tx, where, args...)
		return err
	})
	jobs := make([]Job, len(found))
	for i, j := range found {
		jobs[i] = j.Job
		jobs[i].Attempts = nil
	}
	return jobs, err
}

// loadJobs makes memory of the database. What engines held stays theirs for one lease from now: the DPM went away, not
// they, and an engine that comes back with a result has saved the work. Those that do not come back lose it then.
func (s *Server) loadJobs(ctx context.Context) error {
	s.state.engines, s.state.jobs, s.state.lanes = map[engineID]*session{}, map[sim.JobID]*job{}, map[lane]*queue{}
	t := &turn{state: &s.state, s: s, now: s.opts.Clock.Now(), up: s.opts.Clock.Uptime()}
	err := s.db.View(ctx, func(tx *sqlite.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(seq), 0) FROM jobs`).Scan(&s.state.lastSeq); err != nil {
			return err
		}
		jobs, err := queryJobs(ctx, tx, `WHERE state NOT IN ('SUCCESS', 'FAILURE', 'KILLED') ORDER BY seq`)
		if err != nil {
			return err
		}
		for _, j := range jobs {
			t.jobs[j.ID] = j
			if j.State.held() {
				j.lease = t.up + s.opts.Lease
				t.arm(j.lease)
			} else {
				t.enqueue(j)
			}
		}
		return nil
	})
	s.state.stale = err != nil
	return err
}
