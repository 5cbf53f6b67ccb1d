package portal

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/ui"
)

// status is the one table from kinds to HTTP statuses.
func status(k sim.Kind) int {
	switch k {
	case sim.Internal:
		return http.StatusInternalServerError
	case sim.Invalid:
		return http.StatusBadRequest
	case sim.NotFound:
		return http.StatusNotFound
	case sim.Conflict:
		return http.StatusConflict
	case sim.Unauthenticated:
		return http.StatusUnauthorized
	case sim.Forbidden:
		return http.StatusForbidden
	case sim.Exhausted:
		return http.StatusUnprocessableEntity // not 429: waiting does not help
	case sim.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// kinds gives echo's own errors a kind: no route, wrong method.
func kinds(err error) error {
	h, ok := errors.AsType[*echo.HTTPError](err)
	if !ok {
		return err
	}
	switch h.Code {
	case http.StatusNotFound:
		return sim.Errorf(sim.NotFound, "there is nothing at this address").WithHelp("check the address; the API's routes are below %s", api.Prefix)
	case http.StatusMethodNotAllowed:
		return sim.Errorf(sim.Invalid, "this address does not take that method").WithHelp("the header Allow names those that it takes")
	}
	return err
}

// wrongMethod tells whether err is the router's, about a method that the address does not take.
func wrongMethod(err error) bool {
	h, ok := errors.AsType[*echo.HTTPError](err)
	return ok && h.Code == http.StatusMethodNotAllowed
}

// answerError is where every error is answered: problem details for programs, a page for people.
func (p *Portal) answerError(err error, c echo.Context) {
	method := wrongMethod(err)
	err = kinds(err)
	kind := sim.KindOf(err)
	p.logError(c, kind, err)
	if c.Response().Committed {
		return
	}
	msg, help := sim.Explain(err)
	id := c.Response().Header().Get(echo.HeaderXRequestID)
	code := status(kind)
	switch {
	case method:
		code = http.StatusMethodNotAllowed // with the header Allow, which the router has set
	case tooLong(err):
		code = http.StatusRequestEntityTooLarge
	}
	if kind == sim.Unauthenticated {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Bearer realm="dpesim"`)
	}
	var (
		body      []byte
		mediaType string
		e         error
	)
	if wantsPage(c.Request()) {
		mediaType = echo.MIMETextHTMLCharsetUTF8
		body, e = ui.Problem(p.problemPage(c, code, ui.ProblemPage{Detail: msg, Help: help, RequestID: id}))
	} else {
		leaveGone(c, kind)
		mediaType = api.ProblemType
		problem := api.Problem{
			Type: "about:blank", Title: http.StatusText(code), Status: code, Detail: msg, Kind: kind.String(), Help: cmp.Or(help, helpOf(kind)), RequestID: id,
		}
		if f, ok := errors.AsType[*api.FieldError](err); ok && kind != sim.Internal {
			problem.Errors = []api.ProblemField{{Field: f.Field, Detail: msg}}
		}
		body, e = json.Marshal(problem)
	}
	if e != nil {
		p.opts.Log.Error("error answer not made", "err", e)
	}
	if e := c.Blob(code, mediaType, body); e != nil {
		p.opts.Log.Debug("error answer not sent", "err", e)
	}
}

// problemPage completes the page of an error with what is around it for who asks, and with what they may do next.
func (p *Portal) problemPage(c echo.Context, code int, view ui.ProblemPage) ui.ProblemPage {
	who := identityOf(c.Request().Context())
	if who.ID == "" { // of an address that nobody guards
		if w, err := p.authenticate(c); err == nil && w != nil {
			who = *w
		}
	}
	view.Frame = ui.Frame{Title: http.StatusText(code), User: who.Name, Role: roleWords(who.User), Trainer: who.Trainer, Administers: who.administers()}
	if who.ID == "" {
		view.Frame = ui.Frame{Title: view.Title}
	}
	here := ""
	if r := c.Request(); r.Method == http.MethodGet {
		here = r.URL.RequestURI()
	}
	switch code {
	case http.StatusNotFound:
		view.Next = append(view.Next, ui.NextStep{Text: "See what there is.", Link: "Environments", Path: "/environments", Command: "dpesim environment list"})
	case http.StatusForbidden:
		view.Next = append(view.Next, ui.NextStep{Text: "See who you are and what you may.", Link: "Account", Path: "/account", Command: "dpesim me"},
			ui.NextStep{Text: "Be somebody else.", Link: "Sign in as another user", Path: "/sign-in?next=" + url.QueryEscape(here)})
	case http.StatusServiceUnavailable:
		view.Next = append(view.Next, ui.NextStep{Text: "Try again in a moment, or wait until everything is ready.", Link: "Try again", Path: here, Command: "dpesim wait"})
	case http.StatusInternalServerError:
		view.Next = append(view.Next, ui.NextStep{Text: "The cause is in the log of dpesim up, under the request's id.", Link: "Try again", Path: here})
	default:
		view.Next = append(view.Next, ui.NextStep{Text: "Go back and send it otherwise, or begin anew.", Link: "Environments", Path: "/environments"})
	}
	return view
}

// helpOf says what to do about an error that does not say it itself.
func helpOf(k sim.Kind) string {
	switch k {
	case sim.Invalid:
		return "change the request; " + api.Prefix + "/openapi.json describes each"
	case sim.NotFound:
		return "check the name: the list of its kind has all that there are"
	case sim.Conflict:
		return "read it again and see whether you still want to do this"
	case sim.Unauthenticated:
		return "sign in, or send an API token"
	case sim.Forbidden:
		return "ask an organisation admin"
	case sim.Exhausted:
		return "use less, or have the contract changed"
	case sim.Unavailable:
		return "try again in a moment; /readyz?verbose tells what is not ready"
	case sim.Internal:
	}
	return "the cause is in dpesim's log"
}

// leaveGone has a page whose live part asked for something that is gone be left.
func leaveGone(c echo.Context, kind sim.Kind) {
	if kind != sim.NotFound || c.Request().Header.Get("HX-Request") == "" {
		return
	}
	to := "/environments"
	if labelOf(c) != "" {
		to += "/" + url.PathEscape(string(environmentOf(c))) + "/settings"
	}
	c.Response().Header().Set("HX-Redirect", to)
}

// logError logs what is our own fault; what a caller did wrong is no error of ours.
func (p *Portal) logError(c echo.Context, kind sim.Kind, err error) {
	r := c.Request()
	if kind != sim.Internal || r.Context().Err() != nil {
		p.opts.Log.Debug("request refused", "method", r.Method, "route", c.Path(), "kind", kind.String(), "err", err)
		return
	}
	p.opts.Log.Error("request failed", "method", r.Method, "route", c.Path(),
		"request_id", c.Response().Header().Get(echo.HeaderXRequestID), "injected", errors.Is(err, fault.ErrInjected), "err", err)
}

// wantsPage tells whether a person's browser asks, outside the API.
func wantsPage(r *http.Request) bool {
	return !strings.HasPrefix(r.URL.Path, "/api/") && strings.Contains(r.Header.Get("Accept"), "text/html")
}
