package cli

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

func newEnvironmentCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "environment", Aliases: []string{"env"}, Short: "Create, look at, upgrade and delete environments",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newEnvironmentCreateCommand(a), newEnvironmentListCommand(a), newEnvironmentGetCommand(a),
		newEnvironmentUpgradeCommand(a), newEnvironmentOwnerCommand(a), newEnvironmentHealthCommand(a), newEnvironmentRestartCommand(a), newEnvironmentEnginesCommand(a), newEnvironmentCACommand(a), newEnvironmentCredentialsCommand(a), newEnvironmentDeleteCommand(a))
	return cmd
}

func newEnvironmentCreateCommand(a *app) *cobra.Command {
	var spec api.EnvironmentSpec
	var wait waitFlags
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Create an environment and wait until it is ready",
		Example: `  dpesim environment create "Acme production" --tier M`,
		Args:    exactArgs(1),
	}
	output := outputFlag(cmd)
	cmd.Flags().StringVar(&spec.Cloud, "cloud", "", "azure or aws (default: azure)")
	cmd.Flags().StringVar(&spec.Region, "region", "", "region of that cloud (default: the cloud's region)")
	cmd.Flags().StringVar((*string)(&spec.Release), "release", "", "platform release (default: the newest)")
	cmd.Flags().StringVar((*string)(&spec.Tier), "tier", "", "sizing tier: S, M or L (default: S)")
	cmd.Flags().StringVar((*string)(&spec.Offering), "offering", "", "offering tier: standard, professional, enterprise or universal (default: enterprise)")
	cmd.Flags().IntVar(&spec.EnginesAllowed, "engines-allowed", 0, "self-managed DPEs that the contract allows (default: the organisation's)")
	cmd.Flags().IntVar(&spec.ReplicasAllowed, "replicas-allowed", 0, "replicas that the licence allows (default: the organisation's)")
	cmd.Flags().BoolVar(&spec.ExceptionalSizing, "exceptional-sizing", false, "the contract allows DPEs a sizing other than the tier's")
	cmd.Flags().StringVar(&spec.Organisation, "organisation", "", "whose it is (default: one's own)")
	wait.add(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		spec.Name = args[0]
		env, err := c.CreateEnvironment(ctx, spec)
		if err != nil {
			return err
		}
		err = wait.until(ctx, c, env.ID, fmt.Sprintf("environment %s ready", env.ID), func(ctx context.Context) (bool, error) {
			env, err = c.Environment(ctx, env.ID)
			return env.Phase == api.PhaseReady, err
		})
		if err != nil {
			return err
		}
		return output.print(a.Stdout, env, environmentTable([]api.Environment{env}))
	})
	return cmd
}

func newEnvironmentListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the environments", Args: noArgs}
	output := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, _ []string) error {
		envs, err := c.Environments(ctx)
		if err != nil {
			return err
		}
		return output.print(a.Stdout, envs, environmentTable(envs))
	})
	return cmd
}

func environmentTable(envs []api.Environment) func(*tabwriter.Writer) {
	return func(w *tabwriter.Writer) {
		row(w, "ENVIRONMENT", "NAME", "PHASE", "RELEASE", "TIER", "CLOUD", "ENGINES", "REPLICAS")
		for _, e := range envs {
			row(w, e.ID, e.Name, e.Phase, e.Release, e.Tier, e.Cloud+"/"+e.Region,
				fmt.Sprintf("%d/%d", e.Usage.Engines, e.Usage.EnginesAllowed), fmt.Sprintf("%d/%d", e.Usage.Replicas, e.Usage.ReplicasLicensed))
		}
	}
}

func newEnvironmentGetCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "get ENVIRONMENT", Short: "Show one environment with its endpoints", Args: exactArgs(1)}
	output := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		env, err := c.Environment(ctx, sim.EnvironmentID(args[0]))
		if err != nil {
			return err
		}
		return output.print(a.Stdout, env, func(w *tabwriter.Writer) {
			row(w, "Environment", env.ID)
			row(w, "Name", env.Name)
			row(w, "Organisation", env.Organisation)
			row(w, "Owner", env.Owner)
			row(w, "Phase", env.Phase)
			row(w, "Revision", env.Revision)
			row(w, "Release", env.Release)
			row(w, "Tier", env.Tier)
			row(w, "Offering", env.Offering)
			row(w, "Cloud", env.Cloud+"/"+env.Region)
			row(w, "DPM", env.Endpoints.DPM)
			row(w, "Object storage", env.Endpoints.ObjectStorage)
			row(w, "Registry", env.Endpoints.Registry)
			row(w, "Engines", fmt.Sprintf("%d of %d allowed", env.Usage.Engines, env.Usage.EnginesAllowed))
			row(w, "Exceptional sizing", allowedWords(env.Contract.ExceptionalSizing))
			row(w, "Replicas", fmt.Sprintf("%d of %d licensed", env.Usage.Replicas, env.Usage.ReplicasLicensed))
		})
	})
	return cmd
}

func allowedWords(yes bool) string {
	if yes {
		return "allowed"
	}
	return "not allowed"
}

func newEnvironmentUpgradeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "upgrade ENVIRONMENT RELEASE", Short: "Upgrade an environment's platform; its DPEs become Outdated", Args: exactArgs(2)}
	output := outputFlag(cmd)
	var preview bool
	var revision int64
	revisionFlag(cmd, &revision, "upgrade")
	cmd.Flags().BoolVar(&preview, "preview", false, "change nothing, tell what it would mean for each DPE")
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		if preview {
			x, err := c.PreviewUpgrade(ctx, sim.EnvironmentID(args[0]), sim.Release(args[1]))
			if err != nil {
				return err
			}
			return output.print(a.Stdout, x, previewTable(x))
		}
		env, err := c.UpgradeEnvironment(ctx, sim.EnvironmentID(args[0]), sim.Release(args[1]), revision)
		if err != nil {
			return err
		}
		return output.print(a.Stdout, env, environmentTable([]api.Environment{env}))
	})
	return cmd
}

// revisionFlag adds --revision to a command that changes an environment.
func revisionFlag(cmd *cobra.Command, revision *int64, verb string) {
	cmd.Flags().Int64Var(revision, "revision", 0, verb+" this revision only, as 'environment get' tells it: refuse if somebody changed it meanwhile")
}

func newEnvironmentOwnerCommand(a *app) *cobra.Command {
	var revision int64
	cmd := &cobra.Command{
		Use: "owner ENVIRONMENT USER", Short: "Give an environment another owner, as an organisation admin", Args: exactArgs(2),
		Example: "  dpesim environment owner acme-production otto",
	}
	output := outputFlag(cmd)
	revisionFlag(cmd, &revision, "change")
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		env, err := c.SetOwner(ctx, sim.EnvironmentID(args[0]), args[1], revision)
		if err != nil {
			return err
		}
		return output.print(a.Stdout, env, func(w *tabwriter.Writer) { fmt.Fprintf(w, "%s is owned by %s\n", env.ID, env.Owner) })
	})
	return cmd
}

func previewTable(x api.UpgradePreview) func(*tabwriter.Writer) {
	return func(w *tabwriter.Writer) {
		fmt.Fprintf(w, "from %s to %s, which works with engines of %s and newer; %d Ataccama-managed replicas are upgraded with it\n", x.From, x.To, x.Oldest, x.Managed)
		row(w, "LABEL", "RUNNING", "BECOMES", "NEW, GONE AND RENAMED VALUES")
		for _, d := range x.DPEs {
			becomes, keys := "-", []string{}
			switch {
			case d.UpgradeRequired:
				becomes = "upgrade required"
			case d.Outdated:
				becomes = "Outdated"
			}
			for _, v := range d.Values {
				if v.Was != "" {
					keys = append(keys, v.Was+" -> "+v.Key)
					continue
				}
				keys = append(keys, v.Key+" "+string(v.Change))
			}
			row(w, d.Label, d.Running, becomes, strings.Join(keys, ", "))
		}
	}
}

func newEnvironmentHealthCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "health ENVIRONMENT", Short: "Tell whether an environment's services answer", Args: exactArgs(1)}
	output := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		checks, err := c.Health(ctx, sim.EnvironmentID(args[0]))
		if err != nil {
			return err
		}
		return output.print(a.Stdout, checks, func(w *tabwriter.Writer) {
			row(w, "SERVICE", "HEALTH", "CERTIFICATE UNTIL", "WHAT IS WRONG")
			for _, x := range checks {
				health := "healthy"
				if !x.OK {
					health = "does not answer"
				}
				until := ""
				if x.CertificateExpires != nil {
					until = x.CertificateExpires.UTC().Format(time.RFC3339)
				}
				row(w, x.Name, health, until, x.Detail)
			}
		})
	})
	return cmd
}

func newEnvironmentRestartCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "restart ENVIRONMENT", Short: "Restart an environment's DPM, as Ataccama does in a maintenance",
		Long: `Restart an environment's DPM, as Ataccama does in a maintenance. Engines connect again; a job that one of them works on stays with it.
It is an act on the simulator: the product's users cannot do it.`,
		Args: exactArgs(1),
	}
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		if err := c.RestartDPM(ctx, sim.EnvironmentID(args[0])); err != nil {
			return err
		}
		_, err := fmt.Fprintf(a.Stdout, "restarted the DPM of %s\n", args[0])
		return err
	})
	return cmd
}

func newEnvironmentEnginesCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "engines ENVIRONMENT", Short: "List the replicas that are connected to an environment's DPM now", Args: exactArgs(1)}
	output := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		engines, err := c.Engines(ctx, sim.EnvironmentID(args[0]))
		if err != nil {
			return err
		}
		return output.print(a.Stdout, engines, func(w *tabwriter.Writer) {
			row(w, "DPE", "REPLICA", "VERSION", "REVISION", "RUNNING", "FROM", "SINCE")
			for _, e := range engines {
				row(w, e.Label, e.Replica, e.Version, e.Revision, fmt.Sprintf("%d/%d", e.Running, e.Slots), e.Remote, e.ConnectedAt.Format("15:04:05"))
			}
		})
	})
	return cmd
}

func newEnvironmentCACommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "ca ENVIRONMENT", Short: "Print the certificate that the endpoints' certificates are signed with", Args: exactArgs(1),
		Example: "  dpesim environment ca acme-production > ca.pem",
		RunE: a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
			pem, err := c.CA(ctx, sim.EnvironmentID(args[0]))
			if err != nil {
				return err
			}
			_, err = a.Stdout.Write(pem)
			return err
		}),
	}
}

func newEnvironmentCredentialsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "credentials ENVIRONMENT", Short: "List what is authorised in an environment's services now, without secrets", Args: exactArgs(1)}
	output := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		creds, err := c.Credentials(ctx, sim.EnvironmentID(args[0]))
		if err != nil {
			return err
		}
		return output.print(a.Stdout, creds, func(w *tabwriter.Writer) {
			row(w, "KIND", "ID", "DPE")
			for _, c := range creds {
				row(w, c.Kind, c.ID, c.Label)
			}
		})
	})
	return cmd
}

func newEnvironmentDeleteCommand(a *app) *cobra.Command {
	var yes bool
	var revision int64
	var wait waitFlags
	cmd := &cobra.Command{Use: "delete ENVIRONMENT --yes", Short: "Delete an environment with its DPEs, jobs and objects, and wait until it is gone", Args: exactArgs(1)}
	cmd.Flags().BoolVar(&yes, "yes", false, "really delete: it cannot be undone")
	revisionFlag(cmd, &revision, "delete")
	wait.add(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		id := sim.EnvironmentID(args[0])
		if !yes {
			return usage(sim.Errorf(sim.Invalid, "deleting environment %s cannot be undone", id).WithHelp("add --yes if you mean it"))
		}
		if _, err := c.DeleteEnvironment(ctx, id, revision); err != nil {
			return err
		}
		err := wait.until(ctx, c, id, fmt.Sprintf("environment %s gone", id), func(ctx context.Context) (bool, error) {
			_, err := c.Environment(ctx, id)
			if sim.KindOf(err) == sim.NotFound {
				return true, nil
			}
			return false, err
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "deleted %s with its DPEs, jobs and objects; what runs in your cluster is still there\n", id)
		return nil
	})
	return cmd
}
