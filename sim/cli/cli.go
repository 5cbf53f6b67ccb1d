// Package cli is the command line of dpesim.
//
// A command is one constructor that takes the [app] and returns a cobra command; there are no globals. Commands that
// work on a simulator talk to its HTTP API, wherever it runs; only up, demo, exec and scenario start one.
package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/sim"
)

// Exit codes of dpesim.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitParse       = 3   // a file is no scenario
	exitTarget      = 4   // what a scenario should run on is not there
	exitTimeout     = 5   // a scenario took too long
	exitInternal    = 6   // a scenario could not be run
	exitInterrupted = 130 // 128 + SIGINT, as shells count
)

// Main runs one command and gives its exit code. Errors are printed on env.Stderr: what happened, then what to do next.
func Main(ctx context.Context, env Env) int {
	err := run(ctx, env)
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		if e.err != nil {
			printError(env, e.err)
		}
		return e.code
	}
	if ctx.Err() != nil {
		if !errors.Is(err, context.Canceled) {
			printError(env, err) // something went wrong while it stopped
		}
		fmt.Fprintln(env.Stderr, "interrupted")
		return exitInterrupted
	}
	printError(env, err)
	return exitFailed
}

func printError(env Env, err error) { fmt.Fprint(env.Stderr, sim.Report(err)) }

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error // nil: everything has been said already
}

// Error gives the cause's text.
func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

// Unwrap gives the cause.
func (e *exitError) Unwrap() error { return e.err }

// usage marks err as a mistake in the command line.
func usage(err error) error { return &exitError{code: exitUsage, err: err} }

// app is what every command is made with.
type app struct {
	Env
	server        string // --server
	endpointsFile string // --endpoints-file
	tokenFile     string // --token-file
	as            string // --as
}

func run(ctx context.Context, env Env) error {
	a := &app{Env: env}
	root := newRootCommand(a)
	root.SetArgs(env.Args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	return root.ExecuteContext(ctx)
}

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "dpesim",
		Short:         "Rehearse a hybrid deployment of Ataccama PaaS+ with self-managed DPEs on one machine",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	root.CompletionOptions.HiddenDefaultCmd = false
	root.TraverseChildren = true // flags before helm, kubectl and crane are ours, those after are theirs
	root.PersistentFlags().StringVar(&a.server, "server", "", "URL of a running simulator's portal (default: $DPESIM_SERVER)")
	root.PersistentFlags().StringVar(&a.endpointsFile, "endpoints-file", "",
		"file that 'up' writes and the other commands read (default: $DPESIM_ENDPOINTS, else in your cache directory)")
	root.PersistentFlags().StringVar(&a.tokenFile, "token-file", "",
		"file with a token for the portal (default: $DPESIM_TOKEN_FILE, else $DPESIM_TOKEN, else the simulator's own)")
	root.PersistentFlags().StringVar(&a.as, "as", "", "user to act for in the portal, as ada, otto or mia (default: $DPESIM_AS, else the trainer)")
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Stand up a simulator:"},
		&cobra.Group{ID: "cloud", Title: "Act in the portal, as its users do:"},
		&cobra.Group{ID: "cluster", Title: "Act in the cluster, as its operator does:"},
		&cobra.Group{ID: "sim", Title: "Act on the simulator itself:"},
		&cobra.Group{ID: "look", Title: "Look:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("run", newUpCommand(a), newDemoCommand(a), newExecCommand(a), newShellCommand(a), newScenarioCommand(a), newDoctorCommand(a))
	add("cloud", newEnvironmentCommand(a), newDPECommand(a), newAllowlistCommand(a), newComplianceCommand(a), newManagedCommand(a), newJobCommand(a), newS3Command(a), newGRPCCommand(a), newMeCommand(a), newUserCommand(a), newTokenCommand(a), newAuditCommand(a))
	add("cluster", newHelmCommand(a), newKubectlCommand(a), newCraneCommand(a), newNodeCommand(a), newClusterCommand(a))
	add("sim", newClockCommand(a), newFaultCommand(a))
	add("look", newWaitCommand(a), newEndpointsCommand(a), newTimelineCommand(a), newWhyCommand(a), newResidueCommand(a), newExpectCommand(a), newMatchCommand(a), newHTTPCommand(a), newVersionCommand(a))
	return root
}

// path resolves a file name that the user gave.
func (a *app) path(name string) string {
	if a.Dir == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(a.Dir, name)
}

// exactArgs is cobra.ExactArgs with the exit code of a usage error.
func exactArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usage(fmt.Errorf("usage: %s; got %d arguments: see '%s --help'", cmd.UseLine(), len(args), cmd.CommandPath()))
		}
		return nil
	}
}

// noArgs refuses arguments; on a command with subcommands it names the unknown one.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		return usage(fmt.Errorf("unknown command %q for %q: see '%s --help'", args[0], cmd.CommandPath(), cmd.CommandPath()))
	}
	return usage(fmt.Errorf("%s takes no arguments, got %q", cmd.CommandPath(), args[0]))
}
