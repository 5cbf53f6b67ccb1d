package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

func newDPECommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "dpe", Short: "Add, edit, look at and remove self-managed DPEs; run an engine, ask one",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDPEAddCommand(a), newDPEEditCommand(a), newDPEListCommand(a), newDPEGetCommand(a), newDPEValuesCommand(a),
		newDPECommandsCommand(a), newDPERunCommandsCommand(a), newDPETokenCommand(a), newDPERemoveCommand(a), newDPERunCommand(a), newDPEReadyCommand(a))
	return cmd
}

func newDPEAddCommand(a *app) *cobra.Command {
	var spec api.DPESpec
	var drivers, sizing []string
	cmd := &cobra.Command{
		Use: "add ENVIRONMENT NAME", Short: "Add a self-managed DPE: keys, credentials and installation commands are generated",
		Example: `  dpesim dpe add acme-production "Finance warehouse" --drivers postgresql,s3 --replicas 2
  dpesim dpe add acme-production "Big one" --sizing cpu-limit=4,memory-request=8Gi,memory-limit=8Gi`,
		Args: exactArgs(2),
	}
	output := outputFlag(cmd)
	cmd.Flags().StringSliceVar(&drivers, "drivers", nil, "enabled drivers (default: all)")
	cmd.Flags().IntVar(&spec.Replicas, "replicas", 1, "number of replicas")
	sizingFlag(cmd, &sizing)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		spec.Name = args[1]
		var err error
		if spec.ExceptionalSizing, err = toSizing(sizing); err != nil {
			return err
		}
		if cmd.Flags().Changed("drivers") {
			spec.Drivers = toDrivers(drivers)
		}
		d, err := c.AddDPE(ctx, sim.EnvironmentID(args[0]), spec)
		if err != nil {
			return err
		}
		if d.LabelWarning != "" {
			fmt.Fprintf(a.Stderr, "warning: label %s: %s\n", d.Label, d.LabelWarning)
		}
		return output.print(a.Stdout, d, dpeTable([]api.DPE{d}))
	})
	return cmd
}

func toDrivers(names []string) []sim.Driver {
	out := make([]sim.Driver, 0, len(names))
	for _, n := range names {
		if n = strings.TrimSpace(n); n != "" {
			out = append(out, sim.Driver(n))
		}
	}
	return out
}

func newDPEEditCommand(a *app) *cobra.Command {
	var drivers, sizing []string
	var replicas int
	var revision int64
	cmd := &cobra.Command{
		Use: "edit ENVIRONMENT LABEL", Short: "Change drivers, replicas or an exceptional sizing; nothing reaches the cluster until you redeploy", Args: exactArgs(2),
	}
	output := outputFlag(cmd)
	cmd.Flags().StringSliceVar(&drivers, "drivers", nil, "enabled drivers")
	cmd.Flags().IntVar(&replicas, "replicas", 0, "number of replicas")
	sizingFlag(cmd, &sizing)
	cmd.Flags().Int64Var(&revision, "revision", 0, "edit this revision only: refuse if somebody else was faster")
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		var edit api.DPEEdit
		if cmd.Flags().Changed("drivers") {
			edit.Drivers = new(toDrivers(drivers))
		}
		if cmd.Flags().Changed("replicas") {
			edit.Replicas = &replicas
		}
		if cmd.Flags().Changed("sizing") {
			own, err := toSizing(sizing)
			if err != nil {
				return err
			}
			edit.ExceptionalSizing = &own
		}
		if edit == (api.DPEEdit{}) {
			return usage(sim.Errorf(sim.Invalid, "nothing to edit").WithHelp("give --drivers, --replicas or --sizing"))
		}
		d, err := c.EditDPE(ctx, sim.EnvironmentID(args[0]), sim.Label(args[1]), edit, revision)
		if err != nil {
			return err
		}
		return output.print(a.Stdout, d, dpeTable([]api.DPE{d}))
	})
	return cmd
}

func newDPEListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "list ENVIRONMENT", Short: "List an environment's self-managed DPEs", Args: exactArgs(1)}
	output := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		dpes, err := c.DPEs(ctx, sim.EnvironmentID(args[0]))
		if err != nil {
			return err
		}
		return output.print(a.Stdout, dpes, dpeTable(dpes))
	})
	return cmd
}

