package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/dpesim/dpesim/sim"
)

// EventStreamType is the media type of server-sent events.
const EventStreamType = "text/event-stream"

// EventFilter says which events to read.
type EventFilter struct {
	After       uint64            // only events with a greater Seq
	Environment sim.EnvironmentID // only that one's; empty: all
}

func (f EventFilter) query() url.Values {
	q := url.Values{}
	if f.After > 0 {
		q.Set("after", strconv.FormatUint(f.After, 10))
	}
	if f.Environment != "" {
		q.Set("environment", string(f.Environment))
	}
	return q
}

// Events gives the remembered events, oldest first.
func (c *Client) Events(ctx context.Context, f EventFilter) ([]sim.Event, error) {
	return collect(pages[sim.Event](ctx, c, call{path: Prefix + "/events", query: f.query()}))
}

// ErrStop ends [Client.Follow] without an error when the function given to it returns it.
var ErrStop = errors.New("stop following")

// Follow calls each with the remembered events and then with every new one as it happens. It returns nil when the portal
// stops or each returns [ErrStop], ctx's error when ctx is done, and each's error otherwise.
func (c *Client) Follow(ctx context.Context, f EventFilter, each func(sim.Event) error) error {
	res, err := c.open(ctx, call{method: http.MethodGet, path: Prefix + "/events", query: f.query(), accept: EventStreamType})
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20) // an event is one line of data; its details are short
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok { // id, event name, heartbeat comment, end of an event
			continue
		}
		var e sim.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("decode event: %w", err)
		}
		if e.Seq == 0 { // a notice about the stream itself: events were missed
			continue
		}
		if err := each(e); err != nil {
			if errors.Is(err, ErrStop) {
				return nil
			}
			return err
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("follow events: %w", ctx.Err())
	}
	if err := lines.Err(); err != nil {
		return &sim.Error{Op: "follow events", Kind: sim.Unavailable, Msg: "the stream of events broke off", Help: "follow again after the last event seen", Err: err}
	}
	return nil
}
