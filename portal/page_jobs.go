package portal

import (
	"cmp"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

func (p *Portal) jobPages(r *router) {
	r.page(http.MethodGet, "/environments/:env/jobs", needUser, func(c echo.Context) error { return p.jobsPage(c, api.JobSpec{}, nil) })
	r.page(http.MethodPost, "/environments/:env/jobs", needManage, p.submitJobForm)
}

// submitJobForm handles POST /environments/{env}/jobs.
func (p *Portal) submitJobForm(c echo.Context) error {
	s := api.JobSpec{Bucket: c.FormValue("bucket"), Key: c.FormValue("key"), Label: sim.Label(c.FormValue("label"))}
	if _, err := p.submitJob(c.Request().Context(), environmentOf(c), s); err != nil {
		return p.jobsPage(c, s, err)
	}
	return see(c, environmentPage(environmentOf(c), "jobs"))
}

// jobsPage shows a page of the jobs, and the form with what was typed and what was wrong with it.
func (p *Portal) jobsPage(c echo.Context, s api.JobSpec, wrong error) error {
	ctx, env := c.Request().Context(), environmentOf(c)
	f, err := p.environmentFrame(c, "", "jobs")
	if err != nil {
		return err
	}
	filter, wrongFilter := jobFilter(c)
	code, err := failure(&f, cmp.Or(wrong, wrongFilter))
	if err != nil {
		return err
	}
	view := ui.JobsPage{Frame: f, Bucket: s.Bucket, Key: s.Key}
	e, dpes, err := p.store.DPEs(ctx, env)
	if err != nil {
		return err
	}
	for _, d := range dpes {
		view.Labels = append(view.Labels, ui.Option{Value: string(d.Label), Text: d.Name, Chosen: d.Label == s.Label})
	}
	if e.Managed.Replicas > 0 {
		view.Labels = append(view.Labels, ui.Option{Value: string(api.ManagedLabel), Text: "Ataccama-managed", Chosen: s.Label == api.ManagedLabel})
	}
	if wrongFilter != nil {
		filter = api.JobFilter{}
	}
	view.States = options(api.JobStates(), asIs, func(s api.JobState) bool { return s == filter.State })
	view.State = string(filter.State)
	filter.Limit = pageDefault + 1
	jobs, err := p.jobs(ctx, env, filter)
	if view.Unavailable, err = unavailable(err); err != nil {
		return err
	}
	at := func(before sim.JobID) string {
		q := url.Values{}
		if filter.State != "" {
			q.Set("state", string(filter.State))
		}
		if before != "" {
			q.Set("before", string(before))
		}
		return (&url.URL{Path: environmentPage(env, "jobs"), RawQuery: q.Encode()}).String()
	}
	view.Self = at(filter.Before)
	if filter.Before != "" {
		view.Newest = at("")
	}
	if len(jobs) > pageDefault {
		jobs = jobs[:pageDefault]
		view.Older = at(jobs[pageDefault-1].ID)
	}
	for _, j := range jobs {
		view.Jobs = append(view.Jobs, jobView(j))
	}
	return page(c, code)(ui.Jobs(view))
}

func jobView(j api.Job) ui.Job {
	v := ui.Job{
		ID: string(j.ID), State: string(j.State), Source: j.Spec.Bucket + "/" + j.Spec.Key, Engine: string(j.Engine), Reason: j.Reason,
		Attempt: j.Attempt, Created: j.Created,
	}
	switch {
	case j.State == api.JobSuccess:
		v.Colour = "green"
	case j.State.Final():
		v.Colour = "red"
	default:
		v.Colour = "orange"
	}
	if j.Result != nil {
		v.Result = j.Result.Bucket + "/" + j.Result.Key
	}
	return v
}
