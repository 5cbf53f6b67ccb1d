// Package dpm is the Data Processing Module of one environment: it knows which components may connect, holds the streams
// of their engines, and sees every job that it accepted to exactly one end.
//
// All state is changed by one goroutine, in turns (turn.go): a turn takes the requests that wait, changes memory, commits
// all rows in one transaction, and only then lets anybody know: callers, engines, the event bus. What an engine or a
// caller was told is therefore on disk.
package dpm
