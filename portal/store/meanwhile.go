package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/sqlite"
)

// What changes an environment, as the audit log tells it.
const (
	actCreated   = "environment created"
	actUpgraded  = "environment upgraded"
	actOwned     = "environment owner changed"
	actDeletion  = "environment deletion requested"
	actAllowlist = "allowlist changed"
	actManaged   = "Ataccama-managed DPEs scaled"
	actAdded     = "dpe added"
	actEdited    = "dpe edited"
	actRemoved   = "dpe removed"
)

// change writes what changes an environment into the audit log and makes that the environment's revision, which it gives.
func change(ctx context.Context, tx *sqlite.Tx, act Act) (revision int64, err error) {
	if revision, err = record(ctx, tx, act); err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE environment SET revision = ? WHERE id = ?`, revision, act.Environment)
	return revision, err
}

// unchanged returns Conflict unless revision is e's, or 0.
func (e Environment) unchanged(ctx context.Context, tx *sqlite.Tx, revision int64) error {
	if revision == 0 || revision == e.Revision {
		return nil
	}
	return meanwhile(ctx, tx, fmt.Sprintf("environment %s was changed meanwhile", e.ID), told{
		env: e.ID, since: revision, most: mostRead,
		acts: []string{actCreated, actUpgraded, actOwned, actDeletion, actAllowlist, actManaged, actAdded, actEdited, actRemoved},
	})
}

// unchanged returns Conflict unless revision is d's, or 0.
func (d DPE) unchanged(ctx context.Context, tx *sqlite.Tx, revision int64) error {
	if revision == 0 || revision == d.Revision {
		return nil
	}
	return meanwhile(ctx, tx, fmt.Sprintf("DPE %s was changed meanwhile, its revision is %d, not %d", d.Label, d.Revision, revision), told{
		env: d.Environment, dpe: d.Label, acts: []string{actEdited, actUpgraded}, most: max(d.Revision-revision, 0), // each makes one revision
	})
}

// allowlistUnchanged returns Conflict unless version is that of e's allowlist, or 0.
func (e Environment) allowlistUnchanged(ctx context.Context, tx *sqlite.Tx, version int64) error {
	if version == 0 || version == e.Allowlist.Version {
		return nil
	}
	return meanwhile(ctx, tx, fmt.Sprintf("the allowlist of environment %s was changed meanwhile, its version is %d, not %d", e.ID, e.Allowlist.Version, version), told{
		env: e.ID, acts: []string{actAllowlist}, most: max(e.Allowlist.Version-version, 0), // each makes one version
	})
}

// mostTold bounds how many changes a person is told of, mostRead how many are counted.
const (
	mostTold = 3
	mostRead = 1000
)

// told says which changes of an environment are to be told.
type told struct {
	env   sim.EnvironmentID
	dpe   sim.Label // only those that are this one's or the whole environment's; empty: all
	acts  []string
	since int64 // seq
	most  int64 // the newest so many
}

// meanwhile is the error of who would change what somebody else has changed since it was read: it tells what was done and
// by whom, the newest first.
func meanwhile(ctx context.Context, tx *sqlite.Tx, what string, t told) error {
	acts, err := json.Marshal(t.acts)
	if err != nil {
		return err
	}
	rows, err := tx.QueryContext(ctx, `
SELECT a.at_ms, COALESCE(u.name, a.user), a.action, a.dpe, a.detail FROM audit a LEFT JOIN user u ON u.id = a.user
WHERE a.environment = ?1 AND a.seq > ?2 AND a.action IN (SELECT value FROM json_each(?3)) AND (?4 = '' OR a.dpe IN ('', ?4))
ORDER BY a.seq DESC LIMIT ?5`, t.env, t.since, string(acts), t.dpe, t.most)
	lines, err := sqlite.Collect(rows, err, changeWords)
	if err != nil {
		return err
	}
	if more := len(lines) - mostTold; more > 0 {
		lines = append(lines[:mostTold], fmt.Sprintf("and %d more before that", more))
	}
	return sim.Errorf(sim.Conflict, "%s: %s", what, orNone(lines)).WithHelp("look at it as it is now, and do it again if you still want to")
}

// changeWords tells of a change for a person.
func changeWords(r *sql.Rows) (string, error) {
	var at int64
	var by, action, dpe, text string
	if err := r.Scan(&at, &by, &action, &dpe, &text); err != nil {
		return "", err
	}
	detail := map[string]string{}
	if err := json.Unmarshal([]byte(text), &detail); err != nil {
		return "", err
	}
	if dpe != "" {
		action += " (" + dpe + ")"
	}
	out := fmt.Sprintf("%s by %s at %s", action, by, sqlite.FromMillis(at).UTC().Format(time.DateTime+" MST"))
	var words []string
	for _, k := range slices.Sorted(maps.Keys(detail)) {
		words = append(words, k+" "+detail[k])
	}
	if len(words) > 0 {
		out += " (" + strings.Join(words, ", ") + ")"
	}
	return out, nil
}
