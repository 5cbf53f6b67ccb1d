package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/sqlite"
)

// User is the row of a user.
type User struct {
	api.User
	Password string // bcrypt; no secret, but not to be shown
}

const selectUser = `SELECT id, organisation, name, role, trainer, demo, password, created_ms FROM user `

func scanUser(row interface{ Scan(...any) error }) (User, error) {
	var u User
	var created int64
	err := row.Scan(&u.ID, &u.Organisation, &u.Name, &u.Role, &u.Trainer, &u.Demo, &u.Password, &created)
	u.Created = sqlite.FromMillis(created)
	return u, err
}

// Users lists an organisation's users by id. An empty organisation lists all users.
func (d *DB) Users(ctx context.Context, organisation string) ([]User, error) {
	var out []User
	err := d.db.View(ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.QueryContext(ctx, selectUser+`WHERE ?1 = '' OR organisation = ?1 ORDER BY id`, organisation)
		out, err = sqlite.Collect(rows, err, func(r *sql.Rows) (User, error) { return scanUser(r) })
		return err
	})
	return out, err
}

// User gives one user, or NotFound.
func (d *DB) User(ctx context.Context, id string) (User, error) {
	var u User
	err := d.db.View(ctx, func(tx *sqlite.Tx) (err error) {
		u, err = scanUser(tx.QueryRowContext(ctx, selectUser+`WHERE id = ?`, id))
		return one(err, "there is no user %q", id)
	})
	return u, err
}

// AddUser stores u. It returns Conflict if the id is taken, in whatever organisation: it is what people sign in with.
func (d *DB) AddUser(ctx context.Context, u User) (User, error) {
	err := d.db.Update(ctx, func(tx *sqlite.Tx) error {
		u.Created = tx.Now
		err := insertUser(ctx, tx, u)
		if k := sqlite.Classify(err); k != nil && sim.KindOf(k) == sim.Conflict {
			return api.InField("id", sim.Errorf(sim.Conflict, "the user id %q is taken", u.ID).WithHelp("choose another one"))
		}
		if err != nil {
			return err
		}
		_, err = record(ctx, tx, Act{Action: "user added", Detail: map[string]string{"user": u.ID, "role": string(u.Role)}})
		return err
	})
	return u, err
}

func insertUser(ctx context.Context, tx *sqlite.Tx, u User) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO user VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		u.ID, u.Organisation, u.Name, u.Role, u.Trainer, u.Demo, u.Password, sqlite.Millis(u.Created))
	return err
}

// RemoveUser removes a user of an organisation with sessions and tokens. It returns NotFound if there is no such user
// and Conflict if environments belong to the user.
func (d *DB) RemoveUser(ctx context.Context, organisation, id string) error {
	return d.db.Update(ctx, func(tx *sqlite.Tx) error {
		u, err := scanUser(tx.QueryRowContext(ctx, selectUser+`WHERE id = ? AND organisation = ?`, id, organisation))
		if err != nil {
			return one(err, "there is no user %q", id)
		}
		var owned int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM environment WHERE owner = ?`, id).Scan(&owned); err != nil {
			return err
		}
		if owned > 0 {
			return sim.Errorf(sim.Conflict, "user %s cannot be removed: %d environments are the user's own", id, owned).
				WithHelp("give the environments another owner, or delete them, first")
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM user WHERE id = ?`, u.ID); err != nil {
			return err
		}
		_, err = record(ctx, tx, Act{Action: "user removed", Detail: map[string]string{"user": id}})
		return err
	})
}

// ChangePassword gives a user another password, bcrypt, in place of was, and ends the user's sessions; if session is a digest,
// a new one begins now in their place. It returns Conflict if was is the password no more.
func (d *DB) ChangePassword(ctx context.Context, id, was, password, session string, now time.Time) error {
	return d.db.Update(ctx, func(tx *sqlite.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE user SET password = ? WHERE id = ? AND password = ?`, password, id, was)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, sim.Errorf(sim.Conflict, "the password of %s was changed meanwhile", id).WithHelp("sign in again"))
		}
		if err := endSessions(ctx, tx, id); err != nil {
			return err
		}
		if session != "" {
			if _, err := tx.ExecContext(ctx, `INSERT INTO session VALUES (?, ?, ?)`, session, id, sqlite.Millis(now)); err != nil {
				return err
			}
		}
		_, err = record(ctx, tx, Act{Action: "password changed"})
		return err
	})
}

// ResetPassword gives a user of an organisation another password, bcrypt, and ends the user's sessions. It
// returns NotFound if there is no such user.
func (d *DB) ResetPassword(ctx context.Context, organisation, id, password string) error {
	return d.db.Update(ctx, func(tx *sqlite.Tx) error {
		err := tx.QueryRowContext(ctx, `UPDATE user SET password = ?1 WHERE id = ?2 AND organisation = ?3 RETURNING id`, password, id, organisation).Scan(&id)
		if err != nil {
			return one(err, "there is no user %q", id)
		}
		if err := endSessions(ctx, tx, id); err != nil {
			return err
		}
		_, err = record(ctx, tx, Act{Action: "password reset", Detail: map[string]string{"user": id}})
		return err
	})
}

func endSessions(ctx context.Context, tx *sqlite.Tx, user string) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM session WHERE user = ?`, user)
	return err
}

// SignIn stores a session: digest is of what the cookie holds, now is the machine's time. Sessions that were not used
// since deadline are forgotten.
func (d *DB) SignIn(ctx context.Context, digest, user string, now, deadline time.Time) error {
	return d.db.Update(ctx, func(tx *sqlite.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM session WHERE seen_ms < ?`, sqlite.Millis(deadline)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO session VALUES (?, ?, ?)`, digest, user, sqlite.Millis(now)); err != nil {
			return err
		}
		_, err := record(ctx, tx, Act{Action: "signed in"})
		return err
	})
}

