package portal

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

func (p *Portal) environmentPages(r *router) {
	r.page(http.MethodGet, "/environments", needUser, p.showEnvironments)
	r.page(http.MethodPost, "/environments", needCreate, p.submitEnvironment)
	r.page(http.MethodGet, "/environments/new", needCreate, p.showNewEnvironment)
	r.page(http.MethodGet, "/environments/:env", needUser, func(c echo.Context) error {
		return c.Redirect(http.StatusFound, environmentPage(environmentOf(c), "overview"))
	})
	r.page(http.MethodGet, "/environments/:env/services", needUser, p.showServices)
	r.page(http.MethodGet, "/environments/:env/settings", needUser, p.showSettings)
	r.page(http.MethodGet, "/environments/:env/upgrade", needUser, p.showUpgrade)
	r.page(http.MethodPost, "/environments/:env/upgrade", needManage, p.submitUpgrade)
	r.page(http.MethodGet, "/environments/:env/delete", needManage, p.showDelete)
	r.page(http.MethodPost, "/environments/:env/delete", needManage, p.submitDelete)
}

// environmentPage gives the path of a page about an environment.
func environmentPage(env sim.EnvironmentID, below string) string {
	return "/environments/" + url.PathEscape(string(env)) + "/" + below
}

// showEnvironments handles GET /environments.
func (p *Portal) showEnvironments(c echo.Context) error {
	ctx := c.Request().Context()
	f, err := p.frame(ctx, "Environments")
	if err != nil {
		return err
	}
	all, err := p.environments(ctx)
	if err != nil {
		return err
	}
	view := ui.EnvironmentsPage{Frame: f}
	for _, e := range all {
		view.Environments = append(view.Environments, environmentView(e))
	}
	return page(c, http.StatusOK)(ui.Environments(view))
}

// showNewEnvironment handles GET /environments/new.
func (p *Portal) showNewEnvironment(c echo.Context) error {
	newest := chart.Releases()
	return p.newEnvironment(c, api.EnvironmentSpec{Tier: sim.TierS, Release: newest[len(newest)-1]}, nil)
}

// submitEnvironment handles POST /environments.
func (p *Portal) submitEnvironment(c echo.Context) error {
	cloud, region, _ := strings.Cut(c.FormValue("location"), "/")
	s := api.EnvironmentSpec{
		Name: c.FormValue("name"), Cloud: cloud, Region: region, Release: sim.Release(c.FormValue("release")), Tier: sim.Tier(c.FormValue("tier")),
	}
	s.Offering, s.ExceptionalSizing = api.Offering(c.FormValue("offering")), c.FormValue("exceptional") != ""
	err := errors.Join(whole(c.FormValue("engines"), &s.EnginesAllowed), whole(c.FormValue("replicas"), &s.ReplicasAllowed))
	var e api.Environment
	if err == nil {
		e, err = p.createEnvironment(c.Request().Context(), s)
	}
	if err != nil {
		return p.newEnvironment(c, s, err)
	}
	return see(c, environmentPage(e.ID, "settings"))
}

// newEnvironment shows the form with what was typed and what was wrong with it.
func (p *Portal) newEnvironment(c echo.Context, s api.EnvironmentSpec, wrong error) error {
	f, err := p.frame(c.Request().Context(), "Create environment")
	if err != nil {
		return err
	}
	code, err := failure(&f, wrong)
	if err != nil {
		return err
	}
	view := ui.NewEnvironmentPage{Frame: f, Name: s.Name, Engines: c.FormValue("engines"), Replicas: c.FormValue("replicas"), Exceptional: s.ExceptionalSizing}
	chosen := cmp.Or(s.Offering, api.OfferingEnterprise)
	view.Offerings = options(api.Offerings(), asIs, func(o api.Offering) bool { return o == chosen })
	for _, l := range api.Locations() {
		view.Locations = append(view.Locations, ui.Option{Value: l.Cloud + "/" + l.Region, Text: l.Cloud + " / " + l.Region, Chosen: l.Cloud == s.Cloud && l.Region == s.Region})
	}
	releases := chart.Releases()
	slices.Reverse(releases)
	view.Releases = options(releases, asIs, func(r sim.Release) bool { return r == s.Release })
	table, err := sizing()
	if err != nil {
		return err
	}
	for _, t := range table {
		view.Tiers = append(view.Tiers, ui.Option{
			Value: string(t.Tier), Chosen: t.Tier == s.Tier,
			Text: fmt.Sprintf("%s: CPU %s to %s, RAM %s, disk %s per replica", t.Tier, t.CPURequest, t.CPULimit, t.MemoryLimit, t.Disk),
		})
	}
	return page(c, code)(ui.NewEnvironment(view))
}

// showServices handles GET /environments/{env}/services.
func (p *Portal) showServices(c echo.Context) error {
	ctx := c.Request().Context()
	f, err := p.environmentFrame(c, "", "services")
	if err != nil {
		return err
	}
	e, err := p.store.Environment(ctx, environmentOf(c))
	if err != nil {
		return err
	}
	at := p.opts.Cloud.Endpoints(e.ID)
	view := ui.ServicesPage{Frame: f, DPM: at.DPM, ObjectStorage: at.ObjectStorage, Registry: at.Registry, AccessKey: e.AccessKey}
	if view.EngineList, err = p.engineViews(ctx, e.ID, e.Release); err != nil {
		return err
	}
	health, err := p.health(ctx, e.ID)
	if err != nil {
		return err
	}
	for _, x := range health {
		view.Health = append(view.Health, ui.Health{Name: x.Name, OK: x.OK, Detail: x.Detail})
	}
	return page(c, http.StatusOK)(ui.Services(view))
}

