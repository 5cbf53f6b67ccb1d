package portal

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

func (p *Portal) signInPages(r *router) {
	r.page(http.MethodGet, "/sign-in", needNothing, p.showSignIn)
	r.page(http.MethodPost, "/sign-in", needNothing, p.submitSignIn)
	r.page(http.MethodPost, "/sign-out", needNothing, p.submitSignOut)
}

// showSignIn handles GET /sign-in.
func (p *Portal) showSignIn(c echo.Context) error {
	return p.signInPage(c, "", c.QueryParam("next"), nil)
}

// submitSignIn handles POST /sign-in: a demo user who was picked, or a user with a password.
func (p *Portal) submitSignIn(c echo.Context) error {
	next := c.FormValue("next")
	u, err := p.whoSignsIn(c)
	if err != nil {
		return p.signInPage(c, c.FormValue("user"), next, err)
	}
	if err := p.signIn(c, u); err != nil {
		return err
	}
	return see(c, local(next))
}

func (p *Portal) whoSignsIn(c echo.Context) (store.User, error) {
	pick := c.FormValue("pick")
	if pick == "" {
		return p.byPassword(c, c.FormValue("user"), sim.Secret(c.FormValue("password")))
	}
	u, err := p.store.User(c.Request().Context(), pick)
	if err == nil && !u.Demo {
		err = sim.Errorf(sim.Unauthenticated, "%s is no demo user", u.ID).WithHelp("sign in with the password")
	}
	return u, err
}

// local gives the page to go on to: one of the portal's own, whatever was asked for.
func local(next string) string {
	at, err := url.Parse(next) // refuses what cannot stand in a header
	if err != nil || at.Scheme != "" || at.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.Contains(next, `\`) {
		return "/environments"
	}
	return next
}

// submitSignOut handles POST /sign-out.
func (p *Portal) submitSignOut(c echo.Context) error {
	if err := p.signOut(c); err != nil {
		return err
	}
	return see(c, "/sign-in")
}

// signInPage shows the sign-in with what was typed and what was wrong with it.
func (p *Portal) signInPage(c echo.Context, user, next string, wrong error) error {
	f := ui.Frame{Title: "Sign in"}
	code := http.StatusOK
	if wrong != nil {
		if sim.KindOf(wrong) == sim.Internal {
			return wrong
		}
		msg, help := sim.Explain(wrong)
		f.Failure, code = &ui.Failure{Detail: msg, Help: help}, status(sim.KindOf(wrong))
	}
	view := ui.SignInPage{Frame: f, User: user, Next: local(next), Password: store.DemoPassword}
	all, err := p.store.Users(c.Request().Context(), "")
	if err != nil {
		return err
	}
	rank := func(u store.User) int {
		if u.Trainer {
			return -1
		}
		return slices.Index(api.Roles(), u.Role)
	}
	slices.SortStableFunc(all, func(a, b store.User) int { return cmp.Compare(rank(a), rank(b)) })
	view.Demo = demoGroups(all)
	return page(c, code)(ui.SignIn(view))
}

// demoGroups parts the demo users by organisation; who runs the simulator comes first.
func demoGroups(all []store.User) []ui.DemoGroup {
	var out []ui.DemoGroup
	for _, u := range all {
		if !u.Demo {
			continue
		}
		title := "Organisation " + u.Organisation
		if u.Trainer {
			title = "Trainer"
		}
		i := slices.IndexFunc(out, func(g ui.DemoGroup) bool { return g.Title == title })
		if i < 0 {
			i, out = len(out), append(out, ui.DemoGroup{Title: title})
		}
		out[i].Users = append(out[i].Users, ui.DemoUser{ID: u.ID, Name: u.Name, Does: does(u.User)})
	}
	return out
}

// does tells a person what a user is there for.
func does(u api.User) string {
	switch {
	case u.Trainer:
		return "Runs the simulator: sees every organisation, and the control room"
	case u.Role == api.RoleAdmin:
		return "Organisation admin: every environment, every DPE, users and audit log"
	case u.Role == api.RoleOwner:
		return "Environment owner: creates environments and runs the DPEs of those"
	}
	return "Member: sees environments and how they are, changes nothing"
}
