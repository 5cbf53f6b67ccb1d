package cluster

import "github.com/dpesim/dpesim/sim/cluster/internal/node"

// Runtime runs the containers of the cluster's pods.
type Runtime = node.Runtime

// Container is what a container finds around it.
type Container = node.Container

// DialFunc opens a connection on behalf of a container.
type DialFunc = node.DialFunc
