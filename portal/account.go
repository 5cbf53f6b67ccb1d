package portal

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
)

func (p *Portal) accountRoutes(r *router) {
	r.api(http.MethodGet, "/me", needUser, getMe, op("me", "Tell who asks, and what this way of asking allows").gives(200, api.Identity{}))
	r.api(http.MethodGet, "/users", needAdmin, p.getUsers, op("users", "List the organisation's users by id").gives(200, []api.User{}))
	r.api(http.MethodPost, "/users", needAdmin, p.postUser, op("addUser", "Add a user to the organisation").takes(api.UserSpec{}).gives(201, api.User{}))
	r.api(http.MethodDelete, "/users/:user", needAdmin, p.deleteUser, op("removeUser", "Remove a user with sessions and API tokens").gives(204, nil))
	r.api(http.MethodGet, "/tokens", needUser, p.getTokens, op("tokens", "List one's own API tokens, oldest first").gives(200, []api.Token{}))
	r.api(http.MethodPost, "/tokens", needUser, p.postToken, op("addToken", "Make an API token for oneself; the answer alone holds it").takes(api.TokenSpec{}).gives(201, api.RevealedToken{}).secretly())
	r.api(http.MethodDelete, "/tokens/:token", needUser, p.deleteToken, op("removeToken", "End one of one's own API tokens").gives(204, nil))
	r.api(http.MethodGet, "/audit", needAdmin, p.getAudit, op("audit", "Read what was done, newest first").gives(200, []api.AuditEntry{}).query("environment", "Only this one's", sim.EnvironmentID("")).query("before", "Only entries with a smaller seq", 1).paged(pageDefault))
}

// getMe handles GET /me.
func getMe(c echo.Context) error { return ok(c, identityOf(c.Request().Context()).Identity) }

// getUsers handles GET /users.
func (p *Portal) getUsers(c echo.Context) error {
	out, err := p.users(c.Request().Context())
	if err != nil {
		return err
	}
	return ok(c, out)
}

func (p *Portal) users(ctx context.Context) ([]api.User, error) {
	rows, err := p.store.Users(ctx, identityOf(ctx).scope())
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	out := make([]api.User, len(rows))
	for i, u := range rows {
		out[i] = u.User
	}
	return out, nil
}

// userID is what people sign in with.
var userID = regexp.MustCompile(`^[a-z][-a-z0-9]{1,31}$`)

// postUser handles POST /users.
func (p *Portal) postUser(c echo.Context) error {
	var s api.UserSpec
	if err := decode(c, &s); err != nil {
		return err
	}
	u, err := p.addUser(c.Request().Context(), s)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, u)
}

func (p *Portal) addUser(ctx context.Context, s api.UserSpec) (api.User, error) {
	name, err := checkName(s.Name)
	if err != nil {
		return api.User{}, err
	}
	if !userID.MatchString(s.ID) {
		return api.User{}, api.InField("id", sim.Errorf(sim.Invalid, "%.40q cannot be a user id", s.ID).WithHelp("use 2 to 32 of a-z, 0-9 and hyphens, beginning with a letter"))
	}
	if s.Role == "" {
		s.Role = api.RoleMember
	}
	if !slices.Contains(api.Roles(), s.Role) {
		return api.User{}, api.InField("role", sim.Errorf(sim.Invalid, "there is no role %.40q", string(s.Role)).WithHelp("the roles are %v", api.Roles()))
	}
	hash, err := p.hashPassword(s.Password)
	if err != nil {
		return api.User{}, api.InField("password", err)
	}
	u, err := p.store.AddUser(ctx, store.User{Password: hash, User: api.User{ID: s.ID, Name: name, Organisation: identityOf(ctx).Organisation, Role: s.Role}})
	if err != nil {
		return api.User{}, fmt.Errorf("add user %s: %w", s.ID, err)
	}
	return u.User, nil
}

