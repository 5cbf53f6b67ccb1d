// Package store keeps the portal's rows: organisations and their users, environments, self-managed DPEs and the
// revisions of their generated files, and the audit log. The rules that need several rows at once (limits, unique labels, revisions) are kept here, each method
// one transaction. Only package portal imports it.
package store

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/sqlite"
)

//go:embed migration/*.sql
var migrations embed.FS

// DB is the portal's database. It is safe for concurrent use.
type DB struct{ db *sqlite.DB }

// Open opens or makes the database at path. A new one has the demo organisations with
// their users, and no environment.
func Open(ctx context.Context, path string, c *clock.Clock) (*DB, error) {
	dir, err := fs.Sub(migrations, "migration")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	db, err := sqlite.Open(ctx, path, dir, c)
	if err != nil {
		return nil, err
	}
	if err := db.Update(ctx, func(tx *sqlite.Tx) error { return seed(ctx, tx) }); err != nil {
		return nil, errors.Join(fmt.Errorf("write the demo organisations: %w", err), db.Close())
	}
	return &DB{db: db}, nil
}

// Close closes the database.
func (d *DB) Close() error { return d.db.Close() }

// Organisation gives an organisation with its usage, or NotFound.
func (d *DB) Organisation(ctx context.Context, id string) (api.Organisation, error) {
	var o api.Organisation
	err := d.db.View(ctx, func(tx *sqlite.Tx) error {
		var err error
		if o, err = organisation(ctx, tx, id); err != nil {
			return err
		}
		environments, err := listEnvironments(ctx, tx, id)
		if err != nil {
			return err
		}
		o.Usage = make([]api.EnvironmentUsage, len(environments))
		for i, e := range environments {
			o.Usage[i] = api.EnvironmentUsage{Environment: e.ID, Usage: e.Usage}
		}
		return nil
	})
	return o, err
}

func organisation(ctx context.Context, tx *sqlite.Tx, id string) (api.Organisation, error) {
	o := api.Organisation{ID: id}
	var expires int64
	err := tx.QueryRowContext(ctx, `SELECT name, engines_per_environment, replicas_per_environment, licence_expires_ms FROM organisation WHERE id = ?`, id).
		Scan(&o.Name, &o.Contract.EnginesPerEnvironment, &o.Licence.ReplicasPerEnvironment, &expires)
	o.Licence.Expires = sqlite.FromMillis(expires)
	return o, one(err, "there is no organisation %q", id)
}

// nextGeneration counts a change of what is wanted.
func nextGeneration(ctx context.Context, tx *sqlite.Tx) (int64, error) {
	var g int64
	err := tx.QueryRowContext(ctx, `UPDATE counter SET generation = generation + 1 RETURNING generation`).Scan(&g)
	return g, err
}

// touch gives an environment the next generation.
func touch(ctx context.Context, tx *sqlite.Tx, env sim.EnvironmentID) error {
	g, err := nextGeneration(ctx, tx)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE environment SET generation = ? WHERE id = ?`, g, env)
	return err
}

// list is a column that holds a JSON array.
type list[T any] []T

// Scan reads the column.
func (l *list[T]) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("a JSON column holds %T", v)
	}
	return json.Unmarshal([]byte(s), (*[]T)(l))
}

// text writes the column.
func text[T any](l []T) (string, error) {
	if l == nil {
		l = []T{}
	}
	b, err := json.Marshal(l)
	return string(b), err
}

// one turns "no rows" into an error that says what was looked for.
func one(err error, format string, args ...any) error {
	if errors.Is(err, sql.ErrNoRows) {
		return sim.Errorf(sim.NotFound, format, args...)
	}
	return err
}
