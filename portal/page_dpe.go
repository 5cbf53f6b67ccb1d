package portal

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

func (p *Portal) dpePages(r *router) {
	r.page(http.MethodGet, "/environments/:env/label", needUser, p.showLabel)
	r.page(http.MethodGet, "/environments/:env/dpes/new", needManage, p.showNewDPE)
	r.page(http.MethodPost, "/environments/:env/dpes", needManage, p.submitDPE)
	r.page(http.MethodGet, "/environments/:env/dpes/:label/status", needUser, p.showStatus)
	r.page(http.MethodGet, "/environments/:env/dpes/:label/installation", needUser, func(c echo.Context) error { return p.showInstallation(c, false, nil) })
	r.page(http.MethodGet, "/environments/:env/dpes/:label/upgrade", needUser, func(c echo.Context) error { return p.showInstallation(c, true, nil) })
	r.page(http.MethodGet, "/environments/:env/dpes/:label/edit", needManage, p.showEdit)
	r.page(http.MethodPost, "/environments/:env/dpes/:label/edit", needManage, p.submitEdit)
	r.page(http.MethodGet, "/environments/:env/dpes/:label/remove", needManage, p.showRemove)
	r.page(http.MethodPost, "/environments/:env/dpes/:label/remove", needManage, p.submitRemove)
}

func dpeView(d api.DPE) ui.DPE {
	return ui.DPE{
		Environment: string(d.Environment), Label: string(d.Label), Name: d.Name, Drivers: joined(d.Drivers), Release: string(d.Release),
		Replicas: d.Replicas, Revision: d.Revision, Status: statusView(d, true), Sizing: store.SizingWords(d.ExceptionalSizing),
	}
}

func statusView(d api.DPE, steps bool) ui.Status {
	s := d.Status
	v := ui.Status{
		Environment: string(d.Environment), Label: string(d.Label), Colour: string(s.Colour), Message: s.Message, Detail: s.Detail,
		Redeploy: s.RedeployNeeded, Outdated: s.Outdated, Running: joined(s.Running), Platform: string(s.Platform), Steps: steps,
	}
	v.UpgradeRequired, v.Oldest, v.Compliance = s.UpgradeRequired, string(s.OldestRelease), s.Compliance
	if s.LastFailure != nil {
		v.Failure, v.Failed = s.LastFailure.Sentence, s.LastFailure.Time
	}
	if s.DisconnectedSince != nil {
		v.Since = *s.DisconnectedSince
	}
	for _, x := range s.Differences {
		v.Differences = append(v.Differences, ui.Difference{Field: x.Field, Running: x.Running, Wanted: x.Wanted})
	}
	return v
}

// showLabel handles GET /environments/{env}/label?name=: the label that a name would give, for the form.
func (p *Portal) showLabel(c echo.Context) error {
	return page(c, http.StatusOK)(ui.LabelFragment(labelPreview(c.QueryParam("name"))))
}

// showStatus handles GET /environments/{env}/dpes/{label}/status: the status alone, for pages that live.
func (p *Portal) showStatus(c echo.Context) error {
	d, err := p.dpe(c.Request().Context(), environmentOf(c), labelOf(c))
	if err != nil {
		return err
	}
	return page(c, http.StatusOK)(ui.StatusFragment(statusView(d, c.QueryParam("steps") != "no")))
}

// labelPreview tells what label a name would give.
func labelPreview(name string) ui.LabelPreview {
	l := sim.Slug(name)
	return ui.LabelPreview{Label: l, Warning: labelWarning(sim.Label(l))}
}

// dpeForm is what was typed into the form of Add DPE or Edit.
type dpeForm struct {
	name     string
	drivers  []sim.Driver
	replicas string
	revision int64
	sizing   sim.Sizing // in place of the tier's
}

func readDPEForm(c echo.Context) (dpeForm, error) {
	form, err := c.FormParams()
	if err != nil {
		return dpeForm{}, err
	}
	f := dpeForm{name: form.Get("name"), replicas: form.Get("replicas"), drivers: []sim.Driver{}}
	for _, d := range form["driver"] {
		f.drivers = append(f.drivers, sim.Driver(d))
	}
	for _, x := range store.Figures() {
		*x.Of(&f.sizing) = form.Get(x.Name)
	}
	f.revision, err = formRevision(c)
	return f, err
}

func (f dpeForm) count() (int, error) {
	n, err := strconv.Atoi(f.replicas)
	if err != nil {
		return 0, sim.Errorf(sim.Invalid, "the number of replicas cannot be %q", f.replicas).WithHelp("give a whole number from 1")
	}
	return n, checkReplicas(n)
}

