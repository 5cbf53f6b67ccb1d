package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/sqlite"
)

// Inputs is what a revision of a DPE's generated files is made of.
type Inputs struct {
	Release  sim.Release
	Drivers  []sim.Driver
	Replicas int
	Sizing   sim.Sizing // in place of the tier's; empty figures: the tier's
}

// Edit is a change of what a DPE's generated files are made of.
type Edit struct {
	Drivers  []sim.Driver // nil: as they are
	Replicas int          // 0: as they are
	Sizing   *sim.Sizing  // in place of the tier's; nil: as it is
}

// of gives the inputs of a DPE of e after the edit.
func (x Edit) of(e Environment, in Inputs) (Inputs, error) {
	if x.Drivers != nil {
		in.Drivers = x.Drivers
	}
	if x.Replicas != 0 {
		in.Replicas = x.Replicas
	}
	var err error
	if x.Sizing != nil {
		in.Sizing, err = exceptional(e, *x.Sizing)
	}
	return in, err
}

// Secrets is what is generated once for a DPE.
type Secrets struct {
	Key           sim.Secret // base64 of the JWK pair
	KeyID         sim.KeyID
	AccessKey     string
	SecretKey     sim.Secret
	RegistryUser  string
	RegistryToken sim.Secret

	RegistryExpires time.Time // of the token; zero: never
}

// Seen is what was connected last.
type Seen struct {
	Revision     int64         // the oldest that ran; 0: the DPE never connected
	Releases     []sim.Release // that ran, oldest first
	Disconnected time.Time     // since when nothing is connected; zero: something is, or nothing ever was
}

// DPE is the row of a self-managed DPE with its current revision.
type DPE struct {
	ID          int64
	Environment sim.EnvironmentID
	Label       sim.Label
	Name        string
	Revision    int64
	Created     time.Time
	Inputs
	Secrets
	Seen Seen
}

const selectDPE = `
SELECT d.id, d.environment, d.label, d.name, d.revision, d.created_ms, r.release, r.drivers, r.replicas, r.sizing,
  d.key, d.key_id, d.access_key, d.secret_key, d.registry_user, d.registry_token, d.registry_expires_ms, d.seen_revision, d.seen_releases, d.disconnected_ms
FROM dpe d JOIN revision r ON r.dpe = d.id AND r.number = d.revision
`

func scanDPE(row interface{ Scan(...any) error }) (DPE, error) {
	var d DPE
	var created, expires, disconnected int64
	err := row.Scan(&d.ID, &d.Environment, &d.Label, &d.Name, &d.Revision, &created, &d.Release, (*list[sim.Driver])(&d.Drivers), &d.Replicas, (*sizing)(&d.Sizing),
		&d.Key, &d.KeyID, &d.AccessKey, &d.SecretKey, &d.RegistryUser, &d.RegistryToken, &expires,
		&d.Seen.Revision, (*list[sim.Release])(&d.Seen.Releases), &disconnected)
	d.Created, d.RegistryExpires, d.Seen.Disconnected = sqlite.FromMillis(created), sqlite.FromMillis(expires), sqlite.FromMillis(disconnected)
	return d, err
}

func listDPEs(ctx context.Context, tx *sqlite.Tx, env sim.EnvironmentID) ([]DPE, error) {
	rows, err := tx.QueryContext(ctx, selectDPE+`WHERE d.environment = ? AND d.removed_ms = 0 ORDER BY d.label`, env)
	return sqlite.Collect(rows, err, func(r *sql.Rows) (DPE, error) { return scanDPE(r) })
}

func listRemoved(ctx context.Context, tx *sqlite.Tx, env sim.EnvironmentID) ([]DPE, error) {
	rows, err := tx.QueryContext(ctx, selectDPE+`WHERE d.environment = ? AND d.removed_ms <> 0 ORDER BY d.id`, env)
	return sqlite.Collect(rows, err, func(r *sql.Rows) (DPE, error) { return scanDPE(r) })
}

func getDPE(ctx context.Context, tx *sqlite.Tx, env sim.EnvironmentID, l sim.Label) (DPE, error) {
	d, err := scanDPE(tx.QueryRowContext(ctx, selectDPE+`WHERE d.environment = ? AND d.label = ? AND d.removed_ms = 0`, env, l))
	return d, one(err, "environment %s has no self-managed DPE %q", env, string(l))
}

