package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/scenarios/operator"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/diagnosis"
	"github.com/dpesim/dpesim/sim/rehearse"
	"github.com/dpesim/dpesim/sim/stack"
)

// stackFlags are the flags of every command that stands up a simulator.
type stackFlags struct {
	config stack.Config
	target targetFlags
	log    string
	keep   *diagnosis.Log // is told what is logged, from info on; nil: nothing is
}

func (f *stackFlags) add(cmd *cobra.Command) {
	f.config = stack.Default()
	fl := cmd.Flags()
	fl.StringVar(&f.config.HTTPAddr, "http", f.config.HTTPAddr, "address of the portal, plain HTTP; port 0 takes a free one")
	fl.StringVar(&f.config.TLSAddr, "tls", f.config.TLSAddr, "address of the one TLS port of all cloud endpoints; port 0 takes a free one")
	fl.StringVar(&f.config.Domain, "domain", f.config.Domain, "parent domain of the cloud endpoints")
	fl.Uint64Var(&f.config.Seed, "seed", f.config.Seed, "seed of ids, jitter and probabilities")
	fl.StringVar(&f.config.DataDir, "data", "", "directory that keeps the state (default: a temporary one)")
	fl.StringArrayVar(&f.config.ImageBinaries, "image-binary", nil, "dpesim program for Linux to make the engine's image of, beside the running one; may be repeated, one for each architecture")
	fl.Var(&nodesFlag{&f.config.Nodes}, "nodes", "nodes of the cluster: a number, or number x CPU, memory, disk as 2x4cpu,16Gi,500Gi; join different ones by + (default 3)")
	fl.StringArrayVar(&f.config.NodeCAs, "node-ca", nil, "file with certificates (PEM) that the nodes trust when they pull images, as of a registry of your own; may be repeated")
	f.target.add(fl)
	fl.StringVar(&f.log, "log", "warn", "log level on stderr: debug, info, warn or error")
}

// anyPorts makes free ports the default where the user named none.
func (f *stackFlags) anyPorts(cmd *cobra.Command) {
	if !cmd.Flags().Changed("http") {
		f.config.HTTPAddr = "localhost:0"
	}
	if name, _ := f.target.name(); !cmd.Flags().Changed("tls") && name != rehearse.Kubeconfig { // whose nodes know the registry by its port
		f.config.TLSAddr = "localhost:0"
	}
}

// clone gives flags that can be changed and opened without changing these.
func (f *stackFlags) clone() *stackFlags {
	out := *f
	out.config.ImageBinaries, out.config.NodeCAs, out.config.Nodes = slices.Clone(f.config.ImageBinaries), slices.Clone(f.config.NodeCAs), slices.Clone(f.config.Nodes)
	return &out
}

// open stands the simulator up; the caller closes it.
func (f *stackFlags) open(ctx context.Context, a *app) (*stack.Stack, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.log)); err != nil {
		return nil, usage(fmt.Errorf("unknown log level %q: use debug, info, warn or error", f.log))
	}
	f.config.Log = slog.New(slog.NewTextHandler(a.Stderr, &slog.HandlerOptions{Level: level}))
	if f.keep != nil {
		f.config.Log = slog.New(slog.NewMultiHandler(f.config.Log.Handler(), slog.NewTextHandler(f.keep, nil)))
	}
	if f.config.DataDir != "" {
		f.config.DataDir = a.path(f.config.DataDir)
	}
	for i, path := range f.config.ImageBinaries {
		f.config.ImageBinaries[i] = a.path(path)
	}
	for i, path := range f.config.NodeCAs {
		f.config.NodeCAs[i] = a.path(path)
	}
	dir, err := f.target.authority(a)
	if err != nil {
		return nil, err
	}
	f.config.CADir, f.config.Shell = dir, operator.Run
	return stack.Open(ctx, f.config)
}

