package store

import (
	"context"
	"slices"
	"strconv"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/sqlite"
)

// Managed is the Ataccama-managed DPEs of an environment. Its secrets are there from the first scaling on.
type Managed struct {
	Replicas  int
	Key       sim.Secret
	KeyID     sim.KeyID
	AccessKey string
	SecretKey sim.Secret
}

// ScaleManaged says how many Ataccama-managed replicas an environment shall have, with secrets for the first time, and
// gives the environment before and after. It returns Conflict unless revision is the environment's or 0, and Exhausted if the
// licence allows no more.
func (d *DB) ScaleManaged(ctx context.Context, env sim.EnvironmentID, replicas int, secrets Managed, revision int64) (before, after Environment, err error) {
	err = d.db.Update(ctx, func(tx *sqlite.Tx) error {
		if before, err = readyEnvironment(ctx, tx, env); err != nil {
			return err
		}
		if err := before.unchanged(ctx, tx, revision); err != nil {
			return err
		}
		after = before
		was := before.Managed
		if replicas == was.Replicas {
			return nil
		}
		dpes, err := listDPEs(ctx, tx, env)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(dpes, func(x DPE) bool { return x.Label == api.ManagedLabel }) { // of before the label was reserved
			return sim.Errorf(sim.Conflict, "a self-managed DPE of environment %s has the label %s", env, api.ManagedLabel).WithHelp("remove it first: the Ataccama-managed DPEs need that label")
		}
		if replicas > was.Replicas {
			if err := checkReplicas(before, dpes, 0, replicas); err != nil {
				return err
			}
		}
		if was.KeyID != "" {
			secrets = was
		}
		_, err = tx.ExecContext(ctx, `UPDATE environment SET managed_replicas = ?, managed_key = ?, managed_key_id = ?, managed_access_key = ?, managed_secret_key = ? WHERE id = ?`,
			replicas, secrets.Key.Reveal(), secrets.KeyID, secrets.AccessKey, secrets.SecretKey.Reveal(), env)
		if err != nil {
			return err
		}
		if err := touch(ctx, tx, env); err != nil {
			return err
		}
		if after, err = getEnvironment(ctx, tx, env); err != nil {
			return err
		}
		after.Revision, err = change(ctx, tx, Act{Action: actManaged, Environment: env, Detail: map[string]string{
			"from": strconv.Itoa(was.Replicas), "to": strconv.Itoa(replicas),
		}})
		return err
	})
	return before, after, err
}
