package store

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/sqlite"
)

// SetAllowlist changes who may reach an environment and gives the environment before and after; a new version if anything
// changed. It returns Conflict unless version is the current one or 0.
func (d *DB) SetAllowlist(ctx context.Context, env sim.EnvironmentID, on bool, entries []api.AllowlistEntry, version int64) (before, after Environment, err error) {
	err = d.db.Update(ctx, func(tx *sqlite.Tx) error {
		if before, err = readyEnvironment(ctx, tx, env); err != nil {
			return err
		}
		after = before
		if err := before.allowlistUnchanged(ctx, tx, version); err != nil {
			return err
		}
		if on == before.Allowlist.On && slices.Equal(entries, before.Allowlist.Entries) {
			return nil
		}
		list, err := text(entries)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE environment SET allowlist_on = ?, allowlist = ?, allowlist_version = allowlist_version + 1 WHERE id = ?`, on, list, env)
		if err != nil {
			return err
		}
		if err := touch(ctx, tx, env); err != nil {
			return err
		}
		if after, err = getEnvironment(ctx, tx, env); err != nil {
			return err
		}
		after.Revision, err = change(ctx, tx, Act{Action: actAllowlist, Environment: env, Detail: AllowlistDetail(after.Allowlist)})
		return err
	})
	return before, after, err
}

// AllowlistDetail is what audit log and timeline tell of an allowlist.
func AllowlistDetail(a api.Allowlist) map[string]string {
	ranges := make([]string, len(a.Entries))
	for i, e := range a.Entries {
		ranges[i] = e.CIDR
	}
	return map[string]string{"on": strconv.FormatBool(a.On), "ranges": strings.Join(ranges, " "), "version": strconv.FormatInt(a.Version, 10)}
}
