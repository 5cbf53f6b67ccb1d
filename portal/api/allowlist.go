package api

import (
	"context"
	"net/http"

	"github.com/dpesim/dpesim/sim"
)

// Allowlist says which source addresses may reach an environment's DPM and object storage.
type Allowlist struct {
	On      bool             `json:"on"` // off: everybody may
	Entries []AllowlistEntry `json:"entries"`
	Version int64            `json:"version"` // +1 with each change; the entity tag
}

// AllowlistEntry is a range of addresses.
type AllowlistEntry struct {
	CIDR string `json:"cidr"` // IPv4 or IPv6, as 203.0.113.0/24; an address alone is a range of one
	Note string `json:"note,omitempty"`
}

// AllowlistEdit is the body of PUT .../allowlist.
type AllowlistEdit struct {
	On      bool             `json:"on"`
	Entries []AllowlistEntry `json:"entries"`
	Confirm bool             `json:"confirm,omitempty"` // also if connected engines would be cut; without it that is a conflict
	DryRun  bool             `json:"dry_run,omitempty"` // change nothing: only tell what would be cut
}

// AllowlistChange is the answer: the allowlist as it is now, or would be.
type AllowlistChange struct {
	Allowlist
	Cuts []AllowlistCut `json:"cuts"` // engines that were connected from where the list does not let in
}

// AllowlistCut is a source address that falls out.
type AllowlistCut struct {
	Source  string          `json:"source"`
	Engines []sim.ReplicaID `json:"engines"` // that were connected from there
}

// Allowlist gives an environment's allowlist.
func (c *Client) Allowlist(ctx context.Context, env sim.EnvironmentID) (Allowlist, error) {
	return get[Allowlist](ctx, c, call{method: http.MethodGet, path: environmentPath(env, "allowlist")})
}

// SetAllowlist changes an environment's allowlist. It returns Conflict if its version is no longer version (0: whatever is
// there), and if connected engines would be cut and e does not confirm that.
func (c *Client) SetAllowlist(ctx context.Context, env sim.EnvironmentID, e AllowlistEdit, version int64) (AllowlistChange, error) {
	return get[AllowlistChange](ctx, c, call{method: http.MethodPut, path: environmentPath(env, "allowlist"), body: e, ifMatch: matching(version)})
}
