package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/sqlite"
)

// Environment is the row of an environment, with what its DPEs use.
type Environment struct {
	ID           sim.EnvironmentID
	Name         string
	Organisation string
	Owner        string // user
	api.Location
	Release    sim.Release
	Tier       sim.Tier
	Offering   api.Offering
	Contract   api.EnvironmentContract
	Phase      api.Phase
	Created    time.Time
	Generation int64
	Revision   int64 // of what people see: the seq of the audit log's entry of its last change
	AccessKey  string
	SecretKey  sim.Secret
	Usage      api.Usage
	Allowlist  api.Allowlist
	Managed    Managed
}

const selectEnvironment = `
SELECT e.id, e.name, e.organisation, e.owner, e.cloud, e.region, e.release, e.tier, e.offering,
  e.engines_allowed, e.replicas_allowed, e.exceptional_sizing, e.phase, e.created_ms, e.generation, e.revision, e.access_key, e.secret_key,
  e.allowlist_on, e.allowlist, e.allowlist_version,
  e.managed_replicas, e.managed_key, e.managed_key_id, e.managed_access_key, e.managed_secret_key, COUNT(d.id), COALESCE(SUM(r.replicas), 0)
FROM environment e
LEFT JOIN dpe d ON d.environment = e.id AND d.removed_ms = 0
LEFT JOIN revision r ON r.dpe = d.id AND r.number = d.revision
`

func scanEnvironment(row interface{ Scan(...any) error }) (Environment, error) {
	var e Environment
	var created int64
	err := row.Scan(&e.ID, &e.Name, &e.Organisation, &e.Owner, &e.Cloud, &e.Region, &e.Release, &e.Tier, &e.Offering,
		&e.Contract.Engines, &e.Contract.Replicas, &e.Contract.ExceptionalSizing, &e.Phase, &created, &e.Generation, &e.Revision, &e.AccessKey, &e.SecretKey,
		&e.Allowlist.On, (*list[api.AllowlistEntry])(&e.Allowlist.Entries), &e.Allowlist.Version,
		&e.Managed.Replicas, &e.Managed.Key, &e.Managed.KeyID, &e.Managed.AccessKey, &e.Managed.SecretKey, &e.Usage.Engines, &e.Usage.Replicas)
	e.Created = sqlite.FromMillis(created)
	e.Usage.Managed = e.Managed.Replicas
	e.Usage.Replicas += e.Managed.Replicas
	e.Usage.EnginesAllowed, e.Usage.ReplicasLicensed = e.Contract.Engines, e.Contract.Replicas
	return e, err
}

// listEnvironments lists an organisation's environments by id; those of all organisations if that is empty.
func listEnvironments(ctx context.Context, tx *sqlite.Tx, organisation string) ([]Environment, error) {
	rows, err := tx.QueryContext(ctx, selectEnvironment+`WHERE ?1 = '' OR e.organisation = ?1 GROUP BY e.id ORDER BY e.id`, organisation)
	return sqlite.Collect(rows, err, func(r *sql.Rows) (Environment, error) { return scanEnvironment(r) })
}

func getEnvironment(ctx context.Context, tx *sqlite.Tx, id sim.EnvironmentID) (Environment, error) {
	e, err := scanEnvironment(tx.QueryRowContext(ctx, selectEnvironment+`WHERE e.id = ? GROUP BY e.id`, id))
	return e, one(err, "there is no environment %q", string(id))
}

// readyEnvironment gives an environment whose DPEs may be changed, and Conflict for one in another phase.
func readyEnvironment(ctx context.Context, tx *sqlite.Tx, id sim.EnvironmentID) (Environment, error) {
	e, err := getEnvironment(ctx, tx, id)
	if err != nil {
		return e, err
	}
	switch e.Phase {
	case api.PhaseReady:
		return e, nil
	case api.PhaseCreating:
		return e, sim.Errorf(sim.Conflict, "environment %s is still being created", id).
			WithHelp("wait until its phase is ready: a self-managed DPE cannot be installed during the initial creation of an environment")
	case api.PhaseDeleting:
	}
	return e, sim.Errorf(sim.Conflict, "environment %s is being deleted", id).WithHelp("use another environment")
}

// Environments lists an organisation's environments by id; those of all organisations if that is empty.
func (d *DB) Environments(ctx context.Context, organisation string) ([]Environment, error) {
	var out []Environment
	err := d.db.View(ctx, func(tx *sqlite.Tx) (err error) {
		out, err = listEnvironments(ctx, tx, organisation)
		return err
	})
	return out, err
}

