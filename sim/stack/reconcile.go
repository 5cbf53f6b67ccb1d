package stack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dpesim/dpesim/dpm"
	"github.com/dpesim/dpesim/objstore"
	"github.com/dpesim/dpesim/portal"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/registry"
)

// reconciler makes the services as the portal's rows want them. Every step is idempotent, so a crash between two of them
// heals when the rows are read again.
type reconciler struct{ stack *Stack }

// retryAfter is how long the reconciler waits after a failure, in product time.
const retryAfter = time.Second

func (r *reconciler) serve(ctx context.Context) error {
	for {
		retry, stop := (<-chan struct{})(nil), func() bool { return true }
		if err := r.once(ctx); err != nil && ctx.Err() == nil {
			r.stack.log(sim.PartSim).ErrorContext(ctx, "reconciling failed", "err", err)
			retry, stop = r.stack.config.Clock.After(retryAfter)
		}
		select {
		case <-r.stack.portal.Changed():
		case <-retry:
		case <-ctx.Done():
		}
		stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// once reads what is wanted and makes it so. One environment's failure does not keep the others waiting.
func (r *reconciler) once(ctx context.Context) error {
	intents, err := r.stack.portal.Intents(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, in := range intents {
		if err := r.settle(event.WithCause(ctx, in.Cause), in); err != nil {
			errs = append(errs, fmt.Errorf("environment %s: %w", in.Environment, err))
		}
	}
	return errors.Join(errs...)
}

func (r *reconciler) settle(ctx context.Context, in portal.Intent) error {
	make := r.provide
	if in.Phase == api.PhaseDeleting {
		make = r.withdraw
	}
	if err := make(ctx, in); err != nil {
		return err
	}
	return r.stack.portal.Settled(ctx, in)
}

// provide makes the services of an environment run and honour exactly the credentials that are wanted.
func (r *reconciler) provide(ctx context.Context, in portal.Intent) error {
	e, err := r.stack.clouds.ensure(ctx, in)
	if err != nil {
		return err
	}
	if e.dpm.Release() != in.Release {
		e.dpm.SetRelease(in.Release)
	}
	if in.Phase == api.PhaseCreating {
		if err := e.fill(ctx); err != nil {
			return err
		}
	}
	if err := e.storage.PutCredential(ctx, objstore.Credential{AccessKey: in.Operator.AccessKey, SecretKey: in.Operator.SecretKey}); err != nil {
		return fmt.Errorf("authorise the operator: %w", err)
	}
	for _, d := range in.DPEs {
		if err := r.authorise(ctx, e, d); err != nil {
			return fmt.Errorf("authorise DPE %s: %w", d.Label, err)
		}
	}
	return r.revoke(ctx, e, in)
}

func (r *reconciler) authorise(ctx context.Context, e *environment, d portal.IntentDPE) error {
	return errors.Join(
		e.dpm.Authorize(ctx, dpm.Component{Key: d.KeyID, Label: d.Label, PublicKey: d.PublicKey}),
		e.storage.PutCredential(ctx, objstore.Credential{AccessKey: d.AccessKey, SecretKey: d.SecretKey, Label: d.Label}),
		r.stack.registry.PutToken(ctx, registry.Token{User: d.RegistryUser, Secret: d.RegistryToken, Environment: e.id, Label: d.Label}),
	)
}

func (r *reconciler) revoke(ctx context.Context, e *environment, in portal.Intent) error {
	var errs []error
	for _, k := range in.RevokedKeys {
		errs = append(errs, e.dpm.Revoke(ctx, k))
	}
	for _, k := range in.RevokedAccessKeys {
		errs = append(errs, e.storage.DeleteCredential(ctx, k))
	}
	return errors.Join(append(errs, r.dropTokens(ctx, in.RevokedUsers))...)
}

func (r *reconciler) dropTokens(ctx context.Context, users []string) error {
	var errs []error
	for _, u := range users {
		errs = append(errs, r.stack.registry.DeleteToken(ctx, u))
	}
	return errors.Join(errs...)
}

// withdraw takes an environment's services away with all that they held.
func (r *reconciler) withdraw(ctx context.Context, in portal.Intent) error {
	users := in.RevokedUsers
	for _, d := range in.DPEs {
		users = append(users, d.RegistryUser)
	}
	return errors.Join(r.dropTokens(ctx, users), r.stack.clouds.remove(in.Environment))
}
