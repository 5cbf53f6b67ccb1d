package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/event"
)

// heartbeat is how often a stream of events that is silent says that it lives, in product time.
const heartbeat = 15 * time.Second

func (p *Portal) eventRoutes(r *router) {
	r.api(http.MethodGet, "/events", needUser, p.getEvents, op("events", "Read the remembered events, oldest first, or follow them: Accept text/event-stream").gives(200, []sim.Event{}).givesText(api.EventStreamType).
		query("after", "Only events with a greater seq", uint64(0)).query("environment", "Only this one's", sim.EnvironmentID("")).query("part", "Only those that this part tells", sim.Part("")).query("every", "Of a stream: at most one event in this time, the newest, as 500ms", "").header("Last-Event-ID", "Seq of the last event seen, instead of after").paged(pageMost))
}

// getEvents handles GET /events: the remembered events as an array, or as a stream that goes on.
func (p *Portal) getEvents(c echo.Context) error {
	after, err := after(c)
	if err != nil {
		return err
	}
	if after > p.opts.Bus.Last() { // of an earlier run of dpesim, whose events are gone
		after = 0
	}
	ctx := c.Request().Context()
	env, part, who := sim.EnvironmentID(c.QueryParam("environment")), sim.Part(c.QueryParam("part")), identityOf(ctx)
	wanted := func(e sim.Event) bool {
		return (env == "" || e.Environment == env) && (part == "" || e.Part == part) && p.sees(ctx, who, e)
	}
	every, err := every(c)
	if err != nil {
		return err
	}
	if strings.Contains(c.Request().Header.Get("Accept"), api.EventStreamType) {
		return p.streamEvents(c, after, every, wanted)
	}
	n, err := limit(c, pageMost)
	if err != nil {
		return err
	}
	var out []sim.Event
	for _, e := range p.opts.Bus.Since(after) {
		if wanted(e) {
			if out = append(out, e); len(out) > n {
				break
			}
		}
	}
	return ok(c, cut(c, out, n, "after", func(e sim.Event) string { return strconv.FormatUint(e.Seq, 10) }))
}

// sees tells whether an event is who's to see: of an environment of the own organisation, since it was created. An id may
// have been another organisation's before.
func (p *Portal) sees(ctx context.Context, who identity, e sim.Event) bool {
	if who.Trainer {
		return true
	}
	if e.Environment == "" {
		return false
	}
	p.mu.Lock()
	is, known := p.owners[e.Environment]
	p.mu.Unlock()
	if !known {
		row, err := p.store.Environment(ctx, e.Environment)
		if err != nil { // deleted: nobody's, and not to be remembered
			return false
		}
		is = ownership{row.Organisation, row.Created}
		p.mu.Lock()
		p.owners[e.Environment] = is
		p.mu.Unlock()
	}
	return is.organisation == who.Organisation && !e.Time.Before(is.since)
}

// ownership tells whose an environment is.
type ownership struct {
	organisation string
	since        time.Time
}

// after reads where to begin: a reconnecting browser's Last-Event-ID, or ?after.
func after(c echo.Context) (uint64, error) {
	s := c.Request().Header.Get("Last-Event-ID")
	if s == "" {
		s = c.QueryParam("after")
	}
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, api.InField("after", sim.Errorf(sim.Invalid, "events cannot be read after %.40q", s).WithHelp("give the seq of an event, a number from 0"))
	}
	return n, nil
}

// maxEvery bounds how seldom a stream can be asked to tell something.
const maxEvery = time.Minute

// every reads how often a stream shall tell something, at most; 0: of each event. It is the machine's time, since it spares
// a person's browser.
func every(c echo.Context) (time.Duration, error) {
	s := c.QueryParam("every")
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxEvery {
		return 0, api.InField("every", sim.Errorf(sim.Invalid, "a stream cannot tell something every %.20q", s).WithHelp("give a time up to %s, as 500ms", maxEvery))
	}
	return d, nil
}

// errSilent says that nothing happened for a [heartbeat].
var errSilent = errors.New("no event")

// next waits for an event, at most for a heartbeat.
func (p *Portal) next(ctx context.Context, sub *event.Subscription) (sim.Event, error) {
	wait, cancel := p.opts.Clock.WithTimeout(ctx, heartbeat)
	defer cancel()
	e, err := sub.Next(wait)
	if err != nil && wait.Err() != nil && ctx.Err() == nil {
		return e, errSilent
	}
	return e, err
}

// newest gives the newest wanted event of those that have been told already, of which e was read last.
func (p *Portal) newest(ctx context.Context, sub *event.Subscription, e sim.Event, wanted func(sim.Event) bool) sim.Event {
	for read, last := e.Seq, p.opts.Bus.Last(); read < last; {
		x, err := sub.Next(ctx)
		if err != nil { // the caller left, or some were missed: the next one is read by the stream
			return e
		}
		if read = x.Seq; wanted(x) {
			e = x
		}
	}
	return e
}

// streamEvents sends events as they happen, the newest only within each every, until the caller leaves or the portal stops.
func (p *Portal) streamEvents(c echo.Context, after uint64, every time.Duration, wanted func(sim.Event) bool) error {
	sub := p.opts.Bus.Subscribe(after)
	told := false
	return p.stream(c, func(ctx context.Context) (string, error) {
		if told && every > 0 {
			if err := p.wall.Sleep(ctx, every); err != nil {
				return "", err
			}
		}
		told = false
		e, err := p.next(ctx, sub)
		missed, isMissed := errors.AsType[*event.MissedError](err)
		switch {
		case errors.Is(err, errSilent):
			return alive, nil
		case isMissed:
			return fmt.Sprintf("event: missed\ndata: {\"missed\":%d}\n\n", missed.Missed), nil
		case err != nil || !wanted(e):
			return "", err
		}
		if told = true; every > 0 {
			e = p.newest(ctx, sub, e, wanted)
		}
		data, err := json.Marshal(e)
		if err != nil {
			return "", fmt.Errorf("encode event %d: %w", e.Seq, err)
		}
		return fmt.Sprintf("id: %d\ndata: %s\n\n", e.Seq, data), nil
	})
}

// alive says in a stream that it lives.
const alive = ": alive\n\n"

// stream sends what next gives, pieces of a stream of server-sent events, until the caller leaves, the portal stops or next
// returns an error: io.EOF is its end.
func (p *Portal) stream(c echo.Context, next func(ctx context.Context) (string, error)) error {
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, api.EventStreamType)
	h.Set("X-Accel-Buffering", "no") // proxies of that family must not hold events back
	c.Response().WriteHeader(http.StatusOK)
	ctx, cancel := context.WithCancel(c.Request().Context())
	defer cancel()
	defer context.AfterFunc(p.stopping, cancel)()
	c.Response().Flush()
	for {
		piece, err := next(ctx)
		if ctx.Err() != nil || errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if piece == "" {
			continue
		}
		if _, err := c.Response().Write([]byte(piece)); err != nil {
			return nil // the caller left
		}
		c.Response().Flush()
	}
}