// showNewDPE handles GET /environments/{env}/dpes/new.
func (p *Portal) showNewDPE(c echo.Context) error {
	return p.dpeForm(c, nil, dpeForm{drivers: sim.Drivers(), replicas: "1"}, nil)
}

// submitDPE handles POST /environments/{env}/dpes.
func (p *Portal) submitDPE(c echo.Context) error {
	form, err := readDPEForm(c)
	if err != nil {
		return err
	}
	var d api.DPE
	n, err := form.count()
	if err == nil {
		d, err = p.addDPE(c.Request().Context(), environmentOf(c), api.DPESpec{Name: form.name, Drivers: form.drivers, Replicas: n, ExceptionalSizing: form.sizing})
	}
	if err != nil {
		return p.dpeForm(c, nil, form, err)
	}
	return see(c, dpePage(d.Environment, d.Label, "installation"))
}

func dpePage(env sim.EnvironmentID, l sim.Label, below string) string {
	return environmentPage(env, fmt.Sprintf("dpes/%s/%s", l, below))
}

// dpeForm shows the form of Add DPE, or of Edit if d is given, with what was typed and what was wrong with it.
func (p *Portal) dpeForm(c echo.Context, d *store.DPE, form dpeForm, wrong error) error {
	title := "Add DPE"
	if d != nil {
		title = "Edit self-managed DPE"
	}
	f, err := p.environmentFrame(c, title, "")
	if err != nil {
		return err
	}
	code, err := failure(&f, wrong)
	if err != nil {
		return err
	}
	view := ui.DPEFormPage{
		Frame: f, Name: form.name, LabelPreview: labelPreview(form.name), Replicas: form.replicas, Revision: form.revision,
		Free:    max(f.Environment.ReplicasLicensed-f.Environment.Replicas, 0),
		Drivers: options(sim.Drivers(), asIs, func(x sim.Driver) bool { return slices.Contains(form.drivers, x) }),
	}
	if view.Sizing, err = p.sizingFields(c.Request().Context(), environmentOf(c), form.sizing); err != nil {
		return err
	}
	if d != nil {
		view.Edit, view.Name, view.LabelPreview = true, d.Name, ui.LabelPreview{Label: string(d.Label)}
		view.Free += d.Replicas
	}
	return page(c, code)(ui.DPEForm(view))
}

// sizingFields gives the fields for an exceptional sizing with what was typed; none if the contract allows none.
func (p *Portal) sizingFields(ctx context.Context, env sim.EnvironmentID, typed sim.Sizing) ([]ui.SizingField, error) {
	e, err := p.store.Environment(ctx, env)
	if err != nil || !e.Contract.ExceptionalSizing {
		return nil, err
	}
	base, err := e.Tier.Sizing()
	if err != nil {
		return nil, err
	}
	var out []ui.SizingField
	for _, x := range store.Figures() {
		out = append(out, ui.SizingField{Name: x.Name, Title: title(x.Words), Value: *x.Of(&typed), Tier: *x.Of(&base)})
	}
	return out, nil
}

// showEdit handles GET /environments/{env}/dpes/{label}/edit.
func (p *Portal) showEdit(c echo.Context) error {
	_, d, err := p.store.DPE(c.Request().Context(), environmentOf(c), labelOf(c))
	if err != nil {
		return err
	}
	return p.dpeForm(c, &d, dpeForm{drivers: d.Drivers, replicas: strconv.Itoa(d.Replicas), revision: d.Revision, sizing: d.Sizing}, nil)
}

// submitEdit handles POST /environments/{env}/dpes/{label}/edit.
func (p *Portal) submitEdit(c echo.Context) error {
	ctx, env, l := c.Request().Context(), environmentOf(c), labelOf(c)
	form, err := readDPEForm(c)
	if err != nil {
		return err
	}
	n, err := form.count()
	if err == nil {
		_, err = p.editDPE(ctx, env, l, api.DPEEdit{Drivers: &form.drivers, Replicas: &n, ExceptionalSizing: &form.sizing}, form.revision)
	}
	if err != nil {
		return p.editAgain(ctx, c, form, err)
	}
	return see(c, dpePage(env, l, "installation"))
}

// editAgain shows the form of Edit after it failed. What somebody else changed meanwhile is overwritten only if the form
// is sent once more.
func (p *Portal) editAgain(ctx context.Context, c echo.Context, form dpeForm, wrong error) error {
	_, d, err := p.store.DPE(ctx, environmentOf(c), labelOf(c))
	if err != nil {
		return err
	}
	form.revision = d.Revision
	return p.dpeForm(c, &d, form, wrong)
}

