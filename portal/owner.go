package portal

import (
	"context"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

func (p *Portal) ownerRoutes(r *router) {
	r.api(http.MethodPut, "/environments/:env/owner", needAdmin, p.putOwner, op("setOwner", "Give an environment another owner").takes(api.OwnerChange{}).gives(200, api.Environment{}).tagged().ifMatched())
	r.page(http.MethodPost, "/environments/:env/owner", needAdmin, p.submitOwner)
}

// putOwner handles PUT /environments/{env}/owner.
func (p *Portal) putOwner(c echo.Context) error {
	var o api.OwnerChange
	if err := decode(c, &o); err != nil {
		return err
	}
	revision, err := ifMatch(c.Request().Header.Get("If-Match"))
	if err != nil {
		return err
	}
	e, err := p.setOwner(c.Request().Context(), environmentOf(c), o.Owner, revision)
	if err != nil {
		return err
	}
	return okEnvironment(c, http.StatusOK, e)
}

// submitOwner handles the form on the Settings tab.
func (p *Portal) submitOwner(c echo.Context) error {
	env := environmentOf(c)
	revision, err := formRevision(c)
	if err != nil {
		return err
	}
	if _, err := p.setOwner(c.Request().Context(), env, c.FormValue("owner"), revision); err != nil {
		return p.settings(c, err)
	}
	return see(c, environmentPage(env, "settings"))
}

func (p *Portal) setOwner(ctx context.Context, env sim.EnvironmentID, user string, revision int64) (api.Environment, error) {
	var row store.Environment
	err := p.change(ctx, func() (sim.Event, error) {
		before, after, err := p.store.SetOwner(ctx, env, user, revision)
		if err != nil {
			return sim.Event{}, fmt.Errorf("change the owner of environment %s: %w", env, err)
		}
		if row = after; before.Owner == after.Owner {
			return sim.Event{}, nil
		}
		return sim.Event{Environment: env, What: ownerChanged, Detail: map[string]string{"from": before.Owner, "to": after.Owner}}, nil
	})
	if err != nil {
		return api.Environment{}, err
	}
	return p.shown(row), nil
}

// ownerOptions lists who may own e, for the form; chosen is the id of who is proposed.
func (p *Portal) ownerOptions(ctx context.Context, e store.Environment, chosen string) ([]ui.Option, error) {
	users, err := p.store.Users(ctx, e.Organisation)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	var out []ui.Option
	for _, u := range users {
		if u.Role != api.RoleMember {
			out = append(out, ui.Option{Value: u.ID, Text: u.Name + ", " + roleWords(u.User), Chosen: u.ID == chosen})
		}
	}
	return out, nil
}

// ownerName names the owner of e.
func (p *Portal) ownerName(ctx context.Context, e store.Environment) (string, error) {
	u, err := p.store.User(ctx, e.Owner)
	if err != nil && sim.KindOf(err) == sim.NotFound {
		return e.Owner, nil
	}
	return u.Name, err
}
