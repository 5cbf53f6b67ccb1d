// Package portal is the administration interface of the simulated Ataccama PaaS+: environments, self-managed DPEs, their
// generated files and commands, and their status, as an HTTP API (package api) and as pages (package ui).
//
// The portal commits what is wanted and says so in [Intent]s; it touches no other service. What it needs to know of them
// it asks a [Cloud]. Only sim/stack opens one.
package portal
