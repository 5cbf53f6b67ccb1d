package stack

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path"
	"slices"
	"strings"

	"github.com/dpesim/dpesim/dpe"
	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster"
)

const (
	// imageRepository is the last part of the name of the one image that the in-process cluster can run.
	imageRepository = "images/dpe"
	// program is what the image's entry point starts.
	program = "/dpesim"
)

// engines runs the containers of the in-process cluster: each is a word of the program dpesim, in this process.
type engines struct{ stack *Stack }

var _ cluster.Runtime = engines{}

// Check says whether the image of c is one that can run here, and has the program that c's command line names.
func (r engines) Check(c cluster.Container) error {
	if _, err := imageRelease(c.Image); err != nil {
		return err
	}
	switch args := c.Args; {
	case len(args) == 0, args[0] == program:
		return nil
	case strings.Contains(args[0], "/"):
		return fmt.Errorf("exec: %q: stat %s: no such file or directory", args[0], path.Join(c.Dir, args[0]))
	default:
		return fmt.Errorf("exec: %q: executable file not found in $PATH", args[0])
	}
}

// Run runs the container's command line: an engine until its container shall stop, or one question to an engine.
func (r engines) Run(ctx context.Context, c cluster.Container) error {
	release, err := imageRelease(c.Image)
	if err != nil {
		return err
	}
	words := []string{"dpe", "run"} // the image's own
	if len(c.Args) > 0 {
		words = c.Args[1:]
	}
	if slices.Equal(words, []string{"dpe", "run"}) {
		return r.engine(ctx, c, release)
	}
	return complain(c.Log, sim.Errorf(sim.Invalid, "the in-process cluster does not run the command line %q", strings.Join(c.Args, " ")).
		WithHelp("it runs 'dpe run'; use a real cluster for others"))
}

// complain writes err to the container's log, as the program does on its standard error.
func complain(log io.Writer, err error) error {
	if err != nil {
		_, _ = fmt.Fprintf(log, "dpesim: %v\n", err) // a log that takes nothing more hides nothing: the error goes on
	}
	return err
}

// engine runs an engine of a release.
func (r engines) engine(ctx context.Context, c cluster.Container, release sim.Release) error {
	log := slog.New(slog.NewTextHandler(c.Log, nil))
	config, err := dpe.Load(func(name string) string { return c.Env[name] }, c.Files)
	if err != nil {
		return err
	}
	if config.Health, err = c.Listen(dpe.HealthPort); err != nil {
		return err
	}
	config.Version = release
	config.Stop, config.Dial, config.Scratch = c.Stop, dpe.DialFunc(c.Dial), c.Scratch
	config.Clock, config.Draw, config.Faults, config.Log = r.stack.config.Clock, r.stack.draw, r.stack.faults, log
	return dpe.Run(ctx, config)
}

// imageRelease gives the release of the engine in an image: its tag. There are images of the releases that have a chart.
func imageRelease(image string) (sim.Release, error) {
	i := strings.LastIndexByte(image, ':')
	if i < 0 || !strings.HasSuffix(image[:i], "/"+imageRepository) {
		return "", sim.Errorf(sim.Invalid, "the in-process cluster cannot run the image %s", image).
			WithHelp("it runs engines only: HOST/%s:RELEASE; use a real cluster for other images", imageRepository)
	}
	release := sim.Release(image[i+1:])
	if known := chart.Releases(); !slices.Contains(known, release) {
		return "", sim.Errorf(sim.NotFound, "there is no image %s: the registry has no release %s", image, release).
			WithHelp("the releases are %v; leave image.tag empty for the chart's own", known)
	}
	return release, nil
}

// log gives the logger of a part.
func (s *Stack) log(p sim.Part) *slog.Logger { return s.config.Log.With("svc", string(p)) }