// DPEs lists an environment's DPEs by label, with the environment itself. It returns NotFound if that does not exist.
func (d *DB) DPEs(ctx context.Context, env sim.EnvironmentID) (e Environment, out []DPE, err error) {
	err = d.db.View(ctx, func(tx *sqlite.Tx) error {
		if e, err = getEnvironment(ctx, tx, env); err != nil {
			return err
		}
		out, err = listDPEs(ctx, tx, env)
		return err
	})
	return e, out, err
}

// DPE gives one DPE with its environment, or NotFound.
func (d *DB) DPE(ctx context.Context, env sim.EnvironmentID, l sim.Label) (e Environment, x DPE, err error) {
	err = d.db.View(ctx, func(tx *sqlite.Tx) error {
		if e, err = getEnvironment(ctx, tx, env); err != nil {
			return err
		}
		x, err = getDPE(ctx, tx, env, l)
		return err
	})
	return e, x, err
}

// AddDPE stores a DPE for the environment's release, with its first revision, and gives it back as stored.
// It returns Conflict if the label is in use, Exhausted if the contract or the licence allows no more, and Forbidden if the
// contract allows no exceptional sizing.
func (d *DB) AddDPE(ctx context.Context, x DPE) (DPE, error) {
	err := d.db.Update(ctx, func(tx *sqlite.Tx) error {
		e, err := readyEnvironment(ctx, tx, x.Environment)
		if err != nil {
			return err
		}
		if !e.Offering.SelfManaged() {
			return sim.Errorf(sim.Forbidden, "environment %s has the offering tier %s, which has no self-managed DPEs", e.ID, e.Offering).
				WithHelp("they are available in the Professional tier and above: use an environment of such a tier")
		}
		if x.Label == api.ManagedLabel {
			return api.InField("name", sim.Errorf(sim.Conflict, "the label %s, derived from the name %q, is that of the Ataccama-managed DPEs", x.Label, x.Name).WithHelp("use another name"))
		}
		others, err := listDPEs(ctx, tx, x.Environment)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(others, func(o DPE) bool { return o.Label == x.Label }); i >= 0 {
			return api.InField("name", sim.Errorf(sim.Conflict, "the label %s, derived from the name %q, is that of DPE %q in environment %s", x.Label, x.Name, others[i].Name, e.ID).
				WithHelp("use another name: a label is unique in its environment"))
		}
		if err := checkEngines(e, others); err != nil {
			return err
		}
		if err := checkReplicas(e, others, e.Managed.Replicas, x.Replicas); err != nil {
			return err
		}
		if x.Sizing, err = exceptional(e, x.Sizing); err != nil {
			return err
		}
		err = tx.QueryRowContext(ctx, `INSERT INTO dpe
  (environment, label, name, revision, created_ms, key, key_id, access_key, secret_key, registry_user, registry_token, registry_expires_ms)
VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
			x.Environment, x.Label, x.Name, sqlite.Millis(tx.Now), x.Key.Reveal(), x.KeyID, x.AccessKey, x.SecretKey.Reveal(),
			x.RegistryUser, x.RegistryToken.Reveal(), expiry(x.RegistryExpires)).Scan(&x.ID)
		if err != nil {
			return err
		}
		x.Release, x.Revision = e.Release, 0
		if x, err = revise(ctx, tx, x, x.Inputs); err != nil {
			return err
		}
		if err := touch(ctx, tx, x.Environment); err != nil {
			return err
		}
		_, err = change(ctx, tx, x.act(actAdded))
		return err
	})
	return x, err
}

// EditDPE does an edit and gives the DPE before and after; a new revision if anything changed. It returns Conflict unless
// revision is the current one or 0, Exhausted if the licence allows no more replicas, and Forbidden if the contract allows
// no exceptional sizing.
func (d *DB) EditDPE(ctx context.Context, env sim.EnvironmentID, l sim.Label, edit Edit, revision int64) (before, after DPE, err error) {
	err = d.db.Update(ctx, func(tx *sqlite.Tx) error {
		e, err := readyEnvironment(ctx, tx, env)
		if err != nil {
			return err
		}
		if before, err = getDPE(ctx, tx, env, l); err != nil {
			return err
		}
		after = before
		if err := before.unchanged(ctx, tx, revision); err != nil {
			return err
		}
		in, err := edit.of(e, before.Inputs)
		if err != nil {
			return err
		}
		if slices.Equal(in.Drivers, before.Drivers) && in.Replicas == before.Replicas && in.Sizing == before.Sizing {
			return nil
		}
		all, err := listDPEs(ctx, tx, env)
		if err != nil {
			return err
		}
		others := slices.DeleteFunc(all, func(o DPE) bool { return o.Label == l })
		if in.Replicas > before.Replicas { // fewer always goes, even above a limit that was lowered
			if err := checkReplicas(e, others, e.Managed.Replicas, in.Replicas); err != nil {
				return err
			}
		}
		if after, err = revise(ctx, tx, before, in); err != nil {
			return err
		}
		_, err = change(ctx, tx, after.act(actEdited))
		return err
	})
	return before, after, err
}

// expiry is how the end of a token stands in its column.
func expiry(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return sqlite.Millis(t)
}

// RotateToken gives a DPE another access token for the registry. It returns NotFound if there is no such DPE.
func (d *DB) RotateToken(ctx context.Context, env sim.EnvironmentID, l sim.Label, token sim.Secret, expires time.Time) error {
	return d.db.Update(ctx, func(tx *sqlite.Tx) error {
		if _, err := readyEnvironment(ctx, tx, env); err != nil {
			return err
		}
		x, err := getDPE(ctx, tx, env, l)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE dpe SET registry_token = ?, registry_expires_ms = ? WHERE id = ?`, token.Reveal(), expiry(expires), x.ID)
		if err != nil {
			return err
		}
		if err := touch(ctx, tx, env); err != nil {
			return err
		}
		_, err = record(ctx, tx, Act{Action: "registry token rotated", Environment: env, DPE: l})
		return err
	})
}

