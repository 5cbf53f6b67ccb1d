// Package scenarios holds the scenarios that are built into dpesim, as the Markdown files that they are.
package scenarios

import (
	"embed"
	"fmt"
	"strings"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/sim"
)

// files has the scenarios, whose names are in small letters; DESIGN.md is none.
//
//go:embed [a-z]*.md
var files embed.FS

// Names lists the built-in scenarios in alphabetical order.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil // an embedded directory can be read
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".md"))
	}
	return names
}

// Source gives the Markdown of a built-in scenario. It returns NotFound for any other name.
func Source(name string) ([]byte, error) {
	for _, n := range Names() {
		if n == name {
			src, err := files.ReadFile(n + ".md")
			if err != nil {
				return nil, fmt.Errorf("reading the built-in scenario %s: %w", n, err)
			}
			return src, nil
		}
	}
	return nil, sim.Errorf(sim.NotFound, "there is no built-in scenario %q", name).WithHelp("the built-in scenarios are: %s", strings.Join(Names(), ", "))
}

// Read parses a built-in scenario. It returns NotFound for any other name.
func Read(name string) (*engine.Scenario, error) {
	src, err := Source(name)
	if err != nil {
		return nil, err
	}
	return engine.Parse(name+".md", src)
}

// Library gives all built-in scenarios, in the order of [Names].
func Library() ([]*engine.Scenario, error) {
	var all []*engine.Scenario
	for _, n := range Names() {
		s, err := Read(n)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}