// showInstallation handles GET /environments/{env}/dpes/{label}/installation, and .../upgrade: the same commands, as
// upgrade steps. wrong is what was wrong with a run of them.
func (p *Portal) showInstallation(c echo.Context, upgrade bool, wrong error) error {
	ctx, env, l := c.Request().Context(), environmentOf(c), labelOf(c)
	title, here := "Installation commands", "installation"
	if upgrade {
		title, here = "Upgrade steps", "upgrade"
	}
	f, err := p.environmentFrame(c, title, "")
	if err != nil {
		return err
	}
	d, err := p.dpe(ctx, env, l)
	if err != nil {
		return err
	}
	_, row, err := p.store.DPE(ctx, env, l)
	if err != nil {
		return err
	}
	f.Title = title + " of " + d.Name
	code, err := failure(&f, wrong)
	if err != nil {
		return err
	}
	all := commands(row, p.opts.Cloud.Endpoints(env))
	chosen, err := all.Variant(cmp.Or(api.Variant(c.QueryParam("variant")), api.VariantDirect))
	if err != nil {
		return err
	}
	view := ui.InstallationPage{
		Frame: f, DPE: dpeView(d), Upgrade: upgrade, Installed: len(d.Status.Running) > 0, Explanation: chosen.Explanation,
		Prepare: commandViews("prepare", chosen.Prepare), Diff: commandViews("diff", chosen.Diff), Install: commandViews("install", chosen.Install),
		Verify: commandViews("verify", chosen.Verify), Rollback: commandViews("rollback", chosen.Rollback), Uninstall: commandViews("uninstall", chosen.Uninstall),
	}
	view.DPE.Status.Steps = false
	view.Run = p.lastRun(row, here, f.Manages)
	offer := func(task api.Task, covers string) ui.RunHere { return p.runHere(row, f, chosen, task, here, covers) }
	view.RunInstall, view.RunVerify = offer(api.TaskInstall, "Steps 2 and 3"), offer(api.TaskVerify, "Step 4")
	view.RunRollback, view.RunUninstall = offer(api.TaskRollback, "The commands above"), offer(api.TaskUninstall, "Uninstall the DPE from the cluster")
	for _, x := range all.Requirements {
		view.Requirements = append(view.Requirements, ui.Requirement{Name: x.Name, Version: x.Version, Explanation: x.Explanation})
	}
	for _, x := range all.Variants {
		view.Variants = append(view.Variants, ui.Option{Value: string(x.Variant), Text: x.Title, Chosen: x.Variant == chosen.Variant})
	}
	for _, x := range chosen.Files {
		view.Files = append(view.Files, ui.File{Name: x.Name, Href: x.Href, Explanation: x.Explanation, Secret: x.Secret})
	}
	return page(c, code)(ui.Installation(view))
}

func commandViews(id string, all []api.Command) []ui.Command {
	out := make([]ui.Command, len(all))
	for i, x := range all {
		out[i] = ui.Command{ID: fmt.Sprintf("%s-%d", id, i+1), Title: x.Title, Explanation: x.Explanation, Text: x.Command, NotHere: x.NotHere}
	}
	return out
}

// showRemove handles GET /environments/{env}/dpes/{label}/remove.
func (p *Portal) showRemove(c echo.Context) error { return p.confirmRemove(c, nil) }

// submitRemove handles POST /environments/{env}/dpes/{label}/remove.
func (p *Portal) submitRemove(c echo.Context) error {
	env, l := environmentOf(c), labelOf(c)
	revision, err := formRevision(c)
	if err != nil {
		return err
	}
	if c.FormValue("confirm") != string(l) {
		return p.confirmRemove(c, notConfirmed(string(l)))
	}
	if err := p.removeDPE(c.Request().Context(), env, l, revision); err != nil {
		return p.confirmRemove(c, err)
	}
	return see(c, environmentPage(env, "settings"))
}

func (p *Portal) confirmRemove(c echo.Context, wrong error) error {
	f, err := p.environmentFrame(c, "Remove self-managed DPE", "")
	if err != nil {
		return err
	}
	_, d, err := p.store.DPE(c.Request().Context(), environmentOf(c), labelOf(c))
	if err != nil {
		return err
	}
	code, err := failure(&f, wrong)
	if err != nil {
		return err
	}
	run := p.lastRun(d, "remove", f.Manages)
	if run != nil && run.Task != string(api.TaskUninstall) {
		run = nil // it belongs to the other pages
	}
	direct := installation(api.VariantDirect, d, api.Endpoints{})
	return page(c, code)(ui.Remove(ui.RemovePage{
		Frame: f, Label: string(d.Label), Name: d.Name, Replicas: d.Replicas, Revision: d.Revision, Confirm: confirmed(c, string(d.Label)), Uninstall: direct.Uninstall[0].Command,
		Run: run, RunUninstall: p.runHere(d, f, direct, api.TaskUninstall, "remove", "The command above"),
	}))
}