// Environment gives one environment, or NotFound.
func (d *DB) Environment(ctx context.Context, id sim.EnvironmentID) (Environment, error) {
	var e Environment
	err := d.db.View(ctx, func(tx *sqlite.Tx) (err error) {
		e, err = getEnvironment(ctx, tx, id)
		return err
	})
	return e, err
}

// CreateEnvironment stores e in phase creating and gives it back as stored. Contract figures that are 0 are those of the
// organisation. It returns Conflict if the id is taken, in whatever organisation: it stands in host names.
func (d *DB) CreateEnvironment(ctx context.Context, e Environment) (Environment, error) {
	err := d.db.Update(ctx, func(tx *sqlite.Tx) error {
		if err := checkFree(ctx, tx, e); err != nil {
			return api.InField("name", err)
		}
		o, err := organisation(ctx, tx, e.Organisation)
		if err != nil {
			return api.InField("organisation", err)
		}
		e.Contract.Engines = cmp.Or(e.Contract.Engines, o.Contract.EnginesPerEnvironment)
		e.Contract.Replicas = cmp.Or(e.Contract.Replicas, o.Licence.ReplicasPerEnvironment)
		g, err := nextGeneration(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO environment
  (id, name, organisation, owner, cloud, region, release, tier, offering, engines_allowed, replicas_allowed, exceptional_sizing,
   phase, created_ms, generation, access_key, secret_key)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			e.ID, e.Name, e.Organisation, e.Owner, e.Cloud, e.Region, e.Release, e.Tier, e.Offering,
			e.Contract.Engines, e.Contract.Replicas, e.Contract.ExceptionalSizing, api.PhaseCreating, sqlite.Millis(tx.Now), g, e.AccessKey, e.SecretKey.Reveal())
		if err != nil {
			return err
		}
		if e, err = getEnvironment(ctx, tx, e.ID); err != nil {
			return err
		}
		e.Revision, err = change(ctx, tx, Act{Action: actCreated, Environment: e.ID, Detail: map[string]string{
			"name": e.Name, "cloud": e.Cloud, "region": e.Region, "release": string(e.Release), "tier": string(e.Tier), "offering": string(e.Offering),
			"engines_allowed": strconv.Itoa(e.Contract.Engines), "replicas_allowed": strconv.Itoa(e.Contract.Replicas),
			"exceptional_sizing": strconv.FormatBool(e.Contract.ExceptionalSizing),
		}})
		return err
	})
	return e, err
}

// checkFree returns Conflict if there is an environment with the id of e. The words name the other only to its own
// organisation.
func checkFree(ctx context.Context, tx *sqlite.Tx, e Environment) error {
	var name, organisation string
	switch err := tx.QueryRowContext(ctx, `SELECT name, organisation FROM environment WHERE id = ?`, e.ID).Scan(&name, &organisation); {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case organisation != e.Organisation:
		return sim.Errorf(sim.Conflict, "environment %q cannot be created: the id %s, made of its name, is taken", e.Name, e.ID).WithHelp("use another name")
	}
	return sim.Errorf(sim.Conflict, "environment %q cannot be created: the id %s, made of its name, is that of environment %q", e.Name, e.ID, name).
		WithHelp("use another name")
}

// DeleteEnvironment brings an environment to phase deleting and removes its DPEs. Nothing changes if it is being deleted
// already. It returns Conflict unless revision is the environment's or 0.
func (d *DB) DeleteEnvironment(ctx context.Context, id sim.EnvironmentID, revision int64) (e Environment, changed bool, err error) {
	err = d.db.Update(ctx, func(tx *sqlite.Tx) error {
		if e, err = getEnvironment(ctx, tx, id); err != nil || e.Phase == api.PhaseDeleting {
			return err
		}
		if err := e.unchanged(ctx, tx, revision); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, forget+`WHERE environment = ? AND removed_ms = 0`, sqlite.Millis(tx.Now), id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE environment SET phase = ? WHERE id = ?`, api.PhaseDeleting, id); err != nil {
			return err
		}
		if err := touch(ctx, tx, id); err != nil {
			return err
		}
		changed = true
		if e, err = getEnvironment(ctx, tx, id); err != nil {
			return err
		}
		e.Revision, err = change(ctx, tx, Act{Action: actDeletion, Environment: id})
		return err
	})
	return e, changed, err
}

// UpgradeEnvironment brings an environment to release r and gives each of its DPEs a revision for it. It returns Conflict
// unless revision is the environment's or 0, and Invalid if r is not newer than what the environment has.
func (d *DB) UpgradeEnvironment(ctx context.Context, id sim.EnvironmentID, r sim.Release, revision int64) (before, after Environment, err error) {
	err = d.db.Update(ctx, func(tx *sqlite.Tx) error {
		if before, err = readyEnvironment(ctx, tx, id); err != nil {
			return err
		}
		if err := before.unchanged(ctx, tx, revision); err != nil {
			return err
		}
		if err := CheckUpgrade(before, r); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE environment SET release = ? WHERE id = ?`, r, id); err != nil {
			return err
		}
		dpes, err := listDPEs(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, x := range dpes {
			next := x.Inputs
			next.Release = r
			if _, err := revise(ctx, tx, x, next); err != nil {
				return err
			}
		}
		if err := touch(ctx, tx, id); err != nil {
			return err
		}
		if after, err = getEnvironment(ctx, tx, id); err != nil {
			return err
		}
		after.Revision, err = change(ctx, tx, Act{Action: actUpgraded, Environment: id, Detail: map[string]string{
			"from": string(before.Release), "to": string(after.Release),
		}})
		return err
	})
	return before, after, err
}

