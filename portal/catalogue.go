package portal

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

func (p *Portal) catalogueRoutes(r *router) {
	r.api(http.MethodGet, "/organisation", needUser, p.getOrganisation, op("organisation", "Give one's organisation with contract, licence and usage").gives(200, api.Organisation{}))
	r.api(http.MethodGet, "/releases", needUser, func(c echo.Context) error { return ok(c, chart.Releases()) }, op("releases", "List the platform releases of the catalogue, oldest first").gives(200, []sim.Release{}))
	r.api(http.MethodGet, "/drivers", needUser, func(c echo.Context) error { return ok(c, sim.Drivers()) }, op("drivers", "List the drivers that can be chosen").gives(200, []sim.Driver{}))
	r.api(http.MethodGet, "/sizing", needUser, getSizing, op("sizing", "Give the Service sizing table").gives(200, []api.TierSizing{}))
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
	return ok(c, table)
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
