// Package ui is the portal's pages: templates with a typed function for each, and the assets that they load.
//
// It decides nothing and knows no service: package portal fills in what a page shows. Every page works without
// JavaScript; with it, what changes is brought up to date by htmx over server-sent events. Nothing is loaded from
// elsewhere.
package ui
