package stack

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/dpesim/dpesim/dpe"
	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster"
)

// imageRepository is the last part of the name of the one image that the in-process cluster can run.
const imageRepository = "images/dpe"

// engines runs the containers of the in-process cluster: each is an engine in this process.
type engines struct{ stack *Stack }

var _ cluster.Runtime = engines{}

// Run runs an engine until its container shall stop. The release is that of the image, as it would be in a real one.
func (r engines) Run(ctx context.Context, c cluster.Container) error {
	release, err := imageRelease(c.Image)
	if err != nil {
		return err
	}
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
