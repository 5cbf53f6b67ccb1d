// Package sim is the vocabulary of dpesim: identifiers, labels, releases, sizing, secrets, errors and events.
//
// Everything in it is a value. It imports the standard library alone, so that every other package may import it.
package sim
