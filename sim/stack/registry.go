package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/dpe/image"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/life"
	"github.com/dpesim/dpesim/sim/registry"
)

// chartRepository is where the registry holds the chart.
const chartRepository = "charts/" + chart.Name

// hostOfRegistry is the registry's own name; it answers to localhost too, and to the name that its target has for it.
func (s *Stack) hostOfRegistry() string { return "registry." + s.config.Domain }

// registryAt is host:port by which images and commands name the registry.
func (s *Stack) registryAt() string {
	host := "localhost"
	if t := s.config.Target; t != nil {
		host = cmp.Or(t.Registry, host)
	}
	return net.JoinHostPort(host, s.edgePort())
}

// openRegistry opens the registry under its own name and under localhost, which every program can resolve, and publishes
// the charts and images of all releases in it.
func (s *Stack) openRegistry(ctx context.Context) error {
	dir, err := s.dir.dir("registry")
	if err != nil {
		return err
	}
	aliases := []string{"localhost"}
	hosts := []string{s.hostOfRegistry(), "localhost"}
	if t := s.config.Target; t != nil && t.Registry != "" {
		hosts = append(hosts, t.Registry)
		if _, err := netip.ParseAddr(t.Registry); err != nil { // who dials an address names none
			aliases = append(aliases, t.Registry)
		}
	}
	ln, err := s.edge.Listen(s.hostOfRegistry(), "", aliases...)
	if err != nil {
		return err
	}
	s.registry, err = registry.Open(ctx, registry.Options{
		Dir: dir, Service: s.hostOfRegistry(), Listener: ln, TLS: s.ca.ServerTLS(hosts...),
		Clock: s.config.Clock, Bus: s.bus, Faults: s.faults, Log: s.log(sim.PartRegistry),
	})
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	if s.images, err = s.openImages(); err != nil {
		return errors.Join(err, s.registry.Close())
	}
	closing := func() error { return errors.Join(s.registry.Close(), s.images.Close()) } // images last: requests read them
	if err := s.group.Add(life.Service{Name: "registry", Serve: s.registry.Serve, Close: closing}); err != nil {
		return err
	}
	for _, r := range chart.Releases() {
		archive, err := chart.Archive(r)
		if err != nil {
			return fmt.Errorf("package the chart of %s: %w", r, err)
		}
		if err := s.registry.PublishChart(chartRepository, string(r), archive); err != nil {
			return fmt.Errorf("publish the chart of %s: %w", r, err)
		}
		if err := s.registry.Publish(image.Repository, string(r), s.imageOf(r)); err != nil {
			return fmt.Errorf("publish the image of %s: %w", r, err)
		}
	}
	return nil
}

// openImages opens the executables that images are made of: this one, and those of the configuration, which go before.
func (s *Stack) openImages() (_ *image.Builder, err error) {
	var all []*image.Executable
	defer func() {
		if err != nil {
			err = errors.Join(err, image.New(all...).Close())
		}
	}()
	self, err := image.Self()
	if err != nil {
		return nil, err
	}
	all = append(all, self)
	for _, path := range s.config.ImageBinaries {
		e, err := image.Open(path)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return image.New(all...), nil
}

// imageOf gives what makes the image of a release, at the first request for it.
func (s *Stack) imageOf(r sim.Release) func() (registry.Artifact, error) {
	return func() (registry.Artifact, error) {
		img, err := s.images.Build(r)
		if err != nil {
			return registry.Artifact{}, err
		}
		contents := func(blobs []image.Blob) []registry.Content {
			out := make([]registry.Content, len(blobs))
			for i, b := range blobs {
				out[i] = registry.Content(b)
			}
			return out
		}
		return registry.Artifact{Manifest: registry.Content(img.Index), Manifests: contents(img.Manifests), Blobs: contents(img.Blobs)}, nil
	}
}

// archive writes the image of every release, as images in a registry of that host name.
func (s *Stack) archive(w io.Writer, host string) error {
	named := map[string]image.Image{}
	for _, r := range chart.Releases() {
		img, err := s.images.Build(r)
		if err != nil {
			return err
		}
		named[image.Reference(host, r)] = img
	}
	return image.Archive(w, named)
}
