package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/dpesim/dpesim/sim"
)

// UpgradePreview is what an upgrade of the platform would mean.
type UpgradePreview struct {
	From    sim.Release  `json:"from"`
	To      sim.Release  `json:"to"`
	Oldest  sim.Release  `json:"oldest"`  // release of an engine that the platform would work with
	Managed int          `json:"managed"` // Ataccama-managed replicas, which are upgraded with it
	DPEs    []DPEUpgrade `json:"dpes"`    // self-managed ones, by label
}

// DPEUpgrade is what an upgrade of the platform would mean for one self-managed DPE.
type DPEUpgrade struct {
	Label           sim.Label     `json:"label"`
	Name            string        `json:"name"`
	Running         []sim.Release `json:"running"`          // releases that run, or ran last
	Outdated        bool          `json:"outdated"`         // it would work on, and be flagged
	UpgradeRequired bool          `json:"upgrade_required"` // DPM would refuse it until it is upgraded
	Values          []ValueChange `json:"values"`           // keys that values.yaml would gain or lose
}

// ValueChange is a key of values.yaml that comes or goes.
type ValueChange struct {
	Key    string `json:"key"`    // with dots, as in dpm.endpoint
	Change string `json:"change"` // "new" or "gone"
}

// PreviewUpgrade tells what an upgrade of an environment's platform would mean. Nothing changes.
func (c *Client) PreviewUpgrade(ctx context.Context, env sim.EnvironmentID, r sim.Release) (UpgradePreview, error) {
	return get[UpgradePreview](ctx, c, call{method: http.MethodGet, path: environmentPath(env, "upgrade"), query: url.Values{"release": {string(r)}}})
}
