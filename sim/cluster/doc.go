// Package cluster is the default Kubernetes cluster of the customer's side, in this process: an API server, the
// controllers that an operator of an engine meets, a scheduler and a node agent that runs pods through a [Runtime].
//
// Real helm, kubectl and client-go work against it. What it does not do is said in DESIGN.md beside it.
package cluster
