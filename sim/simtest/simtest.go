// Package simtest stands up a whole simulator inside a Go test.
//
//	s := simtest.Start(t)
//	env := s.Environment(t, api.EnvironmentSpec{Name: "Demo"})
//
// Every simulator has its own ports, its own temporary state and its own clock; any number run in parallel in one
// process. All of it is gone when the test ends.
//
// [RunScenarios] plays scenario files as tests.
package simtest

import (
	"context"
	"log/slog"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim/stack"
)

// Sim is a running simulator.
type Sim struct {
	*stack.Stack
	API *api.Client // the portal's HTTP API, as the trainer, who may do everything
}

// Config is what [Start] stands up: [stack.Default] on free ports, logging to the test's output.
func Config(tb testing.TB) stack.Config {
	tb.Helper()
	c := stack.Default()
	c.HTTPAddr, c.TLSAddr = "127.0.0.1:0", "127.0.0.1:0"
	c.Log = slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	return c
}

// Start stands up a simulator that is ready when Start returns and is stopped when the test ends; a stop that is not
// clean fails the test.
func Start(tb testing.TB) *Sim {
	tb.Helper()
	return StartConfig(tb, Config(tb))
}

// StartConfig is [Start] with a configuration of your own, usually a changed [Config].
func StartConfig(tb testing.TB, c stack.Config) *Sim {
	tb.Helper()
	s, err := stack.Open(tb.Context(), c)
	if err != nil {
		tb.Fatalf("open the simulator: %v", err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	up, down := context.WithCancel(tb.Context())
	served := make(chan error, 1)
	go func() {
		defer down() // nobody waits for one that has failed
		served <- s.Serve(ctx)
	}()
	tb.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			tb.Errorf("the simulator failed: %v", err)
		}
		if err := s.Close(); err != nil {
			tb.Errorf("close the simulator: %v", err)
		}
	})
	if err := s.WaitReady(up); err != nil {
		tb.Fatalf("wait for the simulator: %v", err)
	}
	return &Sim{Stack: s, API: s.Client()}
}

// Environment creates an environment and waits until it is ready.
func (s *Sim) Environment(tb testing.TB, spec api.EnvironmentSpec) api.Environment {
	tb.Helper()
	events := s.Bus().Subscribe(s.Bus().Last())
	env, err := s.API.CreateEnvironment(tb.Context(), spec)
	for err == nil && env.Phase != api.PhaseReady {
		if _, err = events.Next(tb.Context()); err == nil {
			env, err = s.API.Environment(tb.Context(), env.ID)
		}
	}
	if err != nil {
		tb.Fatalf("create environment %s: %v", spec.Name, err)
	}
	return env
}
