package portal

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"net/netip"
	"time"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/jwk"
)

// Intent is what is wanted of the services of one environment. Making it so is idempotent; it is read from committed
// rows, so that a crash at any moment heals when it is read again.
type Intent struct {
	Generation  int64 // grows with every change of what is wanted, over all environments
	Environment sim.EnvironmentID
	Phase       api.Phase // creating and ready: all below shall be; deleting: the services shall not be
	Release     sim.Release
	Tier        sim.Tier
	Location    api.Location
	Operator    StorageCredential // of the environment itself, for people
	Allow       []netip.Prefix    // source addresses that may reach the services; nil: everybody
	Managed     IntentManaged
	DPEs        []IntentDPE // by label

	// What is not wanted any more. A registry user whose label is in use again is in DPEs alone.
	RevokedKeys       []sim.KeyID
	RevokedAccessKeys []string
	RevokedUsers      []string // of the registry

	Cause uint64 // Seq of the event that changed the intent last; 0: not in this run
}

// StorageCredential is an S3 credential.
type StorageCredential struct {
	AccessKey string
	SecretKey sim.Secret
}

// IntentDPE is what a self-managed DPE needs to be authorised for.
type IntentDPE struct {
	Label         sim.Label
	KeyID         sim.KeyID
	PublicKey     *ecdsa.PublicKey
	AccessKey     string
	SecretKey     sim.Secret
	RegistryUser  string
	RegistryToken sim.Secret

	RegistryExpires time.Time // of the token; zero: never
}

// Intents gives the intent of every environment, by id, until a deleted one is [Portal.Settled].
func (p *Portal) Intents(ctx context.Context) ([]Intent, error) {
	p.mu.Lock() // so that no change is read without its cause
	defer p.mu.Unlock()
	wanted, err := p.store.Wanted(ctx)
	if err != nil {
		return nil, fmt.Errorf("read intents: %w", err)
	}
	out := make([]Intent, 0, len(wanted))
	for _, w := range wanted {
		p.opts.Conceal.Note(w.Environment.SecretKey, w.Environment.Managed.Key, w.Environment.Managed.SecretKey) // those of an earlier run, too
		for _, d := range w.DPEs {
			p.opts.Conceal.Note(d.Key, d.SecretKey, d.RegistryToken)
		}
		in, err := intent(w)
		if err != nil {
			return nil, fmt.Errorf("read intent of environment %s: %w", w.Environment.ID, err)
		}
		in.Cause = p.causes[in.Environment]
		out = append(out, in)
	}
	return out, nil
}

func intent(w store.Wanted) (Intent, error) {
	e := w.Environment
	in := Intent{
		Generation: e.Generation, Environment: e.ID, Phase: e.Phase, Release: e.Release, Tier: e.Tier, Location: e.Location,
		Operator: StorageCredential{AccessKey: e.AccessKey, SecretKey: e.SecretKey},
	}
	var err error
	if in.Allow, err = allowed(e.Allowlist); err != nil {
		return Intent{}, err
	}
	if in.Managed, err = managedIntent(e.Managed); err != nil {
		return Intent{}, err
	}
	users := map[string]bool{}
	for _, d := range w.DPEs {
		pair, err := jwk.Parse(d.Key)
		if err != nil {
			return Intent{}, fmt.Errorf("key of DPE %s: %w", d.Label, err)
		}
		in.DPEs = append(in.DPEs, IntentDPE{
			Label: d.Label, KeyID: d.KeyID, PublicKey: &pair.PublicKey, AccessKey: d.AccessKey, SecretKey: d.SecretKey,
			RegistryUser: d.RegistryUser, RegistryToken: d.RegistryToken, RegistryExpires: d.RegistryExpires,
		})
		users[d.RegistryUser] = true
	}
	for _, d := range w.Removed {
		in.RevokedKeys = append(in.RevokedKeys, d.KeyID)
		in.RevokedAccessKeys = append(in.RevokedAccessKeys, d.AccessKey)
		if !users[d.RegistryUser] {
			in.RevokedUsers = append(in.RevokedUsers, d.RegistryUser)
			users[d.RegistryUser] = true // the same label may have been removed twice
		}
	}
	return in, nil
}

// Settled tells that the services are as in says: creating becomes ready, deleting becomes gone, what was revoked is
// forgotten. It does nothing if something else is wanted by now.
func (p *Portal) Settled(ctx context.Context, in Intent) error {
	was, err := p.store.Settle(ctx, in.Environment, in.Generation)
	if err != nil {
		return fmt.Errorf("settle environment %s: %w", in.Environment, err)
	}
	switch was {
	case api.PhaseCreating:
		p.progress.forget(in.Environment)
		p.publish(ctx, in.Cause, sim.Event{Environment: in.Environment, What: environmentReady})
	case api.PhaseDeleting:
		p.progress.forget(in.Environment)
		p.publish(ctx, in.Cause, sim.Event{Environment: in.Environment, What: environmentDeleted})
		p.mu.Lock()
		delete(p.causes, in.Environment)
		p.mu.Unlock()
	case api.PhaseReady:
	}
	return nil
}

// Changed receives when an intent may have changed since the intents were last read. It is for one reader.
func (p *Portal) Changed() <-chan struct{} { return p.changed }

func (p *Portal) signal() {
	select {
	case p.changed <- struct{}{}:
	default: // it is signalled already
	}
}
