package portal

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
)

func (p *Portal) jobRoutes(r *router) {
	r.api(http.MethodGet, "/environments/:env/jobs", needUser, p.getJobs, op("jobs", "List jobs, newest first").gives(200, []api.Job{}).query("before", "Only those that were accepted before this one", sim.JobID("")).query("state", "Only those in this state", api.JobState("")).paged(pageDefault))
	r.api(http.MethodPost, "/environments/:env/jobs", needManage, p.postJob, op("submitJob", "Submit a job").takes(api.JobSpec{}).gives(201, api.Job{}).located())
	r.api(http.MethodGet, "/environments/:env/jobs/:job", needUser, p.getJob, op("job", "Give one job").gives(200, api.Job{}))
}

// getJobs handles GET /environments/{env}/jobs.
func (p *Portal) getJobs(c echo.Context) error {
	n, err := limit(c, pageDefault)
	if err != nil {
		return err
	}
	f, err := jobFilter(c)
	if err != nil {
		return err
	}
	f.Limit = n + 1
	out, err := p.jobs(c.Request().Context(), environmentOf(c), f)
	if err != nil {
		return err
	}
	return ok(c, cut(c, out, n, "before", func(j api.Job) string { return string(j.ID) }))
}

// jobFilter reads from the query which jobs are asked for.
func jobFilter(c echo.Context) (api.JobFilter, error) {
	f := api.JobFilter{Before: sim.JobID(c.QueryParam("before")), State: api.JobState(c.QueryParam("state"))}
	if f.State != "" && !slices.Contains(api.JobStates(), f.State) {
		return f, api.InField("state", sim.Errorf(sim.Invalid, "there is no state %.20q of a job", string(f.State)).WithHelp("the states are %v", api.JobStates()))
	}
	return f, nil
}

// postJob handles POST /environments/{env}/jobs.
func (p *Portal) postJob(c echo.Context) error {
	var s api.JobSpec
	if err := decode(c, &s); err != nil {
		return err
	}
	j, err := p.submitJob(c.Request().Context(), environmentOf(c), s)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, fmt.Sprintf("%s/environments/%s/jobs/%s", api.Prefix, environmentOf(c), j.ID))
	return c.JSON(http.StatusCreated, j)
}

// getJob handles GET /environments/{env}/jobs/{id}.
func (p *Portal) getJob(c echo.Context) error {
	ctx, env := c.Request().Context(), environmentOf(c)
	if _, err := p.store.Environment(ctx, env); err != nil {
		return err
	}
	j, err := p.opts.Cloud.Job(ctx, env, sim.JobID(c.Param("job")))
	if err != nil {
		return fmt.Errorf("get job: %w", err)
	}
	return ok(c, j)
}

func (p *Portal) jobs(ctx context.Context, env sim.EnvironmentID, f api.JobFilter) ([]api.Job, error) {
	if _, err := p.store.Environment(ctx, env); err != nil {
		return nil, err
	}
	out, err := p.opts.Cloud.Jobs(ctx, env, f)
	if err != nil {
		return nil, fmt.Errorf("list jobs of environment %s: %w", env, err)
	}
	return out, nil
}

// submitJob checks what can be checked without the environment's services and hands s on.
func (p *Portal) submitJob(ctx context.Context, env sim.EnvironmentID, s api.JobSpec) (api.Job, error) {
	if s.Kind == "" {
		s.Kind = api.JobProfile
	}
	switch {
	case s.Kind != api.JobProfile:
		return api.Job{}, api.InField("kind", sim.Errorf(sim.Invalid, "there is no kind of job %q", string(s.Kind)).WithHelp("the kinds are: %s", api.JobProfile))
	case s.Bucket == "":
		return api.Job{}, api.InField("bucket", sim.Errorf(sim.Invalid, "the job does not say what to read").WithHelp("give the bucket and the key of an object"))
	case s.Key == "":
		return api.Job{}, api.InField("key", sim.Errorf(sim.Invalid, "the job does not say what to read").WithHelp("give the bucket and the key of an object"))
	case s.MaxRecords < 0:
		return api.Job{}, api.InField("max_records", sim.Errorf(sim.Invalid, "a job cannot read %d records", s.MaxRecords).WithHelp("give a positive number, or 0 for all"))
	}
	if _, err := p.store.Environment(ctx, env); err != nil {
		return api.Job{}, err
	}
	if s.Label != "" && s.Label != api.ManagedLabel {
		if _, _, err := p.store.DPE(ctx, env, s.Label); err != nil {
			return api.Job{}, api.InField("label", err)
		}
	}
	j, err := p.opts.Cloud.SubmitJob(ctx, env, s)
	if err != nil {
		return api.Job{}, fmt.Errorf("submit job: %w", err)
	}
	act := store.Act{Action: "job submitted", Environment: env, DPE: s.Label, Detail: map[string]string{"job_id": string(j.ID), "source": s.Bucket + "/" + s.Key}}
	if err := p.store.Record(ctx, act); err != nil {
		return api.Job{}, err
	}
	return j, nil
}
