package api

import (
	"context"
	"net/http"

	"github.com/dpesim/dpesim/sim"
)

// ManagedLabel is the label of an environment's Ataccama-managed DPEs, which no self-managed one can have. The name is our
// choice.
const ManagedLabel sim.Label = "ataccama-managed"

// ManagedDPEs is the Ataccama-managed part of an environment's data processing: engines that run in the cloud.
type ManagedDPEs struct {
	Label     sim.Label   `json:"label"`     // that their engines connect with, and that jobs can name
	Replicas  int         `json:"replicas"`  // wanted; they count towards the licence, not towards the contract's engines
	Connected int         `json:"connected"` // now
	Release   sim.Release `json:"release"`   // the platform's: they are upgraded with it
}

// ManagedScale is the body of PUT /environments/{env}/managed.
type ManagedScale struct {
	Replicas int `json:"replicas"` // 0: none
}

// Managed gives an environment's Ataccama-managed DPEs.
func (c *Client) Managed(ctx context.Context, env sim.EnvironmentID) (ManagedDPEs, error) {
	return get[ManagedDPEs](ctx, c, call{method: http.MethodGet, path: environmentPath(env, "managed")})
}

// ScaleManaged says how many Ataccama-managed replicas there shall be. It returns Exhausted if the licence allows no more, and
// Conflict if the environment's revision is no longer revision; 0 scales whatever is there.
func (c *Client) ScaleManaged(ctx context.Context, env sim.EnvironmentID, replicas int, revision int64) (ManagedDPEs, error) {
	return get[ManagedDPEs](ctx, c, call{method: http.MethodPut, path: environmentPath(env, "managed"), body: ManagedScale{Replicas: replicas}, ifMatch: matching(revision)})
}
