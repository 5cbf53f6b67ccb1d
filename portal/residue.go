package portal

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/residue"
)

func (p *Portal) residueRoutes(r *router) {
	r.api(http.MethodGet, "/residue", needTrainer, p.getResidue, op("residue", "List what installations have left on every side").gives(200, []residue.Entry{}).query("environment", "Only this one's", sim.EnvironmentID("")).query("dpe", "Only this one's", sim.Label("")).query("all", "Also what is in use or gone", false))
}

// getResidue handles GET /residue: what installations have left on every side.
func (p *Portal) getResidue(c echo.Context) error {
	f := residue.Filter{Environment: sim.EnvironmentID(c.QueryParam("environment")), DPE: sim.Label(c.QueryParam("dpe"))}
	if s := c.QueryParam("all"); s != "" {
		all, err := strconv.ParseBool(s)
		if err != nil {
			return api.InField("all", sim.Errorf(sim.Invalid, "%.20q is no answer to whether all are wanted", s).WithHelp("use all=true or all=false"))
		}
		f.All = all
	}
	out, err := p.opts.Cloud.Residue(c.Request().Context(), f)
	if err != nil {
		return fmt.Errorf("list residue: %w", err)
	}
	return ok(c, notNil(out))
}

// Holding is a row of the portal that belongs to an environment or one of its DPEs.
type Holding struct {
	Environment sim.EnvironmentID
	Label       sim.Label // empty: the row is the environment's own
	Revision    int64     // of the DPE's generated files; 0: the row is the DPE's own
	Created     time.Time
}

// RevisionName names a revision: "edge-eu/3".
func (h Holding) RevisionName() string {
	return string(h.Label) + "/" + strconv.FormatInt(h.Revision, 10)
}

// Holdings lists the rows of all environments, without secrets: by environment, label and revision.
func (p *Portal) Holdings(ctx context.Context) ([]Holding, error) {
	wanted, err := p.store.Wanted(ctx)
	if err != nil {
		return nil, fmt.Errorf("list holdings: %w", err)
	}
	var out []Holding
	for _, w := range wanted {
		out = append(out, Holding{Environment: w.Environment.ID, Created: w.Environment.Created})
		for _, d := range w.DPEs {
			out = append(out, Holding{Environment: w.Environment.ID, Label: d.Label, Created: d.Created})
			times, err := p.store.RevisionTimes(ctx, d.ID)
			if err != nil {
				return nil, fmt.Errorf("list revisions of DPE %s: %w", d.Label, err)
			}
			for i, at := range times {
				out = append(out, Holding{Environment: w.Environment.ID, Label: d.Label, Revision: int64(i + 1), Created: at})
			}
		}
	}
	return out, nil
}
