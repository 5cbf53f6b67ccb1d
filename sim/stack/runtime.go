package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dpesim/dpesim/dpe"
	"github.com/dpesim/dpesim/dpe/image"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster"
	"github.com/dpesim/dpesim/sim/cluster/probe"
)

// program is what the image's entry point starts.
const program = "/dpesim"

// engines runs the containers of the in-process cluster: each is a word of the program dpesim, in this process.
type engines struct{ stack *Stack }

var _ cluster.Runtime = engines{}

// Check says whether the image of c is one that can run here, and has the program that c's command line names.
func (r engines) Check(c cluster.Container) error {
	if kind := c.Labels[image.LabelKind]; kind != image.Kind {
		return fmt.Errorf("exec format error: the image %s is not one of dpesim's engine (label %s=%s), and the in-process cluster runs no other", c.Image, image.LabelKind, image.Kind)
	}
	switch args := c.Args; {
	case len(args) == 0:
		return errors.New("no command specified")
	case args[0] == program:
		return nil
	case strings.Contains(args[0], "/"):
		return fmt.Errorf("exec: %q: stat %s: no such file or directory", args[0], path.Join(c.Dir, args[0]))
	default:
		return fmt.Errorf("exec: %q: executable file not found in $PATH", args[0])
	}
}

// Run runs the container's command line: an engine until its container shall stop, or one question to an engine.
func (r engines) Run(ctx context.Context, c cluster.Container) error {
	err := r.word(ctx, c)
	if err != nil && ctx.Err() == nil {
		_, _ = io.WriteString(c.Log, sim.Report(err)) // as the program does; a log that takes nothing more hides nothing: the error goes on
	}
	return err
}

// word runs the program's words.
func (r engines) word(ctx context.Context, c cluster.Container) error {
	words := c.Args[1:]
	switch {
	case slices.Equal(words, []string{"dpe", "run"}):
		return r.engine(ctx, c)
	case len(words) == 3 && words[0] == "dpe" && words[1] == "ready":
		line, err := dpe.Ready(ctx, r.stack.config.Clock, dpe.DialFunc(c.Dial), words[2])
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(c.Log, line)
		return err
	case slices.Equal(words, probe.Command()):
		return probe.Answer(ctx, c.Env[probe.Variable], probe.DialFunc(c.Dial), c.Log)
	}
	return sim.Errorf(sim.Invalid, "the in-process cluster does not run the command line %q", strings.Join(c.Args, " ")).
		WithHelp("it runs 'dpe run', 'dpe ready URL' and 'cluster probe'; use a real cluster for others")
}

// engine runs an engine of the release that the image is labelled with.
func (r engines) engine(ctx context.Context, c cluster.Container) error {
	release, err := sim.ParseRelease(c.Labels[image.LabelVersion])
	if err != nil {
		return fmt.Errorf("label %s of the image: %w", image.LabelVersion, err)
	}
	log := slog.New(slog.NewTextHandler(c.Log, nil))
	config, err := dpe.Load(func(name string) string { return c.Env[name] }, c.Files)
	if err != nil {
		return err
	}
	if config.Health, err = c.Listen(dpe.HealthPort); err != nil {
		return err
	}
	if config.Scratch != "" {
		config.Scratch = filepath.Join(c.Scratch, filepath.FromSlash(config.Scratch))
	}
	config.Version = release
	config.Stop, config.Dial = c.Stop, dpe.DialFunc(c.Dial)
	config.Clock, config.Draw, config.Faults, config.Log, config.Memory = r.stack.config.Clock, r.stack.draw, r.stack.faults, log, c.Memory
	return dpe.Run(ctx, config)
}

// log gives the logger of a part.
func (s *Stack) log(p sim.Part) *slog.Logger { return s.config.Log.With("svc", string(p)) }
