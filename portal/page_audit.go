package portal

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

// showAudit handles GET /audit.
func (p *Portal) showAudit(c echo.Context) error {
	ctx := c.Request().Context()
	f, err := p.frame(ctx, "Audit log")
	if err != nil {
		return err
	}
	f.Nav = "audit"
	entries, err := p.audit(c, pageDefault+1)
	if err != nil {
		return err
	}
	environment := sim.EnvironmentID(c.QueryParam("environment"))
	view := ui.AuditPage{Frame: f}
	first := "/audit?environment=" + url.QueryEscape(string(environment))
	if c.QueryParam("before") != "" {
		view.Newest = first
	}
	if len(entries) > pageDefault {
		entries = entries[:pageDefault]
		view.Older = first + "&before=" + strconv.FormatInt(entries[pageDefault-1].Seq, 10)
	}
	for _, e := range entries {
		view.Entries = append(view.Entries, auditView(e))
	}
	all, err := p.environments(ctx)
	if err != nil {
		return err
	}
	ids := map[sim.EnvironmentID]bool{}
	for _, e := range all {
		ids[e.ID] = true
	}
	if environment != "" { // it may be deleted: what was done in it is still told
		ids[environment] = true
	}
	view.Environments = options(slices.Sorted(maps.Keys(ids)), asIs, func(id sim.EnvironmentID) bool { return id == environment })
	return page(c, http.StatusOK)(ui.Audit(view))
}

func auditView(e api.AuditEntry) ui.AuditEntry {
	return ui.AuditEntry{
		Time: e.Time, User: e.User, Via: e.Via, Source: e.Source, Request: e.Request, Action: e.Action,
		Environment: string(e.Environment), DPE: string(e.DPE), Detail: ui.Words(e.Detail),
	}
}
