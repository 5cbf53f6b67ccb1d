package portal

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/openapi"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
)

// need is what a route asks of who calls it. Every route has one: [router] takes no route without.
type need int

// The needs. A route below an environment also asks that the environment is one of the caller's organisation; to others it
// does not exist.
const (
	needNothing need = iota // health, assets, sign-in
	needUser                // somebody who is signed in
	needSecrets             // an organisation admin, or the environment's owner: to see secrets
	needManage              // the same: to change the environment and its DPEs
	needCreate              // an organisation admin or a user who may own environments
	needAdmin               // an organisation admin
	needTrainer             // who runs the simulator
)

// router registers routes with what they need.
type router struct {
	p          *Portal
	e          *echo.Echo
	operations []openapi.Operation // of the API, in the order of their registration
}

// api registers a route of the API, with what it says of itself; path is below [api.Prefix].
func (r *router) api(method, path string, n need, h echo.HandlerFunc, o operation) {
	r.operations = append(r.operations, o.complete(method, path, n))
	if method == http.MethodPost {
		h = r.p.once(h, o.secret)
	}
	r.e.Add(method, api.Prefix+path, r.p.guard(n, h))
}

// page registers a page, or what a form on one is sent to.
func (r *router) page(method, path string, n need, h echo.HandlerFunc) {
	if method == http.MethodPost {
		h = readForm(h)
	}
	r.e.Add(method, path, r.p.guard(n, h))
}

// guard lets h answer only who may. What needs nothing asks nobody who they are: health and assets read no session.
func (p *Portal) guard(n need, h echo.HandlerFunc) echo.HandlerFunc {
	if n == needNothing {
		return h
	}
	return func(c echo.Context) error {
		who, err := p.authenticate(c)
		if err != nil {
			return err
		}
		if who == nil {
			return askWho(c)
		}
		ctx := withIdentity(c, *who)
		c.SetRequest(c.Request().WithContext(ctx))
		if err := who.checkScope(n, c.Request().Method); err != nil {
			return err
		}
		if err := p.admit(ctx, *who, n, environmentOf(c)); err != nil {
			return err
		}
		return h(c)
	}
}

// askWho sends a person to the sign-in and tells a program how to say who it is.
func askWho(c echo.Context) error {
	r := c.Request()
	if wantsPage(r) {
		to := "/sign-in"
		if r.Method == http.MethodGet && r.URL.Path != "/" {
			to += "?next=" + url.QueryEscape(r.URL.RequestURI())
		}
		return c.Redirect(http.StatusSeeOther, to)
	}
	return sim.Errorf(sim.Unauthenticated, "nobody is signed in").
		WithHelp("send an API token as 'Authorization: Bearer TOKEN'; the command line takes the simulator's own from its endpoints file")
}

// admit decides by role and environment. env may be empty.
func (p *Portal) admit(ctx context.Context, who identity, n need, env sim.EnvironmentID) error {
	own := false
	if env != "" {
		e, err := p.store.Environment(ctx, env)
		if err != nil {
			return err
		}
		if !who.sees(e.Organisation) {
			return sim.Errorf(sim.NotFound, "there is no environment %q", string(env))
		}
		own = e.Owner == who.ID
	}
	var may bool
	var allowed string
	switch n {
	case needNothing, needUser:
		return nil
	case needSecrets, needManage:
		may, allowed = who.administers() || own, "the environment's owner and organisation admins"
	case needCreate:
		may, allowed = who.creates(), "organisation admins and environment owners"
	case needAdmin:
		may, allowed = who.administers(), "organisation admins"
	case needTrainer:
		may, allowed = who.Trainer, "the trainer, who runs the simulator,"
	}
	if !may {
		return sim.Errorf(sim.Forbidden, "%s may not do this", who.Name).WithHelp("only %s may: ask one of them, or sign in as another user", allowed)
	}
	return nil
}

// identity is who a request is made by, and how.
type identity struct{ api.Identity }

// sees tells whether the things of an organisation exist for who.
func (who identity) sees(organisation string) bool {
	return who.Trainer || who.Organisation == organisation
}

// scope gives the organisation that lists are limited to; empty: none.
func (who identity) scope() string {
	if who.Trainer {
		return ""
	}
	return who.Organisation
}

func (who identity) administers() bool { return who.Trainer || who.Role == api.RoleAdmin }

// creates tells whether who may create environments.
func (who identity) creates() bool { return who.administers() || who.Role == api.RoleOwner }

// manages tells whether who may change an environment of that owner.
func (who identity) manages(e api.Environment) bool { return who.administers() || e.Owner == who.ID }

// checkScope decides by what the way of asking allows: a token may be good for less than its user may.
func (who identity) checkScope(n need, method string) error {
	wanted := []api.Scope{api.ScopeRead}
	if n == needSecrets {
		wanted = []api.Scope{api.ScopeSecrets}
	}
	if method != http.MethodGet && method != http.MethodHead {
		wanted = append(wanted, api.ScopeWrite)
	}
	for _, s := range wanted {
		if !slices.Contains(who.Scopes, s) {
			return sim.Errorf(sim.Forbidden, "%s has no scope %q", who.Via, string(s)).WithHelp("make an API token that has it")
		}
	}
	return nil
}

type identityKey struct{}

// withIdentity gives the context of a request that who makes: its changes are who's in the audit log.
func withIdentity(c echo.Context, who identity) context.Context {
	ctx := context.WithValue(c.Request().Context(), identityKey{}, who)
	return store.WithActor(ctx, store.Actor{
		User: who.ID, Organisation: who.Organisation, Via: who.Via,
		Source: c.Request().RemoteAddr, Request: c.Response().Header().Get(echo.HeaderXRequestID),
	})
}

// identityOf gives who the request is made by; the zero identity sees and may nothing.
func identityOf(ctx context.Context) identity {
	who, _ := ctx.Value(identityKey{}).(identity)
	return who
}
