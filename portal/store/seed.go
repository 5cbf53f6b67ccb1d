package store

import (
	"context"
	"fmt"
	"time"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim/sqlite"
)

// The agreements of a new portal's organisations. Assumption: the product's documentation gives no figures.
const (
	enginesPerEnvironment  = 5
	replicasPerEnvironment = 10
	licenceTerm            = 365 * 24 * time.Hour
)

// DemoPassword is what every demo user can sign in with, beside being picked.
const DemoPassword = "rehearsal"

// DemoHash is bcrypt of [DemoPassword] at its default cost: hashing it at each start would take longer than the start.
const DemoHash = "$2a$10$2io9A20oRgNgrrb1W4O.zegqE1tQCJhau0FO85rZVTm50EoqMveQC"

// TrainerID is the user that the simulator's own command line acts for.
const TrainerID = "tess"

// demo gives the organisations and users of a new portal: two organisations, so that one can be seen not to see the other,
// and each role.
func demo() (organisations []api.Organisation, users []api.User) {
	return []api.Organisation{{ID: "acme", Name: "Acme"}, {ID: "globex", Name: "Globex"}},
		[]api.User{
			{ID: TrainerID, Name: "Tess Trainer", Organisation: "acme", Role: api.RoleAdmin, Trainer: true},
			{ID: "ada", Name: "Ada Admin", Organisation: "acme", Role: api.RoleAdmin},
			{ID: "otto", Name: "Otto Owner", Organisation: "acme", Role: api.RoleOwner},
			{ID: "mia", Name: "Mia Member", Organisation: "acme", Role: api.RoleMember},
			{ID: "gwen", Name: "Gwen Globex", Organisation: "globex", Role: api.RoleAdmin},
		}
}

// seed gives a database without users the demo organisations and users.
func seed(ctx context.Context, tx *sqlite.Tx) error {
	var have int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM user`).Scan(&have); err != nil || have > 0 {
		return err
	}
	organisations, users := demo()
	for _, o := range organisations {
		_, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO organisation VALUES (?, ?, ?, ?, ?)`,
			o.ID, o.Name, enginesPerEnvironment, replicasPerEnvironment, sqlite.Millis(tx.Now.Add(licenceTerm)))
		if err != nil {
			return fmt.Errorf("write organisation %s: %w", o.ID, err)
		}
	}
	for _, u := range users {
		u.Demo, u.Created = true, tx.Now
		if err := insertUser(ctx, tx, User{User: u, Password: DemoHash}); err != nil {
			return fmt.Errorf("write user %s: %w", u.ID, err)
		}
	}
	return nil
}
