// Package room is the control room: what who runs the simulator sees and does beyond the product.
//
// It gathers facts and makes them what package ui shows, moves the clock, breaks and mends on purpose. It speaks no HTTP
// and knows no user: package portal decides who may come in, reads forms and answers. What the room knows of the product
// it asks [Product] for, of the rest of the simulator [Simulator].
package room
