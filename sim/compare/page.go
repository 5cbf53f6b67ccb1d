package compare

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dpesim/dpesim/scenarios/engine"
)

// The section of docs/fidelity.md that [Page] writes begins and ends here.
const (
	sectionBegin = "## Held against a real cluster\n"
	sectionEnd   = "## As documented\n"
)

// rowsBegin is above the rows of what was compared.
const rowsBegin = "| scenario | steps | alike | differs in |\n|---|---|---|---|\n"

// Page gives docs/fidelity.md, of which text is what is written there, with its first section written anew: what is published, what
// of the library is not compared, and a row for each of results, which are of the rest of the library. nil: the rows stay. It fails if
// text is not that page.
func Page(text string, table Table, library []*engine.Scenario, results []*Result) (string, error) {
	head, rest, begins := strings.Cut(text, sectionBegin)
	_, tail, ends := strings.Cut(rest, sectionEnd)
	if !begins || !ends {
		return "", fmt.Errorf("the page has no section from %q to %q", strings.TrimSpace(sectionBegin), strings.TrimSpace(sectionEnd))
	}
	_, old, _ := strings.Cut(rest, rowsBegin)
	old, _, _ = strings.Cut(old, "\n\n")
	var b strings.Builder
	b.WriteString(sectionBegin + `
Each scenario of the table was played on kind and on the cluster in the process, and what an operator sees was compared after each step: what commands print (of helm also what a scenario sends to a
file), events of the simulator, conditions and statuses of Deployments, replica sets, pods, volume claims and Helm's releases, Kubernetes events. Names, times, ids, addresses and sizes are masked; neither order nor number
counts. What passes counts as alike: an object that is under way on one side, or what the other side shows after another step. ` + "`dpesim scenario run --compare inprocess,kind NAME`" + ` does it.

` + rowsBegin)
	if results == nil {
		b.WriteString(old + "\n")
	}
	for _, r := range results {
		var rows []string
		for _, n := range r.published() {
			if !table[n-1].Sometimes {
				rows = append(rows, strconv.Itoa(n))
			}
		}
		fmt.Fprintf(&b, "| [%s](../scenarios/%[1]s.md) | %d | %d lines | %s |\n", r.Scenario, r.Steps, r.alike(), strings.Join(rows, ", "))
	}
	b.WriteString("\n" + rows(table) + "\n" + alone(library) + "\n")
	return head + b.String() + sectionEnd + tail, nil
}

// rows gives what differs, and why.
func rows(table Table) string {
	var b strings.Builder
	b.WriteString("What differs, and why:\n\n| | what | why |\n|---|---|---|\n")
	for i, k := range table {
		what := k.What
		if k.Sometimes {
			what += " Not in every run."
		}
		fmt.Fprintf(&b, "| %d | %s | %s |\n", i+1, what, k.Why)
	}
	return b.String()
}

// alone gives the scenarios that cannot be compared, and why.
func alone(library []*engine.Scenario) string {
	var b strings.Builder
	b.WriteString("Not compared, since they run on one cluster alone:\n\n| scenario | why |\n|---|---|\n")
	for _, s := range library {
		if s.Because != "" {
			fmt.Fprintf(&b, "| [%s](../scenarios/%[1]s.md) | %s |\n", s.Name(), s.Because)
		}
	}
	return b.String()
}
