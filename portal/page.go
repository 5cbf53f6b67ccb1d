package portal

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

func (p *Portal) pageRoutes(r *router) {
	r.page(http.MethodGet, "/assets/*", needNothing, echo.WrapHandler(ui.Assets()))
	r.page(http.MethodGet, "/", needUser, func(c echo.Context) error { return c.Redirect(http.StatusFound, "/environments") })
	p.signInPages(r)
	p.accountPages(r)
	r.page(http.MethodGet, "/audit", needAdmin, p.showAudit)
	p.environmentPages(r)
	p.overviewPages(r)
	p.consolePages(r)
	p.jobPages(r)
	p.allowlistPages(r)
	p.dpePages(r)
	p.runPages(r)
	p.roomPages(r)
}

// pageLevel is how much work packing a page is: more makes little difference to its size.
const pageLevel = 4

// page answers with what a function of package ui rendered.
func page(c echo.Context, code int) func(body []byte, err error) error {
	return func(body []byte, err error) error {
		if err != nil {
			return err
		}
		c.Response().Header().Add(echo.HeaderVary, echo.HeaderAcceptEncoding)
		if ui.Unpacks(c.Request()) {
			if body, err = ui.Pack(body, pageLevel); err != nil {
				return fmt.Errorf("pack page: %w", err)
			}
			c.Response().Header().Set(echo.HeaderContentEncoding, "gzip")
		}
		return c.HTMLBlob(code, body)
	}
}

// see sends the browser to another page after a form was done.
func see(c echo.Context, path string) error { return c.Redirect(http.StatusSeeOther, path) }

// frame is what a page has around it.
func (p *Portal) frame(ctx context.Context, title string) (ui.Frame, error) {
	f := ui.Frame{Title: title, Nav: "environments", After: p.opts.Bus.Last()}
	o, err := p.store.Organisation(ctx, identityOf(ctx).Organisation)
	if err != nil {
		return f, fmt.Errorf("read organisation: %w", err)
	}
	who := identityOf(ctx)
	f.Organisation, f.User, f.Role, f.Trainer = o.Name, who.Name, roleWords(who.User), who.Trainer
	f.Administers = who.administers()
	f.Creates = who.creates()
	return f, nil
}

// roleWords names a user's role as people say it.
func roleWords(u api.User) string {
	switch {
	case u.Trainer:
		return "trainer"
	case u.Role == api.RoleAdmin:
		return "organisation admin"
	case u.Role == api.RoleOwner:
		return "environment owner"
	}
	return "member"
}

// environmentFrame is what a page about an environment has around it. An empty title is the environment's name.
func (p *Portal) environmentFrame(c echo.Context, title, tab string) (ui.Frame, error) {
	ctx := c.Request().Context()
	f, err := p.frame(ctx, title)
	if err != nil {
		return f, err
	}
	e, err := p.environment(ctx, environmentOf(c))
	if err != nil {
		return f, err
	}
	f.Manages = identityOf(ctx).manages(e)
	head := environmentView(e)
	f.Environment, f.Tab, f.Crumb = &head, tab, title
	if title == "" {
		f.Title = e.Name
	}
	return f, nil
}

func environmentView(e api.Environment) ui.Environment {
	var steps []ui.Step
	for _, s := range e.Steps {
		steps = append(steps, ui.Step{Name: s.Name, State: string(s.State)})
	}
	return ui.Environment{
		Steps: steps,
		ID:    string(e.ID), Name: e.Name, Location: e.Cloud + " / " + e.Region, Release: string(e.Release), Tier: string(e.Tier),
		Phase: string(e.Phase), Created: e.Created,
		Engines: e.Usage.Engines, EnginesAllowed: e.Usage.EnginesAllowed, Replicas: e.Usage.Replicas, ReplicasLicensed: e.Usage.ReplicasLicensed,
	}
}

// failure puts into f what a person can correct, if anything is wrong, and gives the status to answer with. Any other
// error comes back.
func failure(f *ui.Frame, err error) (int, error) {
	if err == nil {
		return http.StatusOK, nil
	}
	switch sim.KindOf(err) {
	case sim.Invalid, sim.Conflict, sim.Exhausted, sim.Unavailable:
		msg, help := sim.Explain(err)
		f.Failure = &ui.Failure{Detail: msg, Help: help}
		return status(sim.KindOf(err)), nil
	case sim.Internal, sim.NotFound, sim.Unauthenticated, sim.Forbidden:
	}
	return 0, err
}

// unavailable gives the words for a service that is not there (yet). Any other error comes back.
func unavailable(err error) (string, error) {
	if err == nil || sim.KindOf(err) != sim.Unavailable {
		return "", err
	}
	msg, help := sim.Explain(err)
	return strings.TrimSpace(msg + ". " + help), nil
}

func options[T ~string](all []T, text func(T) string, chosen func(T) bool) []ui.Option {
	out := make([]ui.Option, len(all))
	for i, x := range all {
		out[i] = ui.Option{Value: string(x), Text: text(x), Chosen: chosen(x)}
	}
	return out
}

// asIs shows an id as it is.
func asIs[T ~string](x T) string { return string(x) }

// whole reads a whole number that was typed; nothing typed is 0.
func whole(s string, to *int) error {
	if s == "" {
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return sim.Errorf(sim.Invalid, "%.20q is no whole number", s).WithHelp("give a number of digits alone")
	}
	*to = n
	return nil
}
