package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/dpesim/dpesim/sim/residue"
)

// Residue lists what installations have left on every side, and whether it should be there.
func (c *Client) Residue(ctx context.Context, f residue.Filter) ([]residue.Entry, error) {
	q := url.Values{}
	for name, value := range map[string]string{"environment": string(f.Environment), "dpe": string(f.DPE)} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.All {
		q.Set("all", "true")
	}
	return get[[]residue.Entry](ctx, c, call{method: http.MethodGet, path: Prefix + "/residue", query: q})
}
