package portal

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

func (p *Portal) catalogueRoutes(r *router) {
	r.api(http.MethodGet, "/organisation", needUser, p.getOrganisation, op("organisation", "Give one's organisation with contract, licence and usage").gives(200, api.Organisation{}))
	r.api(http.MethodGet, "/releases", needUser, func(c echo.Context) error { return catalogue(c, chart.Releases()) }, op("releases", "List the platform releases of the catalogue, oldest first").gives(200, []sim.Release{}).asked())
	r.api(http.MethodGet, "/drivers", needUser, func(c echo.Context) error { return catalogue(c, sim.Drivers()) }, op("drivers", "List the drivers that can be chosen").gives(200, []sim.Driver{}).asked())
	r.api(http.MethodGet, "/sizing", needUser, getSizing, op("sizing", "Give the Service sizing table").gives(200, []api.TierSizing{}).asked())
}

// getOrganisation handles GET /organisation.
func (p *Portal) getOrganisation(c echo.Context) error {
	ctx := c.Request().Context()
	o, err := p.store.Organisation(ctx, identityOf(ctx).Organisation)
	if err != nil {
		return fmt.Errorf("read organisation: %w", err)
	}
	return ok(c, o)
}

// getSizing handles GET /sizing.
func getSizing(c echo.Context) error {
	table, err := sizing()
	if err != nil {
		return err
	}
	return catalogue(c, table)
}

// catalogue answers with what is the same as long as dpesim is.
func catalogue(c echo.Context, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return okUnlessKnown(c, b)
}

// sizing is the Service sizing table.
func sizing() ([]api.TierSizing, error) {
	var out []api.TierSizing
	for _, t := range sim.Tiers() {
		s, err := t.Sizing()
		if err != nil {
			return nil, err
		}
		out = append(out, api.TierSizing{Tier: t, Sizing: s})
	}
	return out, nil
}