// SignOut ends a session, if there is one.
func (d *DB) SignOut(ctx context.Context, digest string) error {
	return d.db.Update(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM session WHERE digest = ?`, digest)
		return err
	})
}

// Session gives the user of a session that was used since deadline, and when that was, or NotFound.
func (d *DB) Session(ctx context.Context, digest string, deadline time.Time) (u User, seen time.Time, err error) {
	err = d.db.View(ctx, func(tx *sqlite.Tx) error {
		var ms int64
		var user string
		err := tx.QueryRowContext(ctx, `SELECT user, seen_ms FROM session WHERE digest = ? AND seen_ms >= ?`, digest, sqlite.Millis(deadline)).Scan(&user, &ms)
		if err != nil {
			return one(err, "there is no such session")
		}
		seen = sqlite.FromMillis(ms)
		u, err = scanUser(tx.QueryRowContext(ctx, selectUser+`WHERE id = ?`, user))
		return err
	})
	return u, seen, err
}

// SessionSeen notes that a session was used.
func (d *DB) SessionSeen(ctx context.Context, digest string, now time.Time) error {
	return d.db.Update(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE session SET seen_ms = ? WHERE digest = ?`, sqlite.Millis(now), digest)
		return err
	})
}

const selectToken = `SELECT id, name, scopes, created_ms, expires_ms FROM token `

func scanToken(row interface{ Scan(...any) error }) (api.Token, error) {
	var t api.Token
	var created, expires int64
	err := row.Scan(&t.ID, &t.Name, (*list[api.Scope])(&t.Scopes), &created, &expires)
	t.Created, t.Expires = sqlite.FromMillis(created), sqlite.FromMillis(expires)
	return t, err
}

// Tokens lists a user's API tokens, oldest first.
func (d *DB) Tokens(ctx context.Context, user string) ([]api.Token, error) {
	var out []api.Token
	err := d.db.View(ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.QueryContext(ctx, selectToken+`WHERE user = ? ORDER BY created_ms, id`, user)
		out, err = sqlite.Collect(rows, err, func(r *sql.Rows) (api.Token, error) { return scanToken(r) })
		return err
	})
	return out, err
}

// AddToken stores an API token of a user and gives it back as stored.
func (d *DB) AddToken(ctx context.Context, user, digest string, t api.Token) (api.Token, error) {
	scopes, err := text(t.Scopes)
	if err != nil {
		return t, err
	}
	err = d.db.Update(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO token VALUES (?, ?, ?, ?, ?, ?, ?)`,
			t.ID, user, t.Name, digest, scopes, sqlite.Millis(tx.Now), sqlite.Millis(t.Expires))
		if err != nil {
			return err
		}
		if t, err = scanToken(tx.QueryRowContext(ctx, selectToken+`WHERE id = ?`, t.ID)); err != nil {
			return err
		}
		_, err = record(ctx, tx, Act{Action: "api token added", Detail: map[string]string{"token": t.Name, "scopes": scopes}})
		return err
	})
	return t, err
}

// RemoveToken ends an API token of a user. It returns NotFound if there is no such token.
func (d *DB) RemoveToken(ctx context.Context, user, id string) error {
	return d.db.Update(ctx, func(tx *sqlite.Tx) error {
		var name string
		err := tx.QueryRowContext(ctx, `DELETE FROM token WHERE id = ? AND user = ? RETURNING name`, id, user).Scan(&name)
		if err != nil {
			return one(err, "there is no API token %q of yours", id)
		}
		_, err = record(ctx, tx, Act{Action: "api token removed", Detail: map[string]string{"token": name}})
		return err
	})
}

// TokenOf gives the API token of a digest with its user. It returns NotFound if there is none or it has expired.
func (d *DB) TokenOf(ctx context.Context, digest string) (t api.Token, u User, err error) {
	err = d.db.View(ctx, func(tx *sqlite.Tx) error {
		var user string
		err := tx.QueryRowContext(ctx, `SELECT user FROM token WHERE digest = ?`, digest).Scan(&user)
		if errors.Is(err, sql.ErrNoRows) {
			return sim.Errorf(sim.NotFound, "there is no such API token")
		}
		if err != nil {
			return err
		}
		if t, err = scanToken(tx.QueryRowContext(ctx, selectToken+`WHERE digest = ?`, digest)); err != nil {
			return err
		}
		if !t.Expires.After(tx.Now) {
			return sim.Errorf(sim.NotFound, "the API token %q has expired", t.Name)
		}
		u, err = scanUser(tx.QueryRowContext(ctx, selectUser+`WHERE id = ?`, user))
		return err
	})
	return t, u, err
}
