// Package sqlite opens the databases of the services: one file per service and environment, one writer, migrations
// embedded beside the queries they serve.
//
// It knows no table. SQL is written in the services, as SQL.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
)

// DB is one SQLite database. It is safe for concurrent use; writing transactions queue.
type DB struct {
	db    *sql.DB
	clock *clock.Clock
}

// Open opens or makes the file at path and brings it to the newest of the goose migrations in migrations (*.sql, at its
// root). It returns Conflict if the file was written by a newer dpesim.
func Open(ctx context.Context, path string, migrations fs.FS, c *clock.Clock) (*DB, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite's own default is for everybody to read
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
	}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.SetMaxOpenConns(1) // one writer; a read-only pool when a measurement asks for it
	d := &DB{db: db, clock: c}
	if err := d.migrate(ctx, migrations); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate %s: %w", path, err), db.Close())
	}
	return d, nil
}

func (d *DB) migrate(ctx context.Context, migrations fs.FS) error {
	p, err := goose.NewProvider(goose.DialectSQLite3, d.db, migrations)
	if err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > want {
		return sim.Errorf(sim.Conflict, "the database is of format %d, this dpesim knows formats up to %d", have, want).
			WithHelp("use the dpesim that wrote it, or start with an empty data directory")
	}
	if have == want {
		return nil
	}
	_, err = p.Up(ctx)
	return err
}

// Close closes the database.
func (d *DB) Close() error { return d.db.Close() }

// Tx is a transaction. Now is the product time at its start, so that the rows of one transaction agree.
type Tx struct {
	*sql.Tx
	Now time.Time
}

// Update runs f in a writing transaction and commits if f returns nil. The error of f, or of the commit, comes back
// classified by [Classify].
func (d *DB) Update(ctx context.Context, f func(tx *Tx) error) error {
	return d.run(ctx, f, (*sql.Tx).Commit)
}

// View runs f in a transaction that is rolled back at the end.
func (d *DB) View(ctx context.Context, f func(tx *Tx) error) error {
	return d.run(ctx, f, func(*sql.Tx) error { return nil }) // run rolls back what has not ended
}

func (d *DB) run(ctx context.Context, f func(tx *Tx) error, end func(*sql.Tx) error) (err error) {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return Classify(err)
	}
	defer func() { // after f failed, or panicked: the one connection must be free again
		if e := tx.Rollback(); !errors.Is(e, sql.ErrTxDone) {
			err = errors.Join(err, e)
		}
	}()
	if err := f(&Tx{Tx: tx, Now: d.clock.Now()}); err != nil {
		return Classify(err)
	}
	err = end(tx)
	if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil { // database/sql rolled back as ctx ended
		return ctx.Err()
	}
	return Classify(err)
}

// Classify gives driver errors a [sim.Kind]: no rows is NotFound, a broken unique or primary key Conflict, a busy or
// locked database Unavailable. Errors that are classified already, and all others, come back as they are.
func Classify(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*sim.Error](err); ok {
		return err
	}
	if errors.Is(err, sql.ErrNoRows) {
		return &sim.Error{Kind: sim.NotFound, Err: err}
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() {
		case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
			return &sim.Error{Kind: sim.Conflict, Err: err}
		}
		switch e.Code() & 0xff { // the primary code: both have extended ones, as SQLITE_BUSY_SNAPSHOT
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return &sim.Error{Kind: sim.Unavailable, Msg: "the database is busy", Err: err}
		}
	}
	return err
}

// Collect reads every row of a query through scan and closes it.
func Collect[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // Err below has what matters
	out := []T{}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// Millis is how times stand in columns whose name ends in _ms: UTC, milliseconds since 1970.
func Millis(t time.Time) int64 { return t.UnixMilli() }

// FromMillis is the inverse of [Millis]; 0 is the zero time.
func FromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