// SetOwner gives an environment another owner and gives it before and after. It returns Conflict unless revision is the
// environment's or 0, and Invalid for who is no user of its organisation or may not own environments.
func (d *DB) SetOwner(ctx context.Context, id sim.EnvironmentID, owner string, revision int64) (before, after Environment, err error) {
	err = d.db.Update(ctx, func(tx *sqlite.Tx) error {
		if before, err = getEnvironment(ctx, tx, id); err != nil {
			return err
		}
		if err := before.unchanged(ctx, tx, revision); err != nil {
			return err
		}
		u, err := scanUser(tx.QueryRowContext(ctx, selectUser+`WHERE id = ? AND organisation = ?`, owner, before.Organisation))
		if err != nil {
			if !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			return api.InField("owner", sim.Errorf(sim.Invalid, "the organisation of environment %s has no user %.40q", id, owner).WithHelp("choose one of its users"))
		}
		if u.Role == api.RoleMember {
			return api.InField("owner", sim.Errorf(sim.Invalid, "%s cannot own environment %s: members change nothing", u.Name, id).
				WithHelp("choose an organisation admin, or a user whose role is environment owner"))
		}
		if after = before; before.Owner == owner {
			return nil
		}
		if _, err := tx.ExecContext(ctx, `UPDATE environment SET owner = ? WHERE id = ?`, owner, id); err != nil {
			return err
		}
		after.Owner = owner
		after.Revision, err = change(ctx, tx, Act{Action: actOwned, Environment: id, Detail: map[string]string{"from": before.Owner, "to": owner}})
		return err
	})
	return before, after, err
}

// CheckUpgrade returns Invalid if r is not newer than what e has.
func CheckUpgrade(e Environment, r sim.Release) error {
	if r.Compare(e.Release) > 0 {
		return nil
	}
	return sim.Errorf(sim.Invalid, "environment %s cannot be upgraded to %s: it has release %s", e.ID, r, e.Release).
		WithHelp("choose a newer release; a platform is never downgraded")
}

// Wanted is what the services of an environment shall be like.
type Wanted struct {
	Environment Environment
	DPEs        []DPE // by label
	Removed     []DPE // not settled yet, without secrets; oldest first
}

// Wanted gives what is wanted of every environment, by id.
func (d *DB) Wanted(ctx context.Context) ([]Wanted, error) {
	var out []Wanted
	err := d.db.View(ctx, func(tx *sqlite.Tx) error {
		environments, err := listEnvironments(ctx, tx, "")
		if err != nil {
			return err
		}
		for _, e := range environments {
			w := Wanted{Environment: e}
			if w.DPEs, err = listDPEs(ctx, tx, e.ID); err != nil {
				return err
			}
			if w.Removed, err = listRemoved(ctx, tx, e.ID); err != nil {
				return err
			}
			out = append(out, w)
		}
		return nil
	})
	return out, err
}

// Settle records that the services of an environment are as its generation wants them and gives the phase that it was
// in: creating is ready now, deleting is gone, and removed DPEs are forgotten. It gives "" and does nothing if the
// environment has another generation by now, or is gone.
func (d *DB) Settle(ctx context.Context, id sim.EnvironmentID, generation int64) (api.Phase, error) {
	var was api.Phase
	err := d.db.Update(ctx, func(tx *sqlite.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT phase FROM environment WHERE id = ? AND generation = ?`, id, generation).Scan(&was)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		switch was {
		case api.PhaseCreating:
			_, err = tx.ExecContext(ctx, `UPDATE environment SET phase = ? WHERE id = ?`, api.PhaseReady, id)
		case api.PhaseReady:
			_, err = tx.ExecContext(ctx, `DELETE FROM dpe WHERE environment = ? AND removed_ms <> 0`, id)
		case api.PhaseDeleting:
			_, err = tx.ExecContext(ctx, `DELETE FROM environment WHERE id = ?`, id)
		}
		return err
	})
	return was, err
}