// act is something that was done to a DPE.
func (d DPE) act(action string) Act {
	drivers := make([]string, len(d.Drivers))
	for i, x := range d.Drivers {
		drivers[i] = string(x)
	}
	detail := map[string]string{
		"drivers": strings.Join(drivers, ", "), "replicas": strconv.Itoa(d.Replicas), "revision": strconv.FormatInt(d.Revision, 10),
	}
	if words := SizingWords(d.Sizing); words != "" {
		detail["sizing"] = words
	}
	return Act{Action: action, Environment: d.Environment, DPE: d.Label, Detail: detail}
}

// forget removes DPEs, at the first argument in milliseconds, with their secrets.
const forget = `UPDATE dpe SET removed_ms = ?, key = '', secret_key = '', registry_token = '' `

// RemoveDPE removes a DPE for ever and gives it as it was. Its replicas are free at once. It returns Conflict unless revision
// is the current one or 0.
func (d *DB) RemoveDPE(ctx context.Context, env sim.EnvironmentID, l sim.Label, revision int64) (DPE, error) {
	var x DPE
	err := d.db.Update(ctx, func(tx *sqlite.Tx) error {
		if _, err := getEnvironment(ctx, tx, env); err != nil {
			return err
		}
		var err error
		if x, err = getDPE(ctx, tx, env, l); err != nil {
			return err
		}
		if err := x.unchanged(ctx, tx, revision); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, forget+`WHERE id = ?`, sqlite.Millis(tx.Now), x.ID); err != nil {
			return err
		}
		if err := touch(ctx, tx, env); err != nil {
			return err
		}
		_, err = change(ctx, tx, x.act(actRemoved))
		return err
	})
	return x, err
}

// revise gives x its next revision, made of in.
func revise(ctx context.Context, tx *sqlite.Tx, x DPE, in Inputs) (DPE, error) {
	drivers, err := text(in.Drivers)
	if err != nil {
		return x, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO revision (dpe, number, release, drivers, replicas, sizing, created_ms) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		x.ID, x.Revision+1, in.Release, drivers, in.Replicas, sizing(in.Sizing), sqlite.Millis(tx.Now))
	if err != nil {
		return x, err
	}
	if _, err = tx.ExecContext(ctx, `UPDATE dpe SET revision = ? WHERE id = ?`, x.Revision+1, x.ID); err != nil {
		return x, err
	}
	return getDPE(ctx, tx, x.Environment, x.Label)
}

