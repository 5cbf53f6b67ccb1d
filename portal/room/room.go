package room

import (
	"context"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/clock/pace"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/fault"
)

// Simulator is what the control room sees and does beyond the product. Its methods are safe for concurrent use.
type Simulator interface {
	// Connections lists what is open through the edge.
	Connections() []api.Connection
	// FaultPoints lists where something can be broken on purpose.
	FaultPoints() []api.FaultPoint
	// Addresses lists where a person finds the parts of the simulator: names and addresses, in order.
	Addresses() [][2]string
	// Cluster gives the customer's cluster. It returns Unavailable while there is none.
	Cluster() (Cluster, error)
}

// Cluster is the customer's cluster as its operator sees it and acts in it. What its API server refuses comes back in its
// own words. Its methods are safe for concurrent use.
type Cluster interface {
	Read(ctx context.Context) (api.Cluster, error)
	Scale(ctx context.Context, namespace, deployment string, replicas int) error
	DeletePod(ctx context.Context, namespace, pod string) error
	Log(ctx context.Context, namespace, pod string, previous bool) (string, error) // the end of it
	Cordon(ctx context.Context, node string, on bool) error
	SetPower(ctx context.Context, node string, on bool) error
}

// Product is what the room sees of the product. Its methods are safe for concurrent use.
type Product interface {
	// Environments lists the environments that the caller sees.
	Environments(ctx context.Context) ([]api.Environment, error)
	// Engines lists the replicas that are connected to an environment's DPM now; none while that is not there.
	Engines(ctx context.Context, env sim.EnvironmentID) ([]api.Engine, error)
	// Tell tells what was done to the simulator: on the bus, and in the audit log.
	Tell(ctx context.Context, e sim.Event) error
}

// Room is the control room. It is safe for concurrent use.
type Room struct {
	Simulator Simulator
	Product   Product
	Clock     *clock.Clock
	Pace      *pace.Pace // moves Clock
	Bus       *event.Bus // nil: silent
	Faults    *fault.Set // nil: none
}
