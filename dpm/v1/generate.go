// Package dpmv1 is the gRPC contract between DPM and its engines: dpm.proto and what is generated from it.
package dpmv1

//go:generate go tool -modfile=../../.ci/buf.mod buf generate --config ../../.ci/buf.yaml --template ../../.ci/buf.gen.yaml .
