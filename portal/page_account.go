package portal

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

func (p *Portal) accountPages(r *router) {
	r.page(http.MethodGet, "/account", needUser, func(c echo.Context) error { return p.accountPage(c, accountForm{}, nil) })
	r.page(http.MethodPost, "/account/tokens", needUser, p.submitToken)
	r.page(http.MethodPost, "/account/tokens/:token/remove", needUser, p.submitTokenRemoval)
	r.page(http.MethodPost, "/account/users", needAdmin, p.submitUser)
	r.page(http.MethodPost, "/account/users/:user/remove", needAdmin, p.submitUserRemoval)
}

// accountForm is what was typed into a form of the account page.
type accountForm struct {
	token api.TokenSpec
	days  int // that the token shall live; 0: as the portal proposes
	user  api.UserSpec
}

// What the account page says was done, by its query.
const (
	doneToken    = "token" // with the token's id
	donePassword = "password"
	doneReset    = "reset"
)

// tokenDays are the lives of API tokens to choose from; the default is [apiTokenLife].
func tokenDays() []int { return []int{1, 7, 30, 90, 365} }

const day = 24 * time.Hour

// submitToken handles POST /account/tokens. The page that it leads to shows the token, once: to load it again makes no other.
func (p *Portal) submitToken(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	typed := accountForm{token: api.TokenSpec{Name: form.Get("name"), Scopes: []api.Scope{}}}
	for _, s := range form["scope"] {
		typed.token.Scopes = append(typed.token.Scopes, api.Scope(s))
	}
	if typed.days, err = strconv.Atoi(form.Get("days")); err != nil || !slices.Contains(tokenDays(), typed.days) {
		typed.days = 0
		return p.accountPage(c, typed, sim.Errorf(sim.Invalid, "an API token cannot live %.20q days", form.Get("days")).WithHelp("choose one of %v", tokenDays()))
	}
	spec := typed.token
	spec.Expires = p.opts.Clock.Now().Add(time.Duration(typed.days) * day)
	made, err := p.addToken(c.Request().Context(), spec)
	if err != nil {
		return p.accountPage(c, typed, err)
	}
	p.made.put(identityOf(c.Request().Context()).ID, made, p.wall.Now())
	return see(c, "/account?done="+doneToken+"&id="+url.QueryEscape(made.ID))
}

// submitTokenRemoval handles POST /account/tokens/{token}/remove.
func (p *Portal) submitTokenRemoval(c echo.Context) error {
	if err := p.removeToken(c.Request().Context(), c.Param("token")); err != nil {
		return p.accountPage(c, accountForm{}, err)
	}
	return see(c, "/account")
}

// submitUser handles POST /account/users.
func (p *Portal) submitUser(c echo.Context) error {
	typed := accountForm{user: api.UserSpec{
		ID: c.FormValue("id"), Name: c.FormValue("name"), Role: api.Role(c.FormValue("role")), Password: sim.Secret(c.FormValue("password")),
	}}
	if _, err := p.addUser(c.Request().Context(), typed.user); err != nil {
		return p.accountPage(c, typed, err)
	}
	return see(c, "/account")
}

// submitUserRemoval handles POST /account/users/{user}/remove.
func (p *Portal) submitUserRemoval(c echo.Context) error {
	if err := p.removeUser(c.Request().Context(), c.Param("user")); err != nil {
		return p.accountPage(c, accountForm{}, err)
	}
	return see(c, "/account")
}

// accountPage shows the account with what was typed, what was wrong with it, or the token that was made.
func (p *Portal) accountPage(c echo.Context, typed accountForm, wrong error) error {
	ctx := c.Request().Context()
	f, err := p.frame(ctx, "Account")
	if err != nil {
		return err
	}
	f.Nav = "account"
	code, err := failure(&f, wrong)
	if err != nil {
		return err
	}
	who := identityOf(ctx)
	view := ui.AccountPage{Frame: f, ID: who.ID, Via: who.Via, TokenName: typed.token.Name, UserID: typed.user.ID, UserName: typed.user.Name}
	tokens, err := p.tokens(ctx)
	if err != nil {
		return err
	}
	now := p.opts.Clock.Now()
	for _, t := range tokens {
		view.Tokens = append(view.Tokens, ui.Token{ID: t.ID, Name: t.Name, Scopes: joined(t.Scopes), Created: t.Created, Expires: t.Expires, Expired: !t.Expires.After(now)})
	}
	p.sayDone(c, &view, tokens)
	view.Scopes = options(api.Scopes(), scopeWords, func(s api.Scope) bool {
		return slices.Contains(typed.token.Scopes, s) || typed.token.Scopes == nil && s == api.ScopeRead
	})
	for _, n := range tokenDays() {
		days := time.Duration(n) * day
		view.Lives = append(view.Lives, ui.Option{Value: strconv.Itoa(n), Text: daysWords(n), Chosen: n == typed.days || typed.days == 0 && days == apiTokenLife})
	}
	if !f.Administers {
		return page(c, code)(ui.Account(view))
	}
	users, err := p.users(ctx)
	if err != nil {
		return err
	}
	for _, u := range users {
		v := ui.User{ID: u.ID, Name: u.Name, Role: roleWords(u), Created: u.Created, Removable: u.Organisation == who.Organisation && u.ID != who.ID && u.ID != store.TrainerID}
		if who.Trainer {
			v.Organisation = u.Organisation
		}
		view.Users = append(view.Users, v)
	}
	view.Roles = options(api.Roles(), func(r api.Role) string { return roleWords(api.User{Role: r}) }, func(r api.Role) bool {
		return r == typed.user.Role || typed.user.Role == "" && r == api.RoleMember
	})
	return page(c, code)(ui.Account(view))
}

// sayDone puts into view what the page that led here did.
func (p *Portal) sayDone(c echo.Context, view *ui.AccountPage, tokens []api.Token) {
	switch view.Done = c.QueryParam("done"); view.Done {
	case doneToken:
		id := c.QueryParam("id")
		i := slices.IndexFunc(tokens, func(t api.Token) bool { return t.ID == id })
		if i < 0 { // revoked meanwhile, or somebody else's
			return
		}
		view.New = &ui.NewToken{ID: id, Name: tokens[i].Name}
		if t, ok := p.made.take(view.ID, id, p.wall.Now()); ok {
			view.New.Secret = t.Secret.Reveal()
		}
	case donePassword, doneReset:
	default:
		view.Done = ""
	}
}

func daysWords(n int) string {
	if n == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}

// scopeWords says what a scope is good for.
func scopeWords(s api.Scope) string {
	switch s {
	case api.ScopeRead:
		return "read: everything but secrets"
	case api.ScopeWrite:
		return "write: changes"
	case api.ScopeSecrets:
		return "secrets: values.yaml, access tokens, storage credentials"
	}
	return string(s)
}
