package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/sqlite"
)

// maxSamples bounds how many samples an environment keeps: the oldest go. It is our choice.
const maxSamples = 5000

// Sample records how an environment stands to its licence with so many replicas connected, unless that is as it was, and
// gives that and how it was before. An environment that has just begun was compliant. It records nothing for one that is gone.
func (d *DB) Sample(ctx context.Context, env sim.EnvironmentID, connected int) (now, was api.ComplianceSample, err error) {
	now.Compliant, was.Compliant = true, true
	err = d.db.Update(ctx, func(tx *sqlite.Tx) error {
		e, err := getEnvironment(ctx, tx, env)
		if sim.KindOf(err) == sim.NotFound && err != nil {
			return nil //nolint:nilerr // an environment that is gone has no licence to stand to
		}
		if err != nil {
			return err
		}
		now = api.ComplianceSample{
			Time: tx.Now, Licensed: e.Contract.Replicas, SelfManaged: e.Usage.Replicas - e.Usage.Managed, Managed: e.Usage.Managed, Connected: connected,
			Compliant: connected <= e.Contract.Replicas,
		}
		last, err := scanSample(tx.QueryRowContext(ctx, selectSample+`WHERE environment = ? ORDER BY at_ms DESC LIMIT 1`, env))
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return err
		default:
			was, last.Time = last, now.Time
			if last == now {
				return nil
			}
		}
		_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO compliance VALUES (?, ?, ?, ?, ?, ?)`,
			env, sqlite.Millis(now.Time), now.Licensed, now.SelfManaged, now.Managed, now.Connected)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM compliance WHERE environment = ?1 AND at_ms <
  (SELECT at_ms FROM compliance WHERE environment = ?1 ORDER BY at_ms DESC LIMIT 1 OFFSET ?2)`, env, maxSamples-1)
		return err
	})
	return now, was, err
}

const selectSample = `SELECT at_ms, licensed, self_managed, managed, connected FROM compliance `

func scanSample(row interface{ Scan(...any) error }) (api.ComplianceSample, error) {
	var s api.ComplianceSample
	var at int64
	err := row.Scan(&at, &s.Licensed, &s.SelfManaged, &s.Managed, &s.Connected)
	s.Time, s.Compliant = sqlite.FromMillis(at), s.Connected <= s.Licensed
	return s, err
}

// Samples gives how an environment stood to its licence over time, oldest first.
func (d *DB) Samples(ctx context.Context, env sim.EnvironmentID) ([]api.ComplianceSample, error) {
	var out []api.ComplianceSample
	err := d.db.View(ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.QueryContext(ctx, selectSample+`WHERE environment = ? ORDER BY at_ms`, env)
		out, err = sqlite.Collect(rows, err, func(r *sql.Rows) (api.ComplianceSample, error) { return scanSample(r) })
		return err
	})
	return out, err
}
