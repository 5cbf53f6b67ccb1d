package stack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/dpesim/dpesim/dpe/chart"
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
type reconciler struct {
	stack *Stack
	done  map[sim.EnvironmentID]int64 // the generation that was last settled: there is nothing to do for it again

	mu     sync.Mutex
	failed error // of the last time
}

// retryAfter is how long the reconciler waits after a failure, in product time.
const retryAfter = time.Second

func (r *reconciler) serve(ctx context.Context) error {
	for ctx.Err() == nil {
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
	}
	return nil
}

// once reads what is wanted and makes it so where something has changed. One environment's failure does not keep the
// others waiting.
func (r *reconciler) once(ctx context.Context) error {
	err := r.all(ctx)
	r.mu.Lock()
	r.failed = err
	r.mu.Unlock()
	return err
}

// failure gives what keeps the services from being as they are wanted, nil if nothing does.
func (r *reconciler) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *reconciler) all(ctx context.Context) error {
	intents, err := r.stack.portal.Intents(ctx)
	if err != nil {
		return err
	}
	settled := make(map[sim.EnvironmentID]int64, len(intents))
	var errs []error
	for _, in := range intents {
		if generation, ok := r.done[in.Environment]; !ok || generation != in.Generation {
			if err := r.settle(event.WithCause(ctx, in.Cause), in); err != nil {
				errs = append(errs, fmt.Errorf("environment %s: %w", in.Environment, err))
				continue
			}
		}
		settled[in.Environment] = in.Generation
	}
	r.done = settled
	return errors.Join(errs...)
}

func (r *reconciler) settle(ctx context.Context, in portal.Intent) error {
	reach := r.provide
	if in.Phase == api.PhaseDeleting {
		reach = r.withdraw
	}
	if err := reach(ctx, in); err != nil {
		return err
	}
	return r.stack.portal.Settled(ctx, in)
}

// provide makes the services of an environment run and honour exactly the credentials that are wanted.
func (r *reconciler) provide(ctx context.Context, in portal.Intent) error {
	r.allow(ctx, in) // before anything listens
	step := func(name string, do func() error) error { return r.step(ctx, in, name, do) }
	e, err := r.stack.clouds.ensure(ctx, in, step)
	if err != nil {
		return err
	}
	if e.dpm.Load().Release() != in.Release {
		if err := e.dpm.Load().SetRelease(ctx, in.Release, chart.OldestEngine(in.Release)); err != nil {
			return fmt.Errorf("upgrade the DPM: %w", err)
		}
	}
	if in.Phase == api.PhaseCreating {
		if err := step(api.StepData, func() error { return e.fill(ctx) }); err != nil {
			return err
		}
	}
	return step(api.StepCredentials, func() error { return r.admit(ctx, e, in) })
}

// step does a step of an environment's creation and tells of it.
func (r *reconciler) step(ctx context.Context, in portal.Intent, name string, do func() error) error {
	if in.Phase != api.PhaseCreating {
		return do()
	}
	r.stack.portal.Progress(ctx, in, name, api.StepRunning)
	err := do()
	state := api.StepDone
	if err != nil {
		state = api.StepFailed
	}
	r.stack.portal.Progress(ctx, in, name, state)
	return err
}

// admit makes an environment's services honour exactly what is wanted.
func (r *reconciler) admit(ctx context.Context, e *environment, in portal.Intent) error {
	if err := e.storage.PutCredential(ctx, objstore.Credential{AccessKey: in.Operator.AccessKey, SecretKey: in.Operator.SecretKey}); err != nil {
		return fmt.Errorf("authorise the operator: %w", err)
	}
	for _, d := range in.DPEs {
		if err := r.authorise(ctx, e, d); err != nil {
			return fmt.Errorf("authorise DPE %s: %w", d.Label, err)
		}
	}
	if err := e.authoriseManaged(ctx, in.Managed); err != nil {
		return fmt.Errorf("authorise the Ataccama-managed DPEs: %w", err)
	}
	return errors.Join(r.revoke(ctx, e, in), r.stack.clouds.scale(ctx, e, in))
}

// allow has the edge let in who may reach an environment. The cloud itself always may.
func (r *reconciler) allow(ctx context.Context, in portal.Intent) {
	list := in.Allow
	if list != nil {
		list = append(slices.Clone(list), netip.PrefixFrom(insideAddress, insideAddress.BitLen()))
	}
	r.stack.edge.SetAllowlist(ctx, in.Environment, list)
}

func (r *reconciler) authorise(ctx context.Context, e *environment, d portal.IntentDPE) error {
	return errors.Join(
		e.dpm.Load().Authorize(ctx, dpm.Component{Key: d.KeyID, Label: d.Label, PublicKey: d.PublicKey}),
		e.storage.PutCredential(ctx, objstore.Credential{AccessKey: d.AccessKey, SecretKey: d.SecretKey, Label: d.Label}),
		r.stack.registry.PutToken(ctx, registry.Token{
			User: d.RegistryUser, Secret: d.RegistryToken, Environment: e.id, Label: d.Label,
			Expires: d.RegistryExpires, Grants: registry.VendorPull(),
		}),
	)
}

func (r *reconciler) revoke(ctx context.Context, e *environment, in portal.Intent) error {
	var errs []error
	for _, k := range in.RevokedKeys {
		errs = append(errs, e.dpm.Load().Revoke(ctx, k))
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
	users := slices.Clone(in.RevokedUsers)
	for _, d := range in.DPEs {
		users = append(users, d.RegistryUser)
	}
	err := errors.Join(r.dropTokens(ctx, users), r.stack.clouds.remove(in.Environment))
	r.stack.edge.SetAllowlist(ctx, in.Environment, nil)
	return err
}
