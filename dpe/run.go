// Package dpe is the Data Processing Engine: it connects to its DPM, takes commands, works on data and reports.
//
// [Run] is one replica. It is the same code as a pod of the in-process cluster and as a container of a real one: its
// configuration arrives as the Helm chart of dpe/chart delivers it ([Load]). It dials out only; the one thing it listens
// on is its health. It knows the contract dpm/v1 and S3, never a service of this repository.
package dpe

import (
	"context"
	"log/slog"
)

// Run runs one replica until c.Stop is closed (it drains, then returns nil) or ctx ends (it drops everything, says no
// goodbye, and returns ctx's error). It returns Invalid with one sentence if it cannot start. It closes c.Health.
// A cause that ctx carries (sim/event) is told to DPM with the first stream.
func Run(ctx context.Context, c Config) error {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	checked, err := c.check()
	if err != nil {
		if c.Health != nil {
			_ = c.Health.Close() // the reason why it does not start matters more
		}
		return err
	}
	return newEngine(c, checked).run(ctx)
}
