package portal

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
)

func (p *Portal) runRoutes(r *router) {
	const path = "/environments/:env/dpes/:label/runs"
	r.api(http.MethodGet, path, needManage, p.getRuns, op("runs", "List the last runs of the DPE's commands on the simulator's own cluster, newest first, without output. Runs are kept in memory, until the simulator stops").gives(200, []api.Run{}))
	r.api(http.MethodPost, path, needSecrets, p.postRun, op("startRun", "Run a task of the direct installation commands, as they are printed, on the simulator's own cluster; one at a time of a DPE").takes(api.RunSpec{}).gives(201, api.Run{}).located())
	r.api(http.MethodGet, path+"/:run", needManage, p.getRun, op("run", "Give a run with its output so far, in which secrets are concealed").gives(200, api.Run{}))
	r.api(http.MethodPost, path+"/:run/cancel", needManage, p.postCancelRun, op("cancelRun", "Have a run end soon: helm and kubectl are interrupted. One that has ended stays as it is").gives(202, api.Run{}))
	r.api(http.MethodGet, path+"/:run/output", needManage, p.getRunOutput, op("followRun", `Follow a run's output: each event is a line, {"line": its number, "text": ...}, until the event "ended", whose data is the run. The event "missed" tells of lines that are no longer kept`).
		givesText(api.EventStreamType).query("after", "Only lines with a greater number", int64(0)).header("Last-Event-ID", "Number of the last line seen, instead of after"))
}

// getRuns handles GET /environments/{env}/dpes/{label}/runs.
func (p *Portal) getRuns(c echo.Context) error {
	_, d, err := p.store.DPE(c.Request().Context(), environmentOf(c), labelOf(c))
	if err != nil {
		return err
	}
	out := []api.Run{}
	for _, r := range p.runs.Of(d.ID) {
		out = append(out, r.View())
	}
	return ok(c, out)
}

// postRun handles POST /environments/{env}/dpes/{label}/runs.
func (p *Portal) postRun(c echo.Context) error {
	var s api.RunSpec
	if err := decode(c, &s); err != nil {
		return err
	}
	r, err := p.startRun(c.Request().Context(), environmentOf(c), labelOf(c), s.Task)
	if err != nil {
		return err
	}
	is := r.View()
	c.Response().Header().Set(echo.HeaderLocation, fmt.Sprintf("%s/environments/%s/dpes/%s/runs/%s", api.Prefix, is.Environment, is.DPE, is.ID))
	return c.JSON(http.StatusCreated, is)
}

// getRun handles GET /environments/{env}/dpes/{label}/runs/{run}.
func (p *Portal) getRun(c echo.Context) error {
	r, err := p.run(c.Request().Context(), environmentOf(c), labelOf(c), c.Param("run"))
	if err != nil {
		return err
	}
	return ok(c, r.Whole())
}

// postCancelRun handles POST /environments/{env}/dpes/{label}/runs/{run}/cancel.
func (p *Portal) postCancelRun(c echo.Context) error {
	r, err := p.cancelRun(c.Request().Context(), environmentOf(c), labelOf(c), c.Param("run"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusAccepted, r.View())
}

// getRunOutput handles GET /environments/{env}/dpes/{label}/runs/{run}/output.
func (p *Portal) getRunOutput(c echo.Context) error {
	return p.streamRun(c, func(l api.OutputLine) (string, error) {
		b, err := json.Marshal(l)
		return fmt.Sprintf("id: %d\ndata: %s\n\n", l.Line, b), err
	})
}

// streamRun sends the lines of a run, each as line writes it, until the run has ended.
func (p *Portal) streamRun(c echo.Context, line func(api.OutputLine) (string, error)) error {
	r, err := p.run(c.Request().Context(), environmentOf(c), labelOf(c), c.Param("run"))
	if err != nil {
		return err
	}
	last, err := after(c)
	if err != nil {
		return err
	}
	n, ended := int64(min(last, 1<<62)), false
	return p.stream(c, func(ctx context.Context) (string, error) {
		if ended {
			return "", io.EOF
		}
		lines, missed, closed, moved := r.Lines(n)
		var out []byte
		if missed > 0 {
			out = fmt.Appendf(out, "event: %s\ndata: {\"missed\":%d}\n\n", api.RunMissedEvent, missed)
		}
		for _, l := range lines {
			s, err := line(l)
			if err != nil {
				return "", err
			}
			out, n = append(out, s...), l.Line
		}
		switch {
		case closed:
			ended = true
			b, err := json.Marshal(r.View())
			return string(fmt.Appendf(out, "event: %s\ndata: %s\n\n", api.RunEndedEvent, b)), err
		case len(out) > 0:
			return string(out), nil
		}
		return p.moved(ctx, moved)
	})
}

// moved waits until there is more, at most for a heartbeat.
func (p *Portal) moved(ctx context.Context, moved <-chan struct{}) (string, error) {
	wait, cancel := p.wall.WithTimeout(ctx, heartbeat)
	defer cancel()
	select {
	case <-moved:
		return "", nil
	case <-wait.Done():
		return alive, nil
	}
}
