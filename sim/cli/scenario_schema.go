package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/docs/schema"
)

func newScenarioSchemaCommand(a *app) *cobra.Command {
	schemas := map[string][]byte{"front-matter": schema.FrontMatter, "events": schema.Events}
	return &cobra.Command{
		Use: "schema front-matter|events", Short: "Print a JSON schema: of scenarios' front matter, or of what 'run -o json' prints", Args: oneOf(schemas),
		Example:   "  dpesim scenario schema front-matter > scenario.schema.json",
		ValidArgs: []string{"front-matter", "events"},
		RunE: func(_ *cobra.Command, args []string) error {
			_, err := a.Stdout.Write(schemas[args[0]])
			return err
		},
	}
}

// oneOf takes exactly one argument, a key of m.
func oneOf[T any](m map[string]T) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := exactArgs(1)(cmd, args); err != nil {
			return err
		}
		if _, ok := m[args[0]]; !ok {
			return usage(fmt.Errorf("there is no %q: use %s", args[0], strings.Join(slices.Sorted(maps.Keys(m)), " or ")))
		}
		return nil
	}
}
