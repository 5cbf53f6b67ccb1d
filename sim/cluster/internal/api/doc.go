// Package api is the API server of the default cluster target: Kubernetes' own endpoints and generic registry
// (k8s.io/apiserver), in the process, over a store in memory that can be kept in a SQLite file.
//
// Real helm, kubectl and client-go work against it: create, update, three kinds of patch, server-side apply, dry-run,
// watch, tables, discovery, OpenAPI. It runs no controller and no pod: package sim/cluster does both, as a client.
// What it serves is the table in resources.go; defaults and validation cover what an operator of an engine meets there.
package api
