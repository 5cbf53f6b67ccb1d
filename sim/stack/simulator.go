package stack

import (
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/room"
	"github.com/dpesim/dpesim/sim"
)

// simulator is what the portal's control room sees of the simulator.
type simulator struct{ *Stack }

// Cluster gives the customer's cluster as its operator sees it, once it is ready.
func (s simulator) Cluster() (room.Cluster, error) {
	if err := cloud(s).clusterReady(); err != nil {
		return nil, &sim.Error{Kind: sim.Unavailable, Msg: "the cluster is still starting: " + err.Error(), Help: "look again in a moment, or wait for it: dpesim wait", Err: err}
	}
	return s.cluster.View(), nil
}

var _ room.Simulator = simulator{}

// Connections lists what is open through the edge.
func (s simulator) Connections() []api.Connection {
	all := s.edge.Connections()
	out := make([]api.Connection, len(all))
	for i, c := range all {
		out[i] = api.Connection{
			Environment: c.Environment, Host: c.Host, Source: c.Source.String(), Opened: c.Opened, In: c.In, Out: c.Out, Active: c.Active,
		}
	}
	return out
}

// FaultPoints lists where something can be broken on purpose.
func (s simulator) FaultPoints() []api.FaultPoint { return faultPoints() }

// Addresses lists where a person finds the parts.
func (s simulator) Addresses() [][2]string {
	e := s.endpoints
	return [][2]string{
		{"Portal", e.Portal},
		{"Portal through the edge", e.PortalTLS},
		{"Artifacts registry", e.Registry},
		{"Kubernetes API", e.Kubernetes},
		{"Kubeconfig", e.Kubeconfig},
		{"CA certificate", e.CA},
		{"Proxy that knows the names", e.Proxy},
		{"Data directory", e.DataDir},
		{"Customer's egress address", s.config.Source.String()},
	}
}
