package cli

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/dpe"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/draw"
)

func newDPERunCommand(a *app) *cobra.Command {
	var root, listen string
	cmd := &cobra.Command{
		Use: "run", Short: "Run one engine with what the chart delivers: the entrypoint of the container", Args: noArgs,
		Long: `Run one engine. Its configuration is what the chart delivers to a container: environment variables and the files under
/etc/dpe. It writes into the directory that DPE_SCRATCH names and nowhere else. SIGTERM drains it: it finishes its jobs and
exits 0. It exits 1, with one sentence that says why, if it cannot start.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := a.runEngine(cmd.Context(), os.DirFS(root), listen)
			if err != nil {
				leaveMessage(filepath.Join(root, "dev", "termination-log"), err)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&root, "root", "/", "directory that stands for / of the container's mounted files")
	// Health is for the kubelet's probes, which come from outside the pod's network namespace: all addresses.
	cmd.Flags().StringVar(&listen, "listen", ":"+strconv.Itoa(dpe.HealthPort), "host:port of health")
	return cmd
}

// runEngine runs an engine until ctx is done: then it drains.
func (a *app) runEngine(ctx context.Context, files fs.FS, listen string) error {
	config, err := dpe.Load(a.Getenv, files)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	if config.Health, err = lc.Listen(ctx, "tcp", listen); err != nil {
		return fmt.Errorf("listen for health probes: %w", err)
	}
	config.Stop = ctx.Done()
	config.Clock, config.Log = clock.New(), slog.New(slog.NewTextHandler(a.Stderr, nil))
	config.Draw = draw.New(uint64(os.Getpid())) // replicas must not back off in step
	return dpe.Run(context.WithoutCancel(ctx), config)
}

// leaveMessage writes why the engine ends where a kubelet looks for it (terminationMessagePath), if there is one. What
// cannot be written there stands on standard error.
func leaveMessage(path string, err error) {
	f, e := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if e != nil {
		return
	}
	_, _ = f.WriteString(err.Error())
	_ = f.Close()
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
