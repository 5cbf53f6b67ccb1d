package clustertest

import (
	"context"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// patience bounds every wait: far above what any of them takes, also on a busy machine.
const patience = 2 * time.Minute

// look is how often a condition is looked at.
const look = 25 * time.Millisecond

// eventually waits until ok. An error ends the wait.
func (p *space) eventually(tb testing.TB, what string, ok wait.ConditionWithContextFunc) {
	tb.Helper()
	if err := wait.PollUntilContextTimeout(tb.Context(), look, patience, true, ok); err != nil {
		tb.Fatalf("waited in vain: %s: %v", what, err)
	}
}

// inTime waits until ok, and lets the cluster's time pass quickly where it can: a second with each look.
func (p *space) inTime(tb testing.TB, what string, ok wait.ConditionWithContextFunc) {
	tb.Helper()
	if err := p.pollInTime(tb.Context(), look, ok); err != nil {
		tb.Fatalf("waited in vain: %s: %v", what, err)
	}
}

// pollInTime looks every so often until ok.
func (p *space) pollInTime(ctx context.Context, every time.Duration, ok wait.ConditionWithContextFunc) error {
	return wait.PollUntilContextTimeout(ctx, every, patience, true, func(ctx context.Context) (bool, error) {
		done, err := ok(ctx)
		if done || err != nil || p.Advance == nil {
			return done, err
		}
		return false, p.Advance(ctx, time.Second)
	})
}
