package portal

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
)

func (p *Portal) healthRoutes(r *router) {
	r.page(http.MethodGet, "/livez", needNothing, func(c echo.Context) error { return c.String(http.StatusOK, "ok") })
	r.page(http.MethodGet, "/readyz", needNothing, p.getReady)
}

// getReady handles GET /readyz: 200 if every part is ready, else 503; with ?verbose each part is listed.
func (p *Portal) getReady(c echo.Context) error {
	r := p.readiness(c.Request().Context())
	code, word := http.StatusOK, "ok"
	if !r.Ready {
		code, word = http.StatusServiceUnavailable, "not ready; see /readyz?verbose"
	}
	if c.QueryParams().Has("verbose") {
		return c.JSON(code, r)
	}
	return c.String(code, word)
}

func (p *Portal) readiness(ctx context.Context) api.Readiness {
	own := api.Check{Name: "portal", OK: true}
	if _, err := p.store.User(ctx, store.TrainerID); err != nil {
		own.OK, own.Detail = false, "the database does not answer; the cause is in dpesim's log"
		p.opts.Log.Warn("portal database did not answer", "err", err)
	}
	r := api.Readiness{Ready: true, Checks: append([]api.Check{own}, p.opts.Cloud.Ready(ctx)...)}
	for _, c := range r.Checks {
		r.Ready = r.Ready && c.OK
	}
	return r
}

// healthTime bounds how long a page waits for an environment's services to answer, in the machine's time.
const healthTime = time.Second

// getEnvironmentHealth handles GET /environments/{env}/health.
func (p *Portal) getEnvironmentHealth(c echo.Context) error {
	out, err := p.health(c.Request().Context(), environmentOf(c))
	if err != nil {
		return err
	}
	return ok(c, out)
}

// health tells how an environment's services are; an environment that is not ready has none.
func (p *Portal) health(ctx context.Context, env sim.EnvironmentID) ([]api.Check, error) {
	e, err := p.store.Environment(ctx, env)
	if err != nil {
		return nil, err
	}
	if e.Phase != api.PhaseReady {
		return []api.Check{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	return notNil(p.opts.Cloud.Health(ctx, env)), nil
}

// postRestartDPM handles POST /environments/{env}/dpm/restart.
func (p *Portal) postRestartDPM(c echo.Context) error {
	ctx, env := c.Request().Context(), environmentOf(c)
	if _, err := p.store.Environment(ctx, env); err != nil {
		return err
	}
	if err := p.opts.Cloud.RestartDPM(ctx, env); err != nil {
		return fmt.Errorf("restart the DPM of %s: %w", env, err)
	}
	err := p.change(ctx, func() (sim.Event, error) {
		return sim.Event{Environment: env, What: dpmRestarted}, p.store.Record(ctx, store.Act{Action: "DPM restarted", Environment: env})
	})
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
