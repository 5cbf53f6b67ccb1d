package portal

import (
	"context"
	"fmt"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

// getUpgrade handles GET /environments/{env}/upgrade.
func (p *Portal) getUpgrade(c echo.Context) error {
	out, err := p.previewUpgrade(c.Request().Context(), environmentOf(c), sim.Release(c.QueryParam("release")))
	if err != nil {
		return err
	}
	return ok(c, out)
}

// showUpgrade handles GET /environments/{env}/upgrade, the page.
func (p *Portal) showUpgrade(c echo.Context) error {
	return p.upgradePage(c, sim.Release(c.QueryParam("release")), nil)
}

// upgradePage tells what an upgrade means, and what was wrong with the form that asked for it. What cannot be asked for any
// more is told on the Settings tab.
func (p *Portal) upgradePage(c echo.Context, r sim.Release, wrong error) error {
	x, err := p.previewUpgrade(c.Request().Context(), environmentOf(c), r)
	if err != nil {
		if wrong != nil {
			return p.settings(c, wrong)
		}
		return err
	}
	f, err := p.environmentFrame(c, "Upgrade platform", "")
	if err != nil {
		return err
	}
	code, err := failure(&f, wrong)
	if err != nil {
		return err
	}
	view := ui.UpgradePage{Frame: f, Revision: x.Revision, From: string(x.From), To: string(x.To), Oldest: string(x.Oldest), Managed: x.Managed}
	for _, d := range x.DPEs {
		v := ui.DPEUpgrade{Name: d.Name, Label: string(d.Label), Running: joined(d.Running), Outdated: d.Outdated, Required: d.UpgradeRequired}
		for _, k := range d.Values {
			v.Values = append(v.Values, ui.ValueChange{Key: k.Key, Change: string(k.Change), Was: k.Was})
		}
		view.DPEs = append(view.DPEs, v)
	}
	return page(c, code)(ui.Upgrade(view))
}

// previewUpgrade tells what an upgrade to release r would mean, without doing it.
func (p *Portal) previewUpgrade(ctx context.Context, env sim.EnvironmentID, r sim.Release) (api.UpgradePreview, error) {
	if err := checkRelease(r); err != nil {
		return api.UpgradePreview{}, err
	}
	e, rows, err := p.store.DPEs(ctx, env)
	if err != nil {
		return api.UpgradePreview{}, fmt.Errorf("preview the upgrade: %w", err)
	}
	if err := store.CheckUpgrade(e, r); err != nil {
		return api.UpgradePreview{}, err
	}
	engines, err := p.engines(ctx, env)
	if err != nil {
		return api.UpgradePreview{}, err
	}
	out := api.UpgradePreview{Revision: e.Revision, From: e.Release, To: r, Oldest: chart.OldestEngine(r), Managed: e.Managed.Replicas, DPEs: []api.DPEUpgrade{}}
	for _, d := range rows {
		own := slices.DeleteFunc(slices.Clone(engines), func(x api.Engine) bool { return x.Label != d.Label })
		runs := running(d.Seen, own).Releases
		x := api.DPEUpgrade{
			Label: d.Label, Name: d.Name, Running: notNil(runs),
			Outdated:        slices.ContainsFunc(runs, func(s sim.Release) bool { return s != r }),
			UpgradeRequired: slices.ContainsFunc(runs, func(s sim.Release) bool { return s.Compare(out.Oldest) < 0 }),
		}
		if x.Values, err = p.valueChanges(ctx, e, d, r); err != nil {
			return api.UpgradePreview{}, err
		}
		out.DPEs = append(out.DPEs, x)
	}
	return out, nil
}

// valueChanges lists the keys that the values.yaml of d would gain, lose and rename with release r: "The new values.yml file might
// have additional values." (seed, "Self-managed DPE upgrades")
func (p *Portal) valueChanges(ctx context.Context, e store.Environment, d store.DPE, r sim.Release) ([]api.ValueChange, error) {
	have, err := p.write(ctx, e, d, d.Revision, d.Inputs)
	if err != nil {
		return nil, err
	}
	next := d.Inputs
	next.Release = r
	want, err := p.write(ctx, e, d, d.Revision+1, next)
	if err != nil {
		return nil, err
	}
	differences, err := chart.CompareValues(have, want)
	if err != nil {
		return nil, fmt.Errorf("compare values of DPE %s: %w", d.Label, err)
	}
	renamed := chart.Renamed(d.Release, r)
	gone := map[string]bool{} // under its old name
	for _, was := range renamed {
		gone[was] = true
	}
	out := []api.ValueChange{}
	for _, x := range differences {
		switch {
		case x.Have == "" && renamed[x.Key] != "":
			out = append(out, api.ValueChange{Key: x.Key, Change: api.ValueRenamed, Was: renamed[x.Key]})
		case x.Have == "":
			out = append(out, api.ValueChange{Key: x.Key, Change: api.ValueNew})
		case x.Want == "" && !gone[x.Key]:
			out = append(out, api.ValueChange{Key: x.Key, Change: api.ValueGone})
		}
	}
	return out, nil
}
