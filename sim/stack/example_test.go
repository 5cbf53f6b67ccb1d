package stack_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim/stack"
)

// A program of its own that stands a simulator up on free ports, uses its API and takes it down.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	config := stack.Default()
	config.HTTPAddr, config.TLSAddr = "localhost:0", "localhost:0"
	s, err := stack.Open(ctx, config)
	if err != nil {
		fmt.Println(err)
		return
	}
	up, down := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() {
		defer down() // nobody waits for one that has failed
		served <- s.Serve(ctx)
	}()
	err = s.WaitReady(up)
	if err == nil {
		err = rehearse(ctx, s.Client())
	}
	stop()
	if err := errors.Join(err, <-served, s.Close()); err != nil {
		fmt.Println(err)
	}
	// Output: acme-production is creating
}

func rehearse(ctx context.Context, portal *api.Client) error {
	env, err := portal.CreateEnvironment(ctx, api.EnvironmentSpec{Name: "Acme production"})
	if err != nil {
		return err
	}
	fmt.Println(env.ID, "is", env.Phase)
	return nil
}
