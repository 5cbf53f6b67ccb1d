package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dpesim/dpesim/sim/sqlite"
)

// requestLife is how long an idempotency key is remembered, in product time. Our choice; it is what other APIs promise.
const requestLife = 24 * time.Hour

// Answer is what a request with an idempotency key was answered.
type Answer struct {
	Status int               // 0: it has not been answered
	Kept   bool              // Header and Body are what was answered; otherwise that held a secret
	Header map[string]string // those headers that count
	Body   []byte
}

// Begin notes that a user's request is under way. If the key was used before, it notes nothing and gives the digest of the
// request that it was used for, and the answer to that.
func (d *DB) Begin(ctx context.Context, user, key, digest string) (before string, a Answer, err error) {
	err = d.db.Update(ctx, func(tx *sqlite.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM request WHERE at_ms < ?`, sqlite.Millis(tx.Now.Add(-requestLife))); err != nil {
			return err
		}
		var header string
		err := tx.QueryRowContext(ctx, `SELECT digest, status, kept, header, body FROM request WHERE user = ? AND key = ?`, user, key).
			Scan(&before, &a.Status, &a.Kept, &header, &a.Body)
		if err == nil {
			return json.Unmarshal([]byte(header), &a.Header)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read request: %w", err)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO request VALUES (?, ?, ?, ?, 0, 0, '{}', x'')`, user, key, digest, sqlite.Millis(tx.Now))
		return err
	})
	return before, a, err
}

// Answered keeps the answer to a request that was begun.
func (d *DB) Answered(ctx context.Context, user, key string, a Answer) error {
	header, err := json.Marshal(a.Header)
	if err != nil {
		return err
	}
	if a.Body == nil {
		a.Body = []byte{}
	}
	return d.db.Update(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE request SET status = ?, kept = ?, header = ?, body = ? WHERE user = ? AND key = ?`,
			a.Status, a.Kept, string(header), a.Body, user, key)
		return err
	})
}

// Forget forgets a request that was begun and did nothing: its key is free.
func (d *DB) Forget(ctx context.Context, user, key string) error {
	return d.db.Update(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM request WHERE user = ? AND key = ?`, user, key)
		return err
	})
}
