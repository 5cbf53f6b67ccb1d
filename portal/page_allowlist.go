package portal

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

func (p *Portal) allowlistPages(r *router) {
	r.page(http.MethodGet, "/environments/:env/allowlist", needUser, p.showAllowlist)
	r.page(http.MethodPost, "/environments/:env/allowlist", needManage, p.submitAllowlist)
}

// showAllowlist handles GET /environments/{env}/allowlist.
func (p *Portal) showAllowlist(c echo.Context) error {
	e, err := p.store.Environment(c.Request().Context(), environmentOf(c))
	if err != nil {
		return err
	}
	return p.allowlistPage(c, ui.AllowlistPage{On: e.Allowlist.On, Ranges: rangeLines(e.Allowlist.Entries), Version: e.Allowlist.Version}, nil)
}

// rangeLines writes ranges as the form has them: one a line, the note behind it.
func rangeLines(entries []api.AllowlistEntry) string {
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(strings.TrimSpace(e.CIDR+" "+e.Note) + "\n")
	}
	return b.String()
}

// submitAllowlist handles POST /environments/{env}/allowlist. What would cut connected engines is done only if the form
// confirms it.
func (p *Portal) submitAllowlist(c echo.Context) error {
	ctx, env := c.Request().Context(), environmentOf(c)
	view := ui.AllowlistPage{On: c.FormValue("on") != "", Ranges: c.FormValue("ranges")}
	edit := api.AllowlistEdit{On: view.On, Confirm: c.FormValue("confirm") != ""}
	for line := range strings.Lines(view.Ranges) {
		if cidr, note, _ := strings.Cut(strings.TrimSpace(line), " "); cidr != "" {
			edit.Entries = append(edit.Entries, api.AllowlistEntry{CIDR: cidr, Note: note})
		}
	}
	version, err := strconv.ParseInt(c.FormValue("version"), 10, 64)
	if err != nil {
		return sim.Errorf(sim.Invalid, "the form's version is not a number").WithHelp("open the page again")
	}
	_, err = p.setAllowlist(ctx, env, edit, version)
	if err == nil {
		return see(c, environmentPage(env, "allowlist"))
	}
	e, readErr := p.store.Environment(ctx, env)
	if readErr != nil {
		return readErr
	}
	view.Version = e.Allowlist.Version
	edit.DryRun = true
	if would, err := p.setAllowlist(ctx, env, edit, version); err == nil && !edit.Confirm {
		view.Cuts = cutViews(would.Cuts)
	}
	return p.allowlistPage(c, view, err)
}

func cutViews(cuts []api.AllowlistCut) []ui.Cut {
	var out []ui.Cut
	for _, x := range cuts {
		out = append(out, ui.Cut{Source: x.Source, Engines: joined(x.Engines)})
	}
	return out
}

// allowlistPage shows the allowlist with what was wrong with the form.
func (p *Portal) allowlistPage(c echo.Context, view ui.AllowlistPage, wrong error) error {
	f, err := p.environmentFrame(c, "IP allowlist", "")
	if err != nil {
		return err
	}
	code, err := failure(&f, wrong)
	if err != nil {
		return err
	}
	view.Frame = f
	engines, err := p.engines(c.Request().Context(), environmentOf(c))
	if err != nil {
		return err
	}
	// Every address that engines are connected from now: cut by a list that has nothing on it.
	view.Connected = cutViews(cutBy(true, nil, engines))
	return page(c, code)(ui.Allowlist(view))
}
