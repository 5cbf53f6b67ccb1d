package portal

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/why"
)

func (p *Portal) whyRoutes(r *router) {
	r.api(http.MethodGet, "/why", needTrainer, p.getWhy, op("why", "Explain how a subject came to be as it is").gives(200, why.Explanation{}).query("subject", "pod/NAME, dpe/LABEL, job/ID, node/NAME or release/NAME", ""))
}

// getWhy handles GET /why: what led to a subject's being as it is.
func (p *Portal) getWhy(c echo.Context) error {
	subject := c.QueryParam("subject")
	facts, err := p.facts(c.Request().Context(), subject)
	if err != nil {
		return err
	}
	out, err := why.Explain(subject, facts)
	if err != nil {
		return err
	}
	out.Chains = notNil(out.Chains)
	return ok(c, out)
}

// facts gathers what explains a subject: the remembered events, how each DPE is and, if it is asked of one, the jobs.
func (p *Portal) facts(ctx context.Context, subject string) (why.Facts, error) {
	f := why.Facts{Events: p.opts.Bus.Since(0)}
	rows, err := p.store.Environments(ctx, "")
	if err != nil {
		return f, fmt.Errorf("list environments: %w", err)
	}
	for _, e := range rows {
		dpes, err := p.dpes(ctx, e.ID)
		if err != nil && sim.KindOf(err) != sim.NotFound { // deleted meanwhile
			return f, err
		}
		for _, d := range dpes {
			f.DPEs = append(f.DPEs, why.DPE{
				Environment: d.Environment, Label: d.Label, Connected: d.Status.State == api.StateConnected, Message: d.Status.Message, Detail: d.Status.Detail, Compliance: d.Status.Compliance,
			})
		}
		if !strings.HasPrefix(subject, "job/") {
			continue
		}
		jobs, err := p.opts.Cloud.Jobs(ctx, e.ID, api.JobFilter{})
		if k := sim.KindOf(err); err != nil && k != sim.NotFound && k != sim.Unavailable { // it comes or goes
			return f, fmt.Errorf("list jobs of environment %s: %w", e.ID, err)
		}
		for _, j := range jobs {
			f.Jobs = append(f.Jobs, why.Job{Environment: e.ID, ID: j.ID, State: string(j.State), Reason: j.Reason})
		}
	}
	return f, nil
}
