package portal

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"
	"golang.org/x/crypto/bcrypt"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
)

func (p *Portal) passwordRoutes(r *router) {
	r.api(http.MethodPut, "/me/password", needUser, p.putOwnPassword, op("changePassword", "Change one's own password: one's other sessions end, API tokens stay").takes(api.PasswordChange{}).gives(204, nil))
	r.api(http.MethodPut, "/users/:user/password", needAdmin, p.putPassword, op("resetPassword", "Give another user of the organisation a password: that user's sessions end, API tokens stay").takes(api.PasswordReset{}).gives(204, nil))
	r.page(http.MethodPost, "/account/password", needUser, p.submitOwnPassword)
	r.page(http.MethodPost, "/account/users/:user/password", needAdmin, p.submitPassword)
}

// putOwnPassword handles PUT /me/password.
func (p *Portal) putOwnPassword(c echo.Context) error {
	var x api.PasswordChange
	if err := decode(c, &x); err != nil {
		return err
	}
	if err := p.changePassword(c, x.Current, x.New); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// putPassword handles PUT /users/{user}/password.
func (p *Portal) putPassword(c echo.Context) error {
	var x api.PasswordReset
	if err := decode(c, &x); err != nil {
		return err
	}
	if err := p.resetPassword(c.Request().Context(), c.Param("user"), x.New); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// submitOwnPassword handles POST /account/password.
func (p *Portal) submitOwnPassword(c echo.Context) error {
	next := sim.Secret(c.FormValue("new"))
	if !next.Equal(sim.Secret(c.FormValue("again"))) {
		return p.accountPage(c, accountForm{}, sim.Errorf(sim.Invalid, "the new password was typed in two ways").WithHelp("type the same one twice"))
	}
	if err := p.changePassword(c, sim.Secret(c.FormValue("current")), next); err != nil {
		return p.accountPage(c, accountForm{}, err)
	}
	return see(c, "/account?done="+donePassword)
}

// submitPassword handles POST /account/users/{user}/password.
func (p *Portal) submitPassword(c echo.Context) error {
	if err := p.resetPassword(c.Request().Context(), c.Param("user"), sim.Secret(c.FormValue("new"))); err != nil {
		return p.accountPage(c, accountForm{}, err)
	}
	return see(c, "/account?done="+doneReset)
}

// changePassword changes the password of who asks. All sessions of that user end; if it is one that asks, a new one takes its
// place, so that a cookie that somebody else has is good for nothing.
func (p *Portal) changePassword(c echo.Context, current, next sim.Secret) error {
	ctx := c.Request().Context()
	who := identityOf(ctx)
	u, err := p.store.User(ctx, who.ID)
	if err != nil {
		return err
	}
	if bcrypt.CompareHashAndPassword([]byte(u.Password), []byte(current.Reveal())) != nil {
		return api.InField("current", sim.Errorf(sim.Invalid, "the current password is another one: nothing was changed").
			WithHelp("type the one that you sign in with; an organisation admin can give you a new one"))
	}
	hash, err := p.hashPassword(next)
	if err != nil {
		return api.InField("new", err)
	}
	var cookie, session string
	if who.Via == viaSession {
		cookie = rand.Text()
		p.opts.Conceal.Note(sim.Secret(cookie))
		session = digest(cookie)
	}
	if err := p.store.ChangePassword(ctx, u.ID, u.Password, hash, session, p.wall.Now()); err != nil {
		return fmt.Errorf("change the password: %w", err)
	}
	if cookie != "" {
		c.SetCookie(p.cookie(c, cookie, 0))
	}
	return nil
}

// resetPassword gives another user of the organisation a password.
func (p *Portal) resetPassword(ctx context.Context, user string, next sim.Secret) error {
	who := identityOf(ctx)
	switch user {
	case who.ID:
		return sim.Errorf(sim.Conflict, "this is your own password").WithHelp("change it with the current one, on your account page")
	case store.TrainerID: // who could then act in every organisation
		return sim.Errorf(sim.Conflict, "the trainer's password is the trainer's alone to change").WithHelp("reset those of others")
	}
	hash, err := p.hashPassword(next)
	if err != nil {
		return api.InField("new", err)
	}
	if err := p.store.ResetPassword(ctx, who.Organisation, user, hash); err != nil {
		return fmt.Errorf("reset the password: %w", err)
	}
	return nil
}
