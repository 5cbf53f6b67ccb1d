package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/dpesim/dpesim/sim/why"
)

// Why explains how a subject came to be as it is: "pod/NAMESPACE/NAME", "dpe/ENVIRONMENT/LABEL" and so on, as
// [why.Explain] takes them.
func (c *Client) Why(ctx context.Context, subject string) (why.Explanation, error) {
	return get[why.Explanation](ctx, c, call{method: http.MethodGet, path: Prefix + "/why", query: url.Values{"subject": {subject}}})
}
