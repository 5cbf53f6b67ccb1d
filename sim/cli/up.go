package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/sim/stack"
)

// stackFlags are the flags of every command that stands up a simulator.
type stackFlags struct {
	config stack.Config
	log    string
}

func (f *stackFlags) add(cmd *cobra.Command) {
	f.config = stack.Default()
	fl := cmd.Flags()
	fl.StringVar(&f.config.HTTPAddr, "http", f.config.HTTPAddr, "address of the portal, plain HTTP; port 0 takes a free one")
	fl.StringVar(&f.config.TLSAddr, "tls", f.config.TLSAddr, "address of the one TLS port of all cloud endpoints; port 0 takes a free one")
	fl.StringVar(&f.config.Domain, "domain", f.config.Domain, "parent domain of the cloud endpoints")
	fl.Uint64Var(&f.config.Seed, "seed", f.config.Seed, "seed of ids, jitter and probabilities")
	fl.StringVar(&f.config.DataDir, "data", "", "directory that keeps the state (default: a temporary one)")
	fl.StringVar(&f.log, "log", "warn", "log level on stderr: debug, info, warn or error")
}

// anyPorts makes free ports the default where the user named none.
func (f *stackFlags) anyPorts(cmd *cobra.Command) {
	if !cmd.Flags().Changed("http") {
		f.config.HTTPAddr = "localhost:0"
	}
	if !cmd.Flags().Changed("tls") {
		f.config.TLSAddr = "localhost:0"
	}
}

// open stands the simulator up; the caller closes it.
func (f *stackFlags) open(ctx context.Context, a *app) (*stack.Stack, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.log)); err != nil {
		return nil, usage(fmt.Errorf("unknown log level %q: use debug, info, warn or error", f.log))
	}
	f.config.Log = slog.New(slog.NewTextHandler(a.Stderr, &slog.HandlerOptions{Level: level}))
	if f.config.DataDir != "" {
		f.config.DataDir = a.path(f.config.DataDir)
	}
	return stack.Open(ctx, f.config)
}

// writeEndpoints writes the endpoints file and gives a function that removes it, if it is still ours.
func (a *app) writeEndpoints(e stack.Endpoints) (remove func() error, err error) {
	path, err := a.endpointsPath()
	if err != nil {
		return nil, err
	}
	if err := e.WriteFile(path); err != nil {
		return nil, err
	}
	return func() error {
		if now, err := stack.ReadEndpoints(path); err != nil || now.PID != e.PID || now.Portal != e.Portal {
			return nil //nolint:nilerr // gone, or not what was written: somebody else's by now
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the endpoints file: %w", err)
		}
		return nil
	}, nil
}

// endpointsPath is where the endpoints file is.
func (a *app) endpointsPath() (string, error) {
	if a.endpointsFile != "" {
		return a.path(a.endpointsFile), nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find your cache directory (name a file with --endpoints-file): %w", err)
	}
	return filepath.Join(dir, "dpesim", "endpoints.json"), nil
}

func newUpCommand(a *app) *cobra.Command {
	var flags stackFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Stand up a simulator and keep it up until Ctrl-C",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := flags.open(cmd.Context(), a)
			if err != nil {
				return err
			}
			return a.serve(cmd.Context(), s, func(ctx context.Context) error {
				a.banner(s.Endpoints())
				<-ctx.Done()
				return nil
			})
		},
	}
	flags.add(cmd)
	return cmd
}

// serve runs s, calls run once everything is up and the endpoints file is there, and stops and cleans up when run
// returns. run's context also ends when the simulator fails.
func (a *app) serve(ctx context.Context, s *stack.Stack, run func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(ctx)
		stop()
	}()
	err := s.WaitReady(ctx)
	if err == nil {
		var remove func() error
		if remove, err = a.writeEndpoints(s.Endpoints()); err == nil {
			err = errors.Join(run(ctx), remove())
		}
	}
	stop()
	if failure := <-served; failure != nil { // the rest is what follows from it
		err = failure
	}
	return errors.Join(err, s.Close())
}

func (a *app) banner(e stack.Endpoints) {
	p := func(format string, args ...any) { fmt.Fprintf(a.Stdout, format+"\n", args...) }
	p("dpesim is up")
	p("")
	p("  Portal             %s", e.Portal)
	p("                     %s", e.PortalTLS)
	p("  Registry           %s", e.Registry)
	p("  Kubernetes         %s", e.Kubernetes)
	p("  Kubeconfig         %s", e.Kubeconfig)
	p("  CA certificate     %s", e.CA)
	p("  Proxy for its names  %s", e.Proxy)
	if e.Temporary {
		p("  State              temporary: gone when dpesim stops (keep it with --data DIR)")
	} else {
		p("  State              kept in %s", e.DataDir)
	}
	p("")
	p("Next: open the portal, or run 'dpesim environment create \"My environment\"'. Ctrl-C stops.")
}
