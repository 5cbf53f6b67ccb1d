package ui

import "time"

// CompliancePage is how an environment stood to its licence over time.
type CompliancePage struct {
	Frame
	Chart   ComplianceChart
	Samples []ComplianceSample // newest first
	Older   bool               // there are more than are shown
}

// ComplianceChart is the same as lines: paths of SVG. They are empty while there is nothing to draw.
type ComplianceChart struct {
	Width, Height                  int
	Licensed, Specified, Connected string
	Grid                           []GridLine
	From, To                       time.Time
	Text                           string // how it is now, in a sentence
}

// GridLine is a line across the chart, with the number of replicas that it stands for.
type GridLine struct{ Replicas, Y, From, To int }

// ComplianceSample is a row of the table.
type ComplianceSample struct {
	Time                                      time.Time
	Licensed, SelfManaged, Managed, Connected int
	Compliant                                 bool
}

// Compliance renders how an environment stood to its licence.
func Compliance(p CompliancePage) ([]byte, error) { return render("compliance", "layout", p) }