// showSettings handles GET /environments/{env}/settings.
func (p *Portal) showSettings(c echo.Context) error { return p.settings(c, nil) }

// settings shows the Settings tab, with what was wrong with a form on it.
func (p *Portal) settings(c echo.Context, wrong error) error {
	f, err := p.environmentFrame(c, "", "settings")
	if err != nil {
		return err
	}
	code, err := failure(&f, wrong)
	if err != nil {
		return err
	}
	view := ui.SettingsPage{Frame: f}
	table, err := sizing()
	if err != nil {
		return err
	}
	for _, t := range table {
		view.Sizing = append(view.Sizing, sizingView(string(t.Tier), t.Sizing, string(t.Tier) == f.Environment.Tier))
	}
	dpes, err := p.dpes(c.Request().Context(), environmentOf(c))
	if err != nil {
		return err
	}
	for _, d := range dpes {
		view.DPEs = append(view.DPEs, dpeView(d))
		if d.ExceptionalSizing != (sim.Sizing{}) {
			view.Sizing = append(view.Sizing, sizingView(d.Name, d.Sizing, false))
		}
	}
	e, err := p.store.Environment(c.Request().Context(), environmentOf(c))
	if err != nil {
		return err
	}
	view.Managed, view.Exceptional = e.Managed.Replicas, e.Contract.ExceptionalSizing
	view.Revision, view.ManagedReplicas = e.Revision, strconv.Itoa(e.Managed.Replicas)
	chosen := e.Owner
	if wrong != nil { // what was typed stays
		view.ManagedReplicas, chosen = cmp.Or(c.FormValue("replicas"), view.ManagedReplicas), cmp.Or(c.FormValue("owner"), chosen)
	}
	if view.Owner, err = p.ownerName(c.Request().Context(), e); err != nil {
		return err
	}
	if f.Administers {
		if view.Owners, err = p.ownerOptions(c.Request().Context(), e, chosen); err != nil {
			return err
		}
	}
	view.AllowlistOn, view.Ranges = e.Allowlist.On, len(e.Allowlist.Entries)
	newer := slices.DeleteFunc(chart.Releases(), func(r sim.Release) bool { return r.Compare(sim.Release(f.Environment.Release)) <= 0 })
	view.Releases = options(newer, asIs, func(r sim.Release) bool { return r == newer[len(newer)-1] })
	return page(c, code)(ui.Settings(view))
}

// sizingView is a row of the Service sizing table: of a tier, or of a DPE with an exceptional sizing.
func sizingView(of string, s sim.Sizing, chosen bool) ui.Sizing {
	return ui.Sizing{
		Of: of, CPURequest: s.CPURequest, CPULimit: s.CPULimit, MemoryRequest: s.MemoryRequest, MemoryLimit: s.MemoryLimit, Disk: s.Disk, Chosen: chosen,
	}
}

// submitUpgrade handles POST /environments/{env}/upgrade.
func (p *Portal) submitUpgrade(c echo.Context) error {
	env, release := environmentOf(c), sim.Release(c.FormValue("release"))
	revision, err := formRevision(c)
	if err != nil {
		return err
	}
	if _, err := p.upgradeEnvironment(c.Request().Context(), env, release, revision); err != nil {
		return p.upgradePage(c, release, err)
	}
	return see(c, environmentPage(env, "settings"))
}

// showDelete handles GET /environments/{env}/delete.
func (p *Portal) showDelete(c echo.Context) error { return p.confirmDelete(c, nil) }

// submitDelete handles POST /environments/{env}/delete.
func (p *Portal) submitDelete(c echo.Context) error {
	env := environmentOf(c)
	revision, err := formRevision(c)
	if err != nil {
		return err
	}
	if c.FormValue("confirm") != string(env) {
		return p.confirmDelete(c, notConfirmed(string(env)))
	}
	if _, err := p.deleteEnvironment(c.Request().Context(), env, revision); err != nil {
		return p.confirmDelete(c, err)
	}
	return see(c, "/environments")
}

func (p *Portal) confirmDelete(c echo.Context, wrong error) error {
	f, err := p.environmentFrame(c, "Delete environment", "")
	if err != nil {
		return err
	}
	code, err := failure(&f, wrong)
	if err != nil {
		return err
	}
	e, err := p.store.Environment(c.Request().Context(), environmentOf(c))
	if err != nil {
		return err
	}
	return page(c, code)(ui.Delete(ui.DeletePage{Frame: f, Revision: e.Revision, Confirm: confirmed(c, string(e.ID))}))
}

// formRevision reads the revision that a form was made of; 0: the form has none.
func formRevision(c echo.Context) (int64, error) {
	s := c.FormValue("revision")
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, sim.Errorf(sim.Invalid, "the form's revision is not a number").WithHelp("open the page again")
	}
	return n, nil
}

// confirmed gives the word that was typed to confirm, if it was the right one: a wrong one is typed anew.
func confirmed(c echo.Context, word string) string {
	if c.FormValue("confirm") != word {
		return ""
	}
	return word
}

func notConfirmed(word string) error {
	return sim.Errorf(sim.Invalid, "what was typed is not %q: nothing was done", word).WithHelp("type it exactly to confirm")
}