// writeEndpoints writes the endpoints file and gives a function that removes it, if it is still ours.
func (a *app) writeEndpoints(ctx context.Context, e stack.Endpoints) (remove func() error, err error) {
	path, err := a.endpointsPath()
	if err != nil {
		return nil, err
	}
	if other, err := stack.ReadEndpoints(path); err == nil && other.Portal != e.Portal && alive(ctx, other) {
		return nil, sim.Errorf(sim.Conflict, "%s belongs to the simulator at %s (process %d), which is up", path, other.Portal, other.PID).
			WithHelp("stop that one, or name another file (--endpoints-file)")
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

// alive tells whether a simulator answers.
func alive(ctx context.Context, e stack.Endpoints) bool {
	ctx, cancel := context.WithTimeout(ctx, aliveTimeout)
	defer cancel()
	return (&api.Client{BaseURL: e.Portal}).Live(ctx) == nil
}

// aliveTimeout is how long a simulator on this machine may take to say that it lives.
const aliveTimeout = time.Second

// endpointsPath is where the endpoints file is: absolute, since other commands may run elsewhere.
func (a *app) endpointsPath() (string, error) {
	if name := cmp.Or(a.endpointsFile, a.Getenv("DPESIM_ENDPOINTS")); name != "" {
		return filepath.Abs(a.path(name))
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
			return a.onTarget(cmd.Context(), &flags, func() error {
				s, err := flags.open(cmd.Context(), a)
				if err != nil {
					return err
				}
				return a.serve(cmd.Context(), s, func(ctx context.Context) error {
					if err := banner(a.Stdout, s.Endpoints()); err != nil {
						return err
					}
					<-ctx.Done()
					return nil
				})
			})
		},
	}
	flags.add(cmd)
	return cmd
}

// onTarget makes the cluster that the flags name, unless they have one already, calls run, and removes it.
func (a *app) onTarget(ctx context.Context, flags *stackFlags, run func() error) (err error) {
	if flags.config.Target == nil {
		c, openErr := flags.target.open(ctx, a, flags.config.ImageBinaries)
		if openErr != nil {
			return openErr
		}
		if c != nil {
			defer func() { err = errors.Join(err, c.Close()) }()
			flags.config.Target = c.Target()
		}
	}
	return run()
}

// serve runs s, calls run once everything is up and the endpoints file is there, and stops and cleans up when run
// returns, not before: what an interrupted run cleans up still finds the simulator. run's context ends with ctx and when
// the simulator fails.
func (a *app) serve(ctx context.Context, s *stack.Stack, run func(context.Context) error) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	ctx, end := context.WithCancel(ctx)
	defer end()
	served := make(chan error, 1)
	go func() {
		defer end()
		served <- s.Serve(serving)
	}()
	err := s.WaitReady(ctx)
	if err == nil {
		if err = s.Prove(ctx); err != nil && ctx.Err() == nil {
			err = &exitError{code: exitTarget, err: err}
		}
	}
	if err == nil {
		var remove func() error
		if remove, err = a.writeEndpoints(ctx, s.Endpoints()); err == nil {
			err = errors.Join(run(ctx), remove())
		}
	}
	stop()
	if failure := <-served; failure != nil { // the rest is what follows from it
		err = failure
	}
	return errors.Join(err, s.Close())
}

// banner tells a person where everything is.
func banner(w io.Writer, e stack.Endpoints) error {
	state := "temporary: gone when dpesim stops (keep it with --data DIR)"
	if !e.Temporary {
		state = "kept in " + e.DataDir
	}
	fmt.Fprint(w, "dpesim is up\n\n")
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, line := range [][2]string{
		{"Portal", e.Portal},
		{"", e.PortalTLS},
		{"Registry", e.Registry},
		{"Kubernetes", e.Kubernetes},
		{"Kubeconfig", e.Kubeconfig},
		{"CA certificate", e.CA},
		{"Proxy for its names", e.Proxy},
		{"State", state},
	} {
		fmt.Fprintf(tw, "  %s\t%s\n", line[0], line[1])
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\nNext: open the portal, or run 'dpesim environment create \"My environment\"'. Ctrl-C stops.")
	return err
}
