package stack

import (
	"context"
	"errors"

	"github.com/dpesim/dpesim/dpm"
	"github.com/dpesim/dpesim/objstore"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/registry"
)

// Plant gives the services of a DPE's environment what only a reconciler gives them, whether the portal wants it or not: a
// key, a credential and a token.
func (s *Stack) Plant(ctx context.Context, c dpm.Component, x objstore.Credential, t registry.Token) error {
	e, err := s.clouds.get(t.Environment)
	if err != nil {
		return err
	}
	return errors.Join(e.dpm.Load().Authorize(ctx, c), e.storage.PutCredential(ctx, x), s.registry.PutToken(ctx, t))
}

// PlantToken gives the registry a token of whatever environment.
func (s *Stack) PlantToken(ctx context.Context, t registry.Token) error {
	return s.registry.PutToken(ctx, t)
}

// Withdraw takes all of that away again.
func (s *Stack) Withdraw(ctx context.Context, env sim.EnvironmentID, key sim.KeyID, accessKey string, users ...string) error {
	e, err := s.clouds.get(env)
	if err != nil {
		return err
	}
	err = errors.Join(e.dpm.Load().Revoke(ctx, key), e.storage.DeleteCredential(ctx, accessKey))
	for _, u := range users {
		err = errors.Join(err, s.registry.DeleteToken(ctx, u))
	}
	return err
}
