// Package api is the contract of the portal's HTTP API: its JSON, its problem details, and the Go client.
//
// The portal encodes these types and everybody else (command line, tests, scenarios) decodes the same ones, so the two
// sides cannot drift apart. It holds no rule of the product: those live in package portal.
package api

// Prefix is the path under which the API's routes live. A later, incompatible API gets another prefix.
const Prefix = "/api/v1"
