package portal

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
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
