package portal

import (
	"context"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

func (p *Portal) consolePages(r *router) {
	r.page(http.MethodGet, "/environments/:env/dpm", needUser, p.showDPM)
	r.page(http.MethodGet, "/environments/:env/storage", needManage, p.showBuckets)
	r.page(http.MethodGet, "/environments/:env/storage/:bucket", needManage, p.showObjects)
	r.page(http.MethodGet, "/environments/:env/storage/:bucket/object", needSecrets, p.downloadObject)
}

// consoleJobs is how many jobs the DPM Admin Console shows.
const consoleJobs = 20

// showDPM handles GET /environments/{env}/dpm: the DPM Admin Console. "The exact versions of both DPE and DPM can be found
// in the DPM Admin Console." (seed)
func (p *Portal) showDPM(c echo.Context) error {
	ctx, env := c.Request().Context(), environmentOf(c)
	f, err := p.environmentFrame(c, "DPM Admin Console", "")
	if err != nil {
		return err
	}
	view := ui.DPMPage{Frame: f, Address: p.opts.Cloud.Endpoints(env).DPM}
	dpes, err := p.dpes(ctx, env)
	if err != nil {
		return err
	}
	for _, d := range dpes {
		view.DPEs = append(view.DPEs, dpeView(d))
	}
	if view.EngineList, err = p.engineViews(ctx, env, sim.Release(f.Environment.Release)); err != nil {
		return err
	}
	jobs, err := p.jobs(ctx, env, api.JobFilter{Limit: consoleJobs + 1})
	if view.JobsUnavailable, err = unavailable(err); err != nil {
		return err
	}
	view.More = len(jobs) > consoleJobs
	for _, j := range jobs[:min(len(jobs), consoleJobs)] {
		view.Jobs = append(view.Jobs, jobView(j))
	}
	return page(c, http.StatusOK)(ui.DPM(view))
}

// shownEngines bounds how many engines a page lists.
const shownEngines = 100

// engineViews gives the engines that are connected, or why they are not known.
func (p *Portal) engineViews(ctx context.Context, env sim.EnvironmentID, platform sim.Release) (out ui.EngineList, err error) {
	engines, err := p.opts.Cloud.Engines(ctx, env)
	if out.EnginesUnavailable, err = unavailable(err); err != nil {
		return out, fmt.Errorf("list engines of environment %s: %w", env, err)
	}
	out.Connected = len(engines)
	for _, x := range byReplica(engines)[:min(len(engines), shownEngines)] {
		out.Engines = append(out.Engines, ui.Engine{
			Label: string(x.Label), Replica: string(x.Replica), Version: string(x.Version), Drivers: joined(x.Drivers), Remote: x.Remote,
			Revision: x.Revision, Running: x.Running, Slots: x.Slots, Outdated: x.Version != platform, Draining: x.Draining, Managed: x.Managed, Connected: x.ConnectedAt,
		})
	}
	return out, nil
}
