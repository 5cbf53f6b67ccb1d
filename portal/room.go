package portal

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
)

func (p *Portal) roomRoutes(r *router) {
	r.api(http.MethodGet, "/clock", needUser, func(c echo.Context) error { return ok(c, p.room.Time()) }, op("clock", "Tell the simulator's time").gives(200, api.Clock{}))
	r.api(http.MethodPost, "/clock", needTrainer, p.postClock, op("moveClock", "Move the simulator's clock; what falls due by an advance has been done when the answer comes").takes(api.ClockMove{}).gives(200, api.Clock{}))
	r.api(http.MethodGet, "/fault-points", needTrainer, func(c echo.Context) error { return ok(c, p.opts.Simulator.FaultPoints()) },
		op("faultPoints", "List where something can be broken on purpose").gives(200, []api.FaultPoint{}))
	r.api(http.MethodGet, "/faults", needTrainer, func(c echo.Context) error { return ok(c, p.room.Armed()) },
		op("faults", "List what is broken on purpose, in the order of arming").gives(200, []api.Fault{}))
	r.api(http.MethodPost, "/faults", needTrainer, p.postFault, op("armFault", "Break something on purpose").takes(api.Fault{}).gives(201, api.Fault{}))
	r.api(http.MethodDelete, "/faults/:fault", needTrainer, p.deleteFault, op("disarmFault", "Mend what is broken on purpose").gives(204, nil))
	r.api(http.MethodGet, "/connections", needTrainer, func(c echo.Context) error { return ok(c, notNil(p.opts.Simulator.Connections())) },
		op("connections", "List what is open through the edge").gives(200, []api.Connection{}))
}

// postClock handles POST /clock.
func (p *Portal) postClock(c echo.Context) error {
	var m api.ClockMove
	if err := decode(c, &m); err != nil {
		return err
	}
	if err := p.room.MoveClock(c.Request().Context(), m); err != nil {
		return err
	}
	return ok(c, p.room.Time())
}

// postFault handles POST /faults.
func (p *Portal) postFault(c echo.Context) error {
	var f api.Fault
	if err := decode(c, &f); err != nil {
		return err
	}
	if err := p.arm(c.Request().Context(), f); err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, f)
}

// arm breaks something on purpose, under a name as people give names.
func (p *Portal) arm(ctx context.Context, f api.Fault) error {
	if _, err := checkName(f.Name); err != nil {
		return err
	}
	return p.room.Arm(ctx, f)
}

// deleteFault handles DELETE /faults/{fault}.
func (p *Portal) deleteFault(c echo.Context) error {
	if err := p.room.Disarm(c.Request().Context(), c.Param("fault")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// product is what the control room sees of the product.
type product struct{ p *Portal }

// Environments lists the environments that who asks sees.
func (s product) Environments(ctx context.Context) ([]api.Environment, error) {
	return s.p.environments(ctx)
}

// Engines lists what is connected to an environment's DPM now.
func (s product) Engines(ctx context.Context, env sim.EnvironmentID) ([]api.Engine, error) {
	return s.p.engines(ctx, env)
}

// Tell tells on the bus and in the audit log what was done to the simulator.
func (s product) Tell(ctx context.Context, e sim.Event) error {
	s.p.publish(ctx, 0, e)
	return s.p.store.Record(ctx, store.Act{Action: e.What, Detail: e.Detail})
}
