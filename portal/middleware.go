package portal

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/fault"
)

// FaultRequest is asked for every request but health checks and assets, before anything is done.
const FaultRequest fault.Point = "portal.request"

// maxBody bounds the body of a request, in bytes. The largest real one has some hundred.
const maxBody = 64 << 10

// newRouter builds the handler: first what holds for all requests, then the routes.
func newRouter(p *Portal) *router {
	e := echo.New()
	e.HTTPErrorHandler = p.answerError
	e.Use(p.identify, p.rescue, headers, p.checkHost, checkOrigin, p.bound(bodyTime), p.maybeFail)
	r := &router{p: p, e: e}
	p.healthRoutes(r)
	p.accountRoutes(r)
	p.passwordRoutes(r)
	p.catalogueRoutes(r)
	p.environmentRoutes(r)
	p.ownerRoutes(r)
	p.storageRoutes(r)
	p.allowlistRoutes(r)
	p.complianceRoutes(r)
	p.managedRoutes(r)
	p.dpeRoutes(r)
	p.runRoutes(r)
	p.jobRoutes(r)
	p.eventRoutes(r)
	p.whyRoutes(r)
	p.residueRoutes(r)
	p.documentRoutes(r)
	p.roomRoutes(r)
	p.pageRoutes(r)
	return r
}

// identify gives the request an id, for the log and for who asks.
func (p *Portal) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderXRequestID, p.opts.Draw.ID("portal/request", 12))
		return next(c)
	}
}

// rescue turns a panic into an error: one broken request must not end the simulator.
func (p *Portal) rescue(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = &sim.Error{Op: "portal", Kind: sim.Internal, Err: fmt.Errorf("panic: %v\n%s", v, debug.Stack())}
			}
		}()
		return next(c)
	}
}

// policy is what pages may load: nothing but what this portal serves, no inline script or style.
const policy = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

// headers sets what browsers shall heed on every answer. Nobody keeps one, since all but assets and the document is for who asks
// alone: those say otherwise.
func headers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", policy)
		h.Set(echo.HeaderCacheControl, "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		return next(c)
	}
}

// checkHost refuses names that are not the portal's: without it, a foreign web page could reach a portal on loopback by
// letting its own name resolve to 127.0.0.1 (DNS rebinding).
func (p *Portal) checkHost(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !p.answersTo(c.Request().Host) {
			return sim.Errorf(sim.Forbidden, "the portal does not answer to this Host header").
				WithHelp("use localhost, a loopback address or one of: %s", strings.Join(p.opts.Hosts, ", "))
		}
		return next(c)
	}
}

func (p *Portal) answersTo(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().IsLoopback() || slices.Contains(p.opts.Hosts, host)
	}
	return host == "localhost" || slices.ContainsFunc(p.opts.Hosts, func(s string) bool { return strings.EqualFold(s, host) })
}

// checkOrigin refuses unsafe requests that a browser makes for another site (CSRF).
func checkOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	protection := http.NewCrossOriginProtection()
	return func(c echo.Context) error {
		if err := protection.Check(c.Request()); err != nil {
			return &sim.Error{
				Kind: sim.Forbidden, Msg: "a request from another site was refused",
				Help: "open the portal itself and do it there", Err: err,
			}
		}
		return next(c)
	}
}

// bodyTime bounds how long a body may take to arrive, in the machine's time.
const bodyTime = 5 * time.Second

// bound keeps bodies small, and has them arrive within d of being read first.
func (p *Portal) bound(d time.Duration) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			body := http.MaxBytesReader(c.Response(), r.Body, maxBody)
			if r.ContentLength != 0 {
				body = &timedBody{ReadCloser: body, connection: http.NewResponseController(c.Response().Writer), until: func() time.Time { return p.wall.Now().Add(d) }}
			}
			r.Body = body
			return next(c)
		}
	}
}

// timedBody is a body that has to arrive in time. A stream of events has none, so that its connection stays.
type timedBody struct {
	io.ReadCloser
	connection *http.ResponseController
	until      func() time.Time // when it has to be there, if it is asked for now
	started    bool
}

// Read reads on until the time is over.
func (b *timedBody) Read(to []byte) (int, error) {
	if !b.started {
		b.started = true
		if err := b.connection.SetReadDeadline(b.until()); err != nil {
			return 0, err
		}
	}
	n, err := b.ReadCloser.Read(to)
	if errors.Is(err, io.EOF) { // what the handler does now takes what it takes
		if e := b.connection.SetReadDeadline(time.Time{}); e != nil {
			return n, e
		}
	}
	return n, err
}

// maybeFail is where requests fail on purpose.
func (p *Portal) maybeFail(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		path := c.Request().URL.Path
		if path == "/livez" || path == "/readyz" || strings.HasPrefix(path, "/assets/") {
			return next(c)
		}
		if err := p.opts.Faults.At(c.Request().Context(), FaultRequest, fault.Scope{Environment: environmentOf(c), DPE: labelOf(c)}); err != nil {
			return err
		}
		return next(c)
	}
}

func environmentOf(c echo.Context) sim.EnvironmentID { return sim.EnvironmentID(c.Param("env")) }
func labelOf(c echo.Context) sim.Label               { return sim.Label(c.Param("label")) }
