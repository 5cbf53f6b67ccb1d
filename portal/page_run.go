package portal

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

func (p *Portal) runPages(r *router) {
	const path = "/environments/:env/dpes/:label/runs"
	r.page(http.MethodPost, path, needSecrets, p.submitRun)
	r.page(http.MethodGet, path+"/:run/lines", needManage, p.streamLines)
	r.page(http.MethodPost, path+"/:run/cancel", needManage, p.submitCancelRun)
}

// submitRun handles POST /environments/{env}/dpes/{label}/runs.
func (p *Portal) submitRun(c echo.Context) error {
	if _, err := p.startRun(c.Request().Context(), environmentOf(c), labelOf(c), api.Task(c.FormValue("task"))); err != nil {
		switch back(c) {
		case "remove":
			return p.confirmRemove(c, err)
		default:
			return p.showInstallation(c, back(c) == "upgrade", err)
		}
	}
	return see(c, dpePage(environmentOf(c), labelOf(c), back(c)+"#run"))
}

// submitCancelRun handles POST /environments/{env}/dpes/{label}/runs/{run}/cancel.
func (p *Portal) submitCancelRun(c echo.Context) error {
	if _, err := p.cancelRun(c.Request().Context(), environmentOf(c), labelOf(c), c.Param("run")); err != nil {
		return err
	}
	return see(c, dpePage(environmentOf(c), labelOf(c), back(c)+"#run"))
}

// back reads which page a run was looked at on.
func back(c echo.Context) string {
	switch s := c.FormValue("back"); s {
	case "upgrade", "remove":
		return s
	}
	return "installation"
}

// streamLines handles GET /environments/{env}/dpes/{label}/runs/{run}/lines: the output as it comes, as a page shows it.
func (p *Portal) streamLines(c echo.Context) error {
	return p.streamRun(c, func(l api.OutputLine) (string, error) {
		b, err := ui.LineFragment(l.Text)
		return fmt.Sprintf("event: line\nid: %d\ndata: %s\n\n", l.Line, b), err
	})
}

// lastRun is the last run of a DPE's commands for a page, if there was one and who looks may see it.
func (p *Portal) lastRun(d store.DPE, here string, manages bool) *ui.Run {
	all := p.runs.Of(d.ID)
	if len(all) == 0 || !manages {
		return nil
	}
	return new(runView(all[0].Whole(), here))
}

// runHere offers to run a task, or says why not.
func (p *Portal) runHere(d store.DPE, f ui.Frame, i api.Installation, t api.Task, here, covers string) ui.RunHere {
	out := ui.RunHere{Environment: string(d.Environment), Label: string(d.Label), Task: string(t), Back: here, Covers: covers}
	_, err := i.Task(t)
	all := p.runs.Of(d.ID)
	switch {
	case err != nil:
		msg, help := sim.Explain(err)
		out.Why = sentence(msg) + " " + sentence(help)
	case !f.Manages:
		out.Why = "The owner and admins may run it here."
	case !p.runs.Can():
		out.Why = "It cannot be run here: this simulator was started without a shell. Copy the commands, and run them in a terminal."
	case len(all) > 0 && all[0].View().State == api.RunRunning:
		out.Why = "It can be run here when the run above has ended."
	}
	return out
}

func runView(r api.Run, here string) ui.Run {
	v := ui.Run{
		Environment: string(r.Environment), Label: string(r.DPE), ID: r.ID, Back: here, Task: string(r.Task), Running: r.State == api.RunRunning, By: r.By, Started: r.Started,
		Release: string(r.Release), Revision: r.Revision, Output: r.Output, Line: r.Line, Cut: r.Cut, Help: sentence(r.Help()),
		Title: map[api.Task]string{api.TaskInstall: "install or update", api.TaskVerify: "verify", api.TaskRollback: "roll back", api.TaskUninstall: "uninstall"}[r.Task],
	}
	v.Words, v.Colour = runWords(r)
	return v
}

// runWords says how a run is going, and in which colour.
func runWords(r api.Run) (words, colour string) {
	took := time.Duration(r.ElapsedMS) * time.Millisecond
	seconds := fmt.Sprintf("%.1f s", took.Seconds())
	if took > time.Minute {
		seconds = took.Round(time.Second).String()
	}
	switch r.State {
	case api.RunRunning:
		return "running", "orange"
	case api.RunSucceeded:
		return "finished in " + seconds, "green"
	case api.RunFailed:
		if r.ExitCode != nil {
			return fmt.Sprintf("failed with exit code %d after %s", *r.ExitCode, seconds), "red"
		}
		return "failed after " + seconds + ": " + r.Reason, "red"
	case api.RunCancelled:
		return "cancelled after " + seconds + ": " + r.Reason, "orange"
	}
	return string(r.State), ""
}

// sentence makes a help text a sentence of its own.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