// deleteUser handles DELETE /users/{user}.
func (p *Portal) deleteUser(c echo.Context) error {
	if err := p.removeUser(c.Request().Context(), c.Param("user")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (p *Portal) removeUser(ctx context.Context, id string) error {
	if who := identityOf(ctx); id == who.ID {
		return sim.Errorf(sim.Conflict, "you cannot remove yourself").WithHelp("ask another organisation admin")
	}
	if id == store.TrainerID {
		return sim.Errorf(sim.Conflict, "the trainer runs the simulator and stays").WithHelp("remove others")
	}
	if err := p.store.RemoveUser(ctx, identityOf(ctx).Organisation, id); err != nil {
		return fmt.Errorf("remove user: %w", err)
	}
	return nil
}

// getTokens handles GET /tokens.
func (p *Portal) getTokens(c echo.Context) error {
	out, err := p.tokens(c.Request().Context())
	if err != nil {
		return err
	}
	return ok(c, notNil(out))
}

func (p *Portal) tokens(ctx context.Context) ([]api.Token, error) {
	out, err := p.store.Tokens(ctx, identityOf(ctx).ID)
	if err != nil {
		return nil, fmt.Errorf("list API tokens: %w", err)
	}
	return out, nil
}

// apiTokenLife is how long an API token is valid unless its maker says otherwise, in product time. It is our choice.
const apiTokenLife = 90 * 24 * time.Hour

// postToken handles POST /tokens.
func (p *Portal) postToken(c echo.Context) error {
	var s api.TokenSpec
	if err := decode(c, &s); err != nil {
		return err
	}
	t, err := p.addToken(c.Request().Context(), s)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, t.Revealed())
}

func (p *Portal) addToken(ctx context.Context, s api.TokenSpec) (api.NewToken, error) {
	name, err := checkName(s.Name)
	if err != nil {
		return api.NewToken{}, err
	}
	if len(s.Scopes) == 0 {
		return api.NewToken{}, api.InField("scopes", sim.Errorf(sim.Invalid, "an API token without a scope is good for nothing").WithHelp("the scopes are %v", api.Scopes()))
	}
	who := identityOf(ctx)
	for _, x := range s.Scopes {
		if !slices.Contains(api.Scopes(), x) {
			return api.NewToken{}, api.InField("scopes", sim.Errorf(sim.Invalid, "there is no scope %.40q", string(x)).WithHelp("the scopes are %v", api.Scopes()))
		}
		if !slices.Contains(who.Scopes, x) { // a token cannot make a mightier one
			return api.NewToken{}, api.InField("scopes", sim.Errorf(sim.Forbidden, "%s has no scope %q to give", who.Via, string(x)).WithHelp("sign in and make the token there"))
		}
	}
	now := p.opts.Clock.Now()
	if s.Expires.IsZero() {
		s.Expires = now.Add(apiTokenLife)
	}
	if !s.Expires.After(now) {
		return api.NewToken{}, api.InField("expires", sim.Errorf(sim.Invalid, "the API token would have expired already").WithHelp("give a time after %s, the simulator's now", now.Format(time.RFC3339)))
	}
	slices.Sort(s.Scopes)
	secret := sim.Secret("dpesim_" + rand.Text())
	p.opts.Conceal.Note(secret)
	t, err := p.store.AddToken(ctx, who.ID, digest(secret.Reveal()), api.Token{ID: rand.Text()[:10], Name: name, Scopes: slices.Compact(s.Scopes), Expires: s.Expires})
	if err != nil {
		return api.NewToken{}, fmt.Errorf("add API token: %w", err)
	}
	return api.NewToken{Token: t, Secret: secret}, nil
}

// deleteToken handles DELETE /tokens/{token}.
func (p *Portal) deleteToken(c echo.Context) error {
	if err := p.removeToken(c.Request().Context(), c.Param("token")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (p *Portal) removeToken(ctx context.Context, id string) error {
	if err := p.store.RemoveToken(ctx, identityOf(ctx).ID, id); err != nil {
		return fmt.Errorf("remove API token: %w", err)
	}
	return nil
}

// getAudit handles GET /audit.
func (p *Portal) getAudit(c echo.Context) error {
	n, err := limit(c, pageDefault)
	if err != nil {
		return err
	}
	out, err := p.audit(c, n+1)
	if err != nil {
		return err
	}
	return ok(c, cut(c, out, n, "before", func(e api.AuditEntry) string { return strconv.FormatInt(e.Seq, 10) }))
}

// audit reads at most n entries that the query chooses, newest first.
func (p *Portal) audit(c echo.Context, n int) ([]api.AuditEntry, error) {
	f := api.AuditFilter{Environment: sim.EnvironmentID(c.QueryParam("environment")), Limit: n}
	var err error
	if f.Before, err = number(c, "before"); err != nil {
		return nil, err
	}
	ctx := c.Request().Context()
	out, err := p.store.Audit(ctx, identityOf(ctx).scope(), f)
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return out, nil
}
