// Package schema has the JSON schemas of what dpesim reads and prints, as they lie in this folder for editors and programs.
package schema

import _ "embed"

// FrontMatter is the schema of a scenario's front matter.
//
//go:embed scenario.schema.json
var FrontMatter []byte

// Events is the schema of each line that scenario run -o json prints.
//
//go:embed scenario-events.schema.json
var Events []byte