// checkEngines returns Exhausted if the contract allows e no more DPEs.
func checkEngines(e Environment, there []DPE) error {
	allowed := e.Usage.EnginesAllowed
	if len(there) < allowed {
		return nil
	}
	labels := make([]string, len(there))
	for i, o := range there {
		labels[i] = string(o.Label)
	}
	return sim.Errorf(sim.Exhausted, "environment %s cannot have another self-managed DPE: the contract allows %d engines, and %d are used: %s",
		e.ID, allowed, len(there), orNone(labels)).
		WithHelp("remove a DPE that is not needed any more, or use another environment: the contract counts for each")
}

// checkReplicas returns Exhausted if the licence does not allow e so many replicas beside those of others and the managed
// ones.
func checkReplicas(e Environment, others []DPE, managed, wanted int) error {
	used, by := managed, make([]string, len(others))
	for i, o := range others {
		used += o.Replicas
		by[i] = fmt.Sprintf("%s %d", o.Label, o.Replicas)
	}
	if managed > 0 {
		by = append(by, fmt.Sprintf("Ataccama-managed %d", managed))
	}
	licensed := e.Usage.ReplicasLicensed
	if wanted <= licensed-used {
		return nil
	}
	return api.InField("replicas", sim.Errorf(sim.Exhausted, "environment %s has no room for %d replicas: the licence allows %d, others use %d (%s) and %d are free",
		e.ID, wanted, licensed, used, orNone(by), max(licensed-used, 0)).
		WithHelp("ask for fewer replicas, or free some by editing or removing another DPE; the limit is shared by all DPEs of the environment, self-managed and Ataccama-managed"))
}

func orNone(s []string) string {
	if len(s) == 0 {
		return "none"
	}
	return strings.Join(s, ", ")
}

// Revision gives what a revision of a DPE was made of, or NotFound.
func (d *DB) Revision(ctx context.Context, id, number int64) (Inputs, error) {
	var in Inputs
	err := d.db.View(ctx, func(tx *sqlite.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT release, drivers, replicas, sizing FROM revision WHERE dpe = ? AND number = ?`, id, number).
			Scan(&in.Release, (*list[sim.Driver])(&in.Drivers), &in.Replicas, (*sizing)(&in.Sizing))
		return one(err, "the DPE has no revision %d", number)
	})
	return in, err
}

// RevisionTimes gives when each revision of a DPE was made, from the first.
func (d *DB) RevisionTimes(ctx context.Context, id int64) ([]time.Time, error) {
	var out []time.Time
	err := d.db.View(ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT created_ms FROM revision WHERE dpe = ? ORDER BY number`, id)
		out, err = sqlite.Collect(rows, err, func(r *sql.Rows) (time.Time, error) {
			var ms int64
			err := r.Scan(&ms)
			return sqlite.FromMillis(ms), err
		})
		return err
	})
	return out, err
}

// LastRevision gives the newest revision of a DPE that was made for a release, or NotFound.
func (d *DB) LastRevision(ctx context.Context, x DPE, r sim.Release) (number int64, in Inputs, err error) {
	err = d.db.View(ctx, func(tx *sqlite.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT number, release, drivers, replicas, sizing FROM revision WHERE dpe = ? AND release = ? ORDER BY number DESC LIMIT 1`, x.ID, r).
			Scan(&number, &in.Release, (*list[sim.Driver])(&in.Drivers), &in.Replicas, (*sizing)(&in.Sizing))
		return one(err, "no values.yaml of DPE %s was ever generated for release %s", x.Label, r)
	})
	return number, in, err
}

// SetSeen records what is connected of a DPE, or that nothing is any more.
func (d *DB) SetSeen(ctx context.Context, id int64, s Seen) error {
	releases, err := text(s.Releases)
	if err != nil {
		return err
	}
	disconnected := int64(0)
	if !s.Disconnected.IsZero() {
		disconnected = sqlite.Millis(s.Disconnected)
	}
	return d.db.Update(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE dpe SET seen_revision = ?, seen_releases = ?, disconnected_ms = ? WHERE id = ?`,
			s.Revision, releases, disconnected, id)
		return err
	})
}
