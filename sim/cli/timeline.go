package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

func newTimelineCommand(a *app) *cobra.Command {
	var filter api.EventFilter
	var follow bool
	cmd := &cobra.Command{Use: "timeline", Short: "Print what happened, oldest first", Args: noArgs}
	output := outputFlag(cmd)
	cmd.Flags().StringVar((*string)(&filter.Environment), "environment", "", "only events of this environment")
	cmd.Flags().Uint64Var(&filter.After, "after", 0, "only events after this number")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until Ctrl-C, one event a line or YAML document")
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, _ []string) error {
		if !follow {
			events, err := c.Events(ctx, filter)
			if err != nil {
				return err
			}
			return output.print(a.Stdout, events, func(w *tabwriter.Writer) {
				for _, e := range events {
					eventRow(w, e)
				}
			})
		}
		err := c.Follow(ctx, filter, func(e sim.Event) error {
			return output.stream(a.Stdout, e, func(w *tabwriter.Writer) { eventRow(w, e) })
		})
		if ctx.Err() != nil {
			return nil //nolint:nilerr // Ctrl-C is how following ends
		}
		return err
	})
	return cmd
}

// eventRow prints one event: number, cause, time, who, where, what, details.
func eventRow(w *tabwriter.Writer, e sim.Event) {
	cause := ""
	if e.Cause > 0 {
		cause = fmt.Sprintf("<- %d", e.Cause)
	}
	where := string(e.Environment)
	if e.DPE != "" {
		where += "/" + string(e.DPE)
	}
	details := make([]string, 0, len(e.Detail))
	for _, k := range slices.Sorted(maps.Keys(e.Detail)) {
		details = append(details, k+"="+e.Detail[k])
	}
	row(w, e.Seq, cause, e.Time.Format("15:04:05.000"), e.Part, where, e.What, strings.Join(details, " "))
}
