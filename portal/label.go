package portal

import (
	"regexp"

	"github.com/dpesim/dpesim/sim"
)

// releaseSegments finds what looks like a release in a label: 15-3, 15-3-0, v15, release-15. A number alone is none: there
// may be a second warehouse. What begins a label with a digit has an n before it ([sim.Slug]).
var releaseSegments = regexp.MustCompile(`(?:^n|^|-)((?:v|r|release-?)\d+(?:-\d+)*|\d{1,2}(?:-\d+){1,2})(?:-|$)`)

// labelWarning says what speaks against a label that could be used; empty: nothing. "Therefore, we recommend not using any
// segments specific to the platform release versions in the label name." (seed, "Name and label")
func labelWarning(l sim.Label) string {
	m := releaseSegments.FindStringSubmatch(string(l))
	if m == nil {
		return ""
	}
	return m[1] + " looks like a release: the label stays the same when the DPE is upgraded, so leave versions of the platform out of the name"
}
