package api

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/dpesim/dpesim/sim"
)

// pages gives the rows of a list, page by page as they are needed. It ends after the first error.
func pages[T any](ctx context.Context, c *Client, r call) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			rows, next, err := onePage[T](ctx, c, r)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, x := range rows {
				if !yield(x, nil) {
					return
				}
			}
			if next == nil {
				return
			}
			r.query = next
		}
	}
}

// collect gives the rows of a list, or of its beginning before an error.
func collect[T any](rows iter.Seq2[T, error]) ([]T, error) {
	out := []T{}
	for x, err := range rows {
		if err != nil {
			return out, err
		}
		out = append(out, x)
	}
	return out, nil
}

// onePage gives the rows of one page, and the query of the next one; nil: there is none.
func onePage[T any](ctx context.Context, c *Client, r call) (rows []T, next url.Values, err error) {
	r.method, r.accept = http.MethodGet, "application/json"
	res, err := c.open(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(&rows); err != nil {
		return nil, nil, fmt.Errorf("decode the answer to %s %s: %w", r.method, r.path, err)
	}
	next, err = nextPage(res.Header)
	return rows, next, err
}

// nextPage reads the Link header as the portal writes it. Only the query counts: where the portal is, the client knows.
func nextPage(h http.Header) (url.Values, error) {
	link := h.Get("Link")
	if link == "" {
		return nil, nil //nolint:nilnil // no next page
	}
	target, is := strings.CutSuffix(link, `>; rel="next"`)
	u, err := url.Parse(strings.TrimPrefix(target, "<"))
	if !is || err != nil {
		return nil, &sim.Error{Kind: sim.Internal, Msg: "the list cannot be read on", Err: fmt.Errorf("header Link: %q", link)}
	}
	return u.Query(), nil
}
