// Package node is the node agent: the part of a Kubernetes node that runs pods.
//
// It registers its nodes, runs every pod that is bound to them through a [Runtime] in this process, and tells the API
// server how they are. It speaks client-go to a rest.Config and nothing else, so it serves any API server.
package node