func dpeTable(dpes []api.DPE) func(*tabwriter.Writer) {
	return func(w *tabwriter.Writer) {
		row(w, "LABEL", "NAME", "RELEASE", "REVISION", "REPLICAS", "STATUS")
		for _, d := range dpes {
			status := d.Status.Message
			if d.Status.RedeployNeeded {
				status += ", redeploy needed"
			}
			switch {
			case d.Status.UpgradeRequired:
				status += ", upgrade required"
			case d.Status.Outdated:
				status += ", Outdated"
			}
			if d.Status.NonCompliant {
				status += ", non-compliant"
			}
			row(w, d.Label, d.Name, d.Release, d.Revision, fmt.Sprintf("%d/%d", d.Status.ReplicasConnected, d.Replicas), status)
		}
	}
}

func newDPEGetCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "get ENVIRONMENT LABEL", Short: "Show one DPE with its status", Args: exactArgs(2)}
	output := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		d, err := c.DPE(ctx, sim.EnvironmentID(args[0]), sim.Label(args[1]))
		if err != nil {
			return err
		}
		return output.print(a.Stdout, d, func(w *tabwriter.Writer) {
			row(w, "Label", d.Label)
			row(w, "Name", d.Name)
			row(w, "Drivers", d.Drivers)
			row(w, "Replicas", d.Replicas)
			row(w, "Sizing", sizingWords(d))
			row(w, "Release", d.Release)
			row(w, "Revision", d.Revision)
			row(w, "Key", d.KeyID)
			if !d.RegistryTokenExpires.IsZero() {
				row(w, "Registry token", "expires "+d.RegistryTokenExpires.Format(time.RFC3339))
			}
			row(w, "Status", fmt.Sprintf("%s (%s)", d.Status.Message, d.Status.Colour))
			if d.Status.Detail != "" {
				row(w, "Detail", d.Status.Detail)
			}
			if since := d.Status.DisconnectedSince; since != nil {
				row(w, "Disconnected", "since "+since.Format(time.RFC3339))
			}
			if x := d.Status.LastFailure; x != nil {
				row(w, "Last failure", x.Sentence+", "+x.Time.Format(time.RFC3339))
			}
			if d.Status.NonCompliant {
				row(w, "Non-compliant", d.Status.Compliance)
			}
			if d.Status.UpgradeRequired {
				row(w, "Upgrade required", fmt.Sprintf("platform %s works with %s and newer only", d.Status.Platform, d.Status.OldestRelease))
			}
			if d.Status.Outdated {
				row(w, "Outdated", fmt.Sprintf("runs %v, the platform is %s: see 'dpesim dpe commands %s %s'", d.Status.Running, d.Status.Platform, d.Environment, d.Label))
			}
			for _, x := range d.Status.Differences {
				row(w, "Redeploy needed", fmt.Sprintf("%s: running %s, wanted %s", x.Field, x.Running, x.Wanted))
			}
		})
	})
	return cmd
}

func newDPEValuesCommand(a *app) *cobra.Command {
	var release, check string
	cmd := &cobra.Command{
		Use: "values ENVIRONMENT LABEL", Short: "Print values.yaml. It holds secrets: keep it private",
		Example: "  dpesim dpe values acme-production finance-warehouse > values.yaml\n" +
			"  dpesim dpe values acme-production finance-warehouse --check values.yaml", Args: exactArgs(2),
	}
	output := outputFlag(cmd)
	cmd.Flags().StringVar(&release, "release", "", "the last file that was generated for that release (default: the current file)")
	cmd.Flags().StringVar(&check, "check", "", "compare this file with it instead, without showing secrets; exit code 1 if they differ")
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		b, err := c.Values(ctx, sim.EnvironmentID(args[0]), sim.Label(args[1]), sim.Release(release))
		if err != nil {
			return err
		}
		if check == "" {
			if cmd.Flags().Changed("output") {
				return usage(sim.Errorf(sim.Invalid, "values.yaml has one format").WithHelp("leave out --output, or add --check FILE"))
			}
			_, err = a.Stdout.Write(b)
			return err
		}
		return a.checkValues(check, b, output)
	})
	return cmd
}

// checkValues prints how a values file differs from what the portal generated. It returns Conflict if it does.
func (a *app) checkValues(file string, want []byte, output *format) error {
	have, err := os.ReadFile(a.path(file))
	if err != nil {
		return fmt.Errorf("read the values file: %w", err)
	}
	differences, err := chart.CompareValues(have, want)
	if err != nil {
		return err
	}
	current, err := chart.ParseValues(want)
	if err != nil {
		return err
	}
	if differences == nil {
		differences = []chart.Difference{}
	}
	err = output.print(a.Stdout, differences, func(w *tabwriter.Writer) {
		if len(differences) == 0 {
			fmt.Fprintf(w, "%s is current: release %s, revision %d\n", file, current.Release, current.Revision)
			return
		}
		row(w, "KEY", "IN "+file, "GENERATED")
		for _, d := range differences {
			row(w, d.Key, cmp.Or(d.Have, "missing"), cmp.Or(d.Want, "not there"))
		}
	})
	if err != nil || len(differences) == 0 {
		return err
	}
	what := "no file that the portal generated"
	if was, err := chart.ParseValues(have); err == nil {
		what = fmt.Sprintf("for release %s, revision %d", was.Release, was.Revision)
	}
	return sim.Errorf(sim.Conflict, "%s is %s; the one asked for is for release %s, revision %d", file, what, current.Release, current.Revision).
		WithHelp("download it again, and keep changes of your own in a second file (helm ... -f values.yaml -f overlay.yaml)")
}

func newDPECommandsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "commands ENVIRONMENT LABEL", Short: "Print the installation commands",
		Example: "  dpesim dpe commands acme-production finance-warehouse --variant mirror", Args: exactArgs(2),
	}
	output := outputFlag(cmd)
	variant := string(api.VariantDirect)
	cmd.Flags().StringVar(&variant, "variant", variant, "direct, mirror (a registry of your own) or private-ca (a CA of your own)")
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		cmds, err := c.Commands(ctx, sim.EnvironmentID(args[0]), sim.Label(args[1]))
		if err != nil {
			return err
		}
		chosen, err := cmds.Variant(api.Variant(variant))
		if err != nil {
			return usage(err)
		}
		cmds.Variants = []api.Installation{chosen}
		return output.print(a.Stdout, cmds, func(w *tabwriter.Writer) { printCommands(w, cmds, chosen) })
	})
	return cmd
}

// printCommands prints a variant so that what is no command is a comment of the shell.
func printCommands(w io.Writer, cmds api.Commands, chosen api.Installation) {
	fmt.Fprintf(w, "# %s, release %s, revision %d: %s\n", cmds.Label, cmds.Release, cmds.Revision, chosen.Title)
	for _, r := range cmds.Requirements {
		fmt.Fprintf(w, "# needs %s %s: %s\n", r.Name, r.Version, r.Explanation)
	}
	for _, f := range chosen.Files {
		fmt.Fprintf(w, "# needs the file %s: %s\n", f.Name, f.Explanation)
	}
	for _, part := range []struct {
		title    string
		commands []api.Command
	}{
		{"Prepare", chosen.Prepare},
		{"Before an update", chosen.Diff},
		{"Install, update or upgrade", chosen.Install},
		{"Verify", chosen.Verify},
		{"Roll back", chosen.Rollback},
		{"Uninstall", chosen.Uninstall},
	} {
		fmt.Fprintf(w, "\n## %s\n", part.title)
		for _, c := range part.commands {
			fmt.Fprintf(w, "\n# %s. %s\n%s\n", c.Title, c.Explanation, c.Command)
		}
	}
}

func newDPETokenCommand(a *app) *cobra.Command {
	var rotate bool
	cmd := &cobra.Command{
		Use: "token ENVIRONMENT LABEL", Short: "Print the access token for the artifacts registry. It is a secret", Args: exactArgs(2),
	}
	cmd.Flags().BoolVar(&rotate, "rotate", false, "make another token first; the old one is refused from then on")
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		token := c.RegistryToken
		if rotate {
			token = c.RotateRegistryToken
		}
		t, err := token(ctx, sim.EnvironmentID(args[0]), sim.Label(args[1]))
		if err != nil {
			return err
		}
		fmt.Fprintln(a.Stdout, t.Reveal())
		if rotate {
			fmt.Fprintln(a.Stderr, "the old token is refused: log in again, get values.yaml again and run the installation commands, before the cluster pulls an image again")
		}
		return nil
	})
	return cmd
}

func newDPERemoveCommand(a *app) *cobra.Command {
	var yes bool
	var revision int64
	cmd := &cobra.Command{Use: "remove ENVIRONMENT LABEL --yes", Short: "Remove from Portal: final, and nothing reaches the cluster", Args: exactArgs(2)}
	cmd.Flags().BoolVar(&yes, "yes", false, "really remove: it cannot be undone")
	cmd.Flags().Int64Var(&revision, "revision", 0, "remove this revision only: refuse if somebody changed it meanwhile")
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		env, label := sim.EnvironmentID(args[0]), sim.Label(args[1])
		if !yes {
			return usage(sim.Errorf(sim.Invalid, "removing DPE %s cannot be undone", label).WithHelp("add --yes if you mean it"))
		}
		if err := c.RemoveDPE(ctx, env, label, revision); err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "removed %s from the portal; its release in the cluster is still there: 'helm uninstall %s --namespace dpe'\n", label, label)
		return nil
	})
	return cmd
}
