// Package dpmv1 is the gRPC contract between DPM and its engines: dpm.proto and what is generated from it.
package dpmv1

import _ "embed" // for Source

//go:generate go tool -modfile=../../.ci/buf.mod buf generate --config ../../.ci/buf.yaml --template ../../.ci/buf.gen.yaml .

// Source is dpm.proto as it is written, for people.
//
//go:embed dpm.proto
var Source string
