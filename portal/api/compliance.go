package api

import (
	"context"
	"net/http"
	"time"

	"github.com/dpesim/dpesim/sim"
)

// ComplianceSample is how an environment stood to its licence from a moment on, until the next sample. Source: seed,
// "Operational responsibilities": Ataccama keeps track of whether deployments are in accordance with the licensing.
type ComplianceSample struct {
	Time        time.Time `json:"time"`
	Licensed    int       `json:"licensed"`     // replicas that the licence allows
	SelfManaged int       `json:"self_managed"` // replicas that self-managed DPEs are specified with
	Managed     int       `json:"managed"`      // Ataccama-managed replicas that are specified
	Connected   int       `json:"connected"`    // replicas of both that were connected
	Compliant   bool      `json:"compliant"`    // no more were connected than licensed
}

// Compliance gives an environment's compliance over time, oldest first.
func (c *Client) Compliance(ctx context.Context, env sim.EnvironmentID) ([]ComplianceSample, error) {
	return get[[]ComplianceSample](ctx, c, call{method: http.MethodGet, path: environmentPath(env, "compliance")})
}

// ComplianceCSV gives the same as CSV with a header, for spreadsheets.
func (c *Client) ComplianceCSV(ctx context.Context, env sim.EnvironmentID) ([]byte, error) {
	return c.text(ctx, call{method: http.MethodGet, path: environmentPath(env, "compliance.csv")})
}
