package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/sqlite"
)

// Actor is who does something, as the audit log tells it.
type Actor struct {
	User         string
	Organisation string // the user's
	Via          string // as in [api.Identity]
	Source       string // address
	Request      string // id
}

type actorKey struct{}

// WithActor gives a context whose changes are the actor's.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorOf gives who acts, or the zero Actor: the simulator itself.
func ActorOf(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	return a
}

// Act is something that was done, for the audit log. Environment and DPE may be empty.
type Act struct {
	Action      string
	Environment sim.EnvironmentID
	DPE         sim.Label
	Detail      map[string]string // never a secret
}

// record writes act into the audit log in the transaction that does it, so that neither is there without the other, and
// gives the entry's seq.
func record(ctx context.Context, tx *sqlite.Tx, act Act) (seq int64, err error) {
	who := ActorOf(ctx)
	organisation := who.Organisation
	if act.Environment != "" {
		err := tx.QueryRowContext(ctx, `SELECT organisation FROM environment WHERE id = ?`, act.Environment).Scan(&organisation)
		if err != nil {
			return 0, one(err, "there is no environment %q", string(act.Environment))
		}
	}
	if act.Detail == nil {
		act.Detail = map[string]string{}
	}
	detail, err := json.Marshal(act.Detail)
	if err != nil {
		return 0, err
	}
	err = tx.QueryRowContext(ctx, `INSERT INTO audit (at_ms, organisation, user, via, source, request, action, environment, dpe, detail)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq`,
		sqlite.Millis(tx.Now), organisation, who.User, who.Via, who.Source, who.Request, act.Action, act.Environment, act.DPE, string(detail)).Scan(&seq)
	return seq, err
}

// Record writes into the audit log what changed nothing here: a look at a secret, a job that was submitted.
func (d *DB) Record(ctx context.Context, act Act) error {
	return d.db.Update(ctx, func(tx *sqlite.Tx) error {
		_, err := record(ctx, tx, act)
		return err
	})
}

// Audit reads an organisation's audit log, newest first. An empty organisation reads all of them.
func (d *DB) Audit(ctx context.Context, organisation string, f api.AuditFilter) ([]api.AuditEntry, error) {
	const query = `
SELECT seq, at_ms, user, via, source, request, action, environment, dpe, detail FROM audit
WHERE (?1 = '' OR organisation = ?1) AND (?2 = '' OR environment = ?2) AND (?3 = 0 OR seq < ?3) ORDER BY seq DESC LIMIT ?4`
	var out []api.AuditEntry
	err := d.db.View(ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.QueryContext(ctx, query, organisation, f.Environment, f.Before, f.Limit)
		out, err = sqlite.Collect(rows, err, scanAudit)
		return err
	})
	return out, err
}

func scanAudit(r *sql.Rows) (api.AuditEntry, error) {
	var e api.AuditEntry
	var at int64
	var detail string
	if err := r.Scan(&e.Seq, &at, &e.User, &e.Via, &e.Source, &e.Request, &e.Action, &e.Environment, &e.DPE, &detail); err != nil {
		return e, err
	}
	e.Time = sqlite.FromMillis(at)
	if err := json.Unmarshal([]byte(detail), &e.Detail); err != nil {
		return e, fmt.Errorf("read detail of audit entry %d: %w", e.Seq, err)
	}
	return e, nil
}
