package portal

import (
	"fmt"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

func (p *Portal) catalogueRoutes(g *echo.Group) {
	g.GET("/organisation", p.getOrganisation)
	g.GET("/releases", func(c echo.Context) error { return ok(c, chart.Releases()) })
	g.GET("/drivers", func(c echo.Context) error { return ok(c, sim.Drivers()) })
	g.GET("/sizing", getSizing)
}

// getOrganisation handles GET /organisation.
func (p *Portal) getOrganisation(c echo.Context) error {
	o, err := p.store.Organisation(c.Request().Context())
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
func sizing() ([]api.Sizing, error) {
	var out []api.Sizing
	for _, t := range sim.Tiers() {
		s, err := t.Sizing()
		if err != nil {
			return nil, err
		}
		out = append(out, api.Sizing{
			Tier: t, CPURequest: s.CPURequest, CPULimit: s.CPULimit, MemoryRequest: s.MemoryRequest, MemoryLimit: s.MemoryLimit, Disk: s.Disk,
		})
	}
	return out, nil
}
