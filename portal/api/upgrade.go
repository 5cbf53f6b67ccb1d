package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/dpesim/dpesim/sim"
)

// UpgradePreview is what an upgrade of the platform would mean.
type UpgradePreview struct {
	From     sim.Release  `json:"from"`
	To       sim.Release  `json:"to"`
	Revision int64        `json:"revision"` // of the environment that it is of, for If-Match of the upgrade
	Oldest   sim.Release  `json:"oldest"`   // release of an engine that the platform would work with
	Managed  int          `json:"managed"`  // Ataccama-managed replicas, which are upgraded with it
	DPEs     []DPEUpgrade `json:"dpes"`     // self-managed ones, by label
}

// DPEUpgrade is what an upgrade of the platform would mean for one self-managed DPE.
type DPEUpgrade struct {
	Label           sim.Label     `json:"label"`
	Name            string        `json:"name"`
	Running         []sim.Release `json:"running"`          // releases that run, or ran last
	Outdated        bool          `json:"outdated"`         // it would work on, and be flagged
	UpgradeRequired bool          `json:"upgrade_required"` // DPM would refuse it until it is upgraded
	Values          []ValueChange `json:"values"`           // keys that values.yaml would gain, lose or rename
}

// ValueChange is a key of values.yaml that comes, goes or gets another name.
type ValueChange struct {
	Key    string    `json:"key"` // with dots, as in dpm.endpoint
	Change ValueFate `json:"change"`
	Was    string    `json:"was,omitempty"` // the key's old name, if it is renamed
}

// ValueFate is what becomes of a key of values.yaml.
type ValueFate string

// The fates.
const (
	ValueNew     ValueFate = "new"
	ValueGone    ValueFate = "gone"
	ValueRenamed ValueFate = "renamed" // the value is the same
)

// ValueFates lists the fates.
func ValueFates() []ValueFate { return []ValueFate{ValueNew, ValueGone, ValueRenamed} }

// PreviewUpgrade tells what an upgrade of an environment's platform would mean. Nothing changes.
func (c *Client) PreviewUpgrade(ctx context.Context, env sim.EnvironmentID, r sim.Release) (UpgradePreview, error) {
	return get[UpgradePreview](ctx, c, call{method: http.MethodGet, path: environmentPath(env, "upgrade"), query: url.Values{"release": {string(r)}}})
}
