package api

import (
	"time"

	"github.com/dpesim/dpesim/sim"
)

// TierSizing is a row of the Service sizing table: what one replica needs, as Kubernetes quantities.
type TierSizing struct {
	Tier sim.Tier `json:"tier"`
	sim.Sizing
}

// Check is how one part of the simulator is.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // what is wrong and what to do, if not OK

	CertificateExpires *time.Time `json:"certificate_expires,omitempty"` // of the certificate that it showed, if it is behind TLS
}

// Readiness is the body of GET /readyz?verbose.
type Readiness struct {
	Ready  bool    `json:"ready"`
	Checks []Check `json:"checks"`
}
