package ui

import "time"

// OverviewPage is an environment's Overview tab.
type OverviewPage struct {
	Frame
	Offering, Owner string
	Managed         int       // replicas of Ataccama-managed DPEs
	Expires         time.Time // of the licence
	DPEs            []DPE
	Events          []Event // what happened last, newest first
	Next            NextStep
}

// NextStep is what a person may want to do next.
type NextStep struct {
	Text       string
	Link, Path string // words and path of a link; empty: none
	Command    string // that does it in a terminal; empty: none
}

// Overview renders an environment's Overview tab.
func Overview(p OverviewPage) ([]byte, error) { return render("overview", "layout", p) }

// DPMPage is the DPM Admin Console.
type DPMPage struct {
	Frame
	Address            string
	DPEs               []DPE
	Engines            []Engine
	EnginesUnavailable string // why Engines is not known; empty: it is
	Jobs               []Job  // the newest
	JobsUnavailable    string
	More               bool // there are more jobs
}

// DPM renders the DPM Admin Console.
func DPM(p DPMPage) ([]byte, error) { return render("dpm", "layout", p) }
