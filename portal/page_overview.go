package portal

import (
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

func (p *Portal) overviewPages(r *router) {
	r.page(http.MethodGet, "/environments/:env/overview", needUser, p.showOverview)
}

// lastEvents is how many of the things that happened last the Overview tells.
const lastEvents = 5

// showOverview handles GET /environments/{env}/overview.
func (p *Portal) showOverview(c echo.Context) error {
	ctx, env := c.Request().Context(), environmentOf(c)
	f, err := p.environmentFrame(c, "", "overview")
	if err != nil {
		return err
	}
	e, err := p.environment(ctx, env)
	if err != nil {
		return err
	}
	o, err := p.store.Organisation(ctx, e.Organisation)
	if err != nil {
		return err
	}
	dpes, err := p.dpes(ctx, env)
	if err != nil {
		return err
	}
	jobs, err := p.jobs(ctx, env, api.JobFilter{Limit: 1})
	if _, err = unavailable(err); err != nil {
		return err
	}
	view := ui.OverviewPage{Frame: f, Offering: string(e.Offering), Owner: e.Owner, Managed: e.Usage.Managed, Expires: o.Licence.Expires}
	for _, d := range dpes {
		view.DPEs = append(view.DPEs, dpeView(d))
	}
	view.Next = nextStep(e, dpes, len(jobs) > 0, f.Manages)
	who := identityOf(ctx)
	for x := range p.opts.Bus.Backward() {
		if x.Part != sim.PartPortal || x.Environment != env || x.Time.Before(e.Created) || !p.sees(ctx, who, x) {
			continue
		}
		view.Events = append(view.Events, ui.Event{Time: x.Time, DPE: string(x.DPE), What: title(x.What), Detail: happened(x)})
		if len(view.Events) == lastEvents {
			break
		}
	}
	return page(c, http.StatusOK)(ui.Overview(view))
}

// title writes words as a sentence begins: "managed dpes scaled" is "Managed DPEs scaled".
func title(what string) string {
	what = strings.ReplaceAll(what, "dpe", "DPE")
	first, n := utf8.DecodeRuneInString(what)
	return string(unicode.ToUpper(first)) + what[n:]
}

// happened tells of an event of the portal what people want to know of it first.
func happened(e sim.Event) string {
	d := e.Detail
	var out []string
	switch e.What {
	case dpeStatusChanged:
		out = append(out, d["message"], d["replicas"], d["failure"])
	case environmentStep:
		out = append(out, d["step"], d["state"])
	case environmentUpgraded:
		out = append(out, "from "+d["from"]+" to "+d["to"])
	case commandsStarted:
		out = append(out, d["task"])
	case commandsEnded:
		out = append(out, d["task"], d["state"], d["reason"])
		if d["state"] == string(api.RunFailed) && d["exit_code"] != "" {
			out = append(out, "exit code "+d["exit_code"])
		}
	case dpeAdded, dpeEdited:
		out = append(out, "replicas "+d["replicas"], "revision "+d["revision"])
	}
	if by := d["by"]; by != "" {
		out = append(out, "by "+by)
	}
	return strings.Join(slices.DeleteFunc(out, func(s string) bool { return s == "" }), " · ")
}

// nextStep tells what a person may want to do next in an environment.
func nextStep(e api.Environment, dpes []api.DPE, worked, manages bool) ui.NextStep {
	id := string(e.ID)
	first := func(is func(api.Status) bool) (sim.Label, bool) {
		for _, d := range dpes {
			if is(d.Status) {
				return d.Label, true
			}
		}
		return "", false
	}
	switch {
	case e.Phase == api.PhaseDeleting:
		return ui.NextStep{Text: "None: the environment is being deleted."}
	case e.Phase != api.PhaseReady:
		return ui.NextStep{Text: "Wait until the environment is ready: self-managed DPEs can be added then.", Command: "dpesim wait " + id}
	case !e.Offering.SelfManaged():
		return ui.NextStep{Text: "Self-managed DPEs are available in the Professional tier and above. The environment has Ataccama-managed DPEs alone."}
	case len(dpes) == 0 && !manages:
		return ui.NextStep{Text: "There is no self-managed DPE yet. Ask the environment's owner or an organisation admin to add one."}
	case len(dpes) == 0:
		return ui.NextStep{Text: "Add a self-managed DPE: an engine that runs in a cluster of yours, near the data.", Link: "Add DPE", Path: environmentPage(e.ID, "dpes/new"), Command: "dpesim dpe add " + id + " Finance"}
	}
	if l, ok := first(func(s api.Status) bool { return s.State == api.StateNotConnected }); ok {
		return ui.NextStep{Text: string(l) + " isn't connected yet: install it in your cluster.", Link: "Installation commands", Path: environmentPage(e.ID, "dpes/"+string(l)+"/installation"), Command: "dpesim dpe commands " + id + " " + string(l)}
	}
	if l, ok := first(func(s api.Status) bool { return s.State == api.StateDisconnected }); ok {
		return ui.NextStep{Text: string(l) + " was connected and is not any more: look at its pods and logs.", Link: "Installation commands", Path: environmentPage(e.ID, "dpes/"+string(l)+"/installation"), Command: "dpesim kubectl get pods -A"}
	}
	if l, ok := first(func(s api.Status) bool { return s.Outdated }); ok {
		return ui.NextStep{Text: string(l) + " is Outdated: upgrade it to the platform's release.", Link: "Show upgrade steps", Path: environmentPage(e.ID, "dpes/"+string(l)+"/upgrade"), Command: "dpesim dpe commands " + id + " " + string(l)}
	}
	if l, ok := first(func(s api.Status) bool { return s.RedeployNeeded }); ok {
		return ui.NextStep{Text: "What runs of " + string(l) + " differs from its settings: redeploy it with the new files.", Link: "Installation commands", Path: environmentPage(e.ID, "dpes/"+string(l)+"/installation"), Command: "dpesim dpe commands " + id + " " + string(l)}
	}
	if !worked {
		return ui.NextStep{Text: "Your DPEs are connected. Have one profile an object.", Link: "Jobs", Path: environmentPage(e.ID, "jobs"), Command: "dpesim job submit " + id + " profile sample-data/birdstrikes.csv"}
	}
	return ui.NextStep{Text: "Nothing is to be done: every self-managed DPE is connected and up to date."}
}
