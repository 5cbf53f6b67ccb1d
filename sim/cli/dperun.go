package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/dpe"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/draw"
)

func newDPERunCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "run", Short: "Run one engine with what the chart delivers: the entrypoint of the container", Args: noArgs,
		Long: `Run one engine. Its configuration is what the chart delivers to a container: environment variables and the files under
/etc/dpe. SIGTERM drains it: it finishes its jobs and exits 0.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := dpe.Load(a.Getenv, os.DirFS("/"))
			if err != nil {
				return err
			}
			// Health is for the kubelet's probes, which come from outside the pod's network namespace: all addresses.
			var lc net.ListenConfig
			if config.Health, err = lc.Listen(cmd.Context(), "tcp", ":"+strconv.Itoa(dpe.HealthPort)); err != nil {
				return fmt.Errorf("listen for health probes: %w", err)
			}
			config.Stop = cmd.Context().Done()
			config.Clock, config.Log = clock.New(), slog.New(slog.NewTextHandler(a.Stderr, nil))
			config.Draw = draw.New(uint64(os.Getpid())) // replicas must not back off in step
			return dpe.Run(context.WithoutCancel(cmd.Context()), config)
		},
	}
}

func newDPEReadyCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "ready URL", Short: "Ask an engine once whether it is ready: what 'helm test' runs", Args: exactArgs(1),
		Long:    `Ask the engine behind URL, its readiness, once. Prints one line and exits 0 if it is ready; says why not and exits 1 if it is not.`,
		Example: "  dpesim dpe ready http://finance-warehouse.ataccama.svc:8034/actuator/health/readiness",
		RunE: func(cmd *cobra.Command, args []string) error {
			line, err := dpe.Ready(cmd.Context(), clock.New(), nil, args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.Stdout, line)
			return err
		},
	}
}
