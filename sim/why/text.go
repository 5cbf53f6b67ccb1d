package why

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// Text says x in lines for a person: the newest event of each chain first, the first cause marked.
func (x Explanation) Text() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, x.Summary)
	for _, c := range x.Chains {
		fmt.Fprintln(w)
		if c.Relation != "" {
			fmt.Fprintf(w, "%s:\n", c.Relation)
		}
		for _, s := range c.Steps {
			mark, after := " ", ""
			if s.Seq == x.FirstCause {
				mark, after = ">", "   <- first cause"
			}
			fmt.Fprintf(w, "%s %s\t%s\t%s%s\n", mark, s.Time.Format("15:04:05.000"), s.Part, s.Text, after)
		}
		if c.Forgotten {
			fmt.Fprintln(w, "  what led to it is no longer remembered")
		}
	}
	fmt.Fprintf(w, "\nWhat to do: %s\n", x.Hint)
	_ = w.Flush() // to memory
	return b.String()
}
