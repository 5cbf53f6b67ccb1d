package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/dpm"
	"github.com/dpesim/dpesim/objstore"
	"github.com/dpesim/dpesim/objstore/sample"
	"github.com/dpesim/dpesim/portal"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/life"
)

// SampleBucket holds real data in every new environment. The name is our choice.
const SampleBucket = "sample-data"

// environments are the cloud parts of all environments. Its group runs them, so that they stop after the cluster and
// before the edge.
type environments struct {
	stack *Stack
	group life.Group

	restarting sync.Mutex // held while the DPM of an environment that is there is opened or closed

	mu   sync.Mutex
	open map[sim.EnvironmentID]*environment
}

// environment is one environment's services.
type environment struct {
	id      sim.EnvironmentID
	dpm     atomic.Pointer[dpm.Server] // another one after each restart
	storage *objstore.Server
	managed []*managedReplica // belongs to the reconciler
}

// get gives an environment's services, or Unavailable while they are being made or after they are gone.
func (es *environments) get(id sim.EnvironmentID) (*environment, error) {
	es.mu.Lock()
	defer es.mu.Unlock()
	if e, ok := es.open[id]; ok {
		return e, nil
	}
	return nil, sim.Errorf(sim.Unavailable, "the services of environment %s do not run", id).
		WithHelp("wait until the environment is ready: 'dpesim wait %s'", id)
}

// ids lists the environments whose services run, in order.
func (es *environments) ids() []sim.EnvironmentID {
	es.mu.Lock()
	defer es.mu.Unlock()
	return slices.Sorted(maps.Keys(es.open))
}

// hostOf gives the host name of one of an environment's endpoints. The pattern is the product's: the service, a hyphen
// and the "ONE instance hostname" (seed, "Additional considerations").
func (s *Stack) hostOf(service string, id sim.EnvironmentID) string {
	return service + "-" + string(id) + "." + s.config.Domain
}

// urlOf gives the URL of an endpoint.
func (s *Stack) urlOf(service string, id sim.EnvironmentID) string {
	return "https://" + net.JoinHostPort(s.hostOf(service, id), s.edgePort())
}

// Services of an environment, as they stand in host names. Source: seed, "Additional considerations".
const (
	serviceDPM     = "dpm-grpc"
	serviceStorage = "minio"
)

// ensure opens an environment's services unless they run, each as a step of its own.
func (es *environments) ensure(ctx context.Context, in portal.Intent, step func(string, func() error) error) (*environment, error) {
	if e, err := es.get(in.Environment); err == nil {
		return e, nil
	}
	e := &environment{id: in.Environment}
	if err := step(api.StepDPM, func() error { return es.openDPM(ctx, e, in.Release) }); err != nil {
		return nil, fmt.Errorf("open the DPM of %s: %w", e.id, err)
	}
	if err := step(api.StepStorage, func() error { return es.openStorage(ctx, e) }); err != nil {
		return nil, errors.Join(fmt.Errorf("open the object storage of %s: %w", e.id, err), es.group.Remove(serviceDPM+"/"+string(e.id)))
	}
	es.mu.Lock()
	es.open[e.id] = e
	es.mu.Unlock()
	return e, nil
}

func (es *environments) openDPM(ctx context.Context, e *environment, r sim.Release) error {
	s := es.stack
	if _, err := s.dir.dir("env", string(e.id)); err != nil {
		return err
	}
	host := s.hostOf(serviceDPM, e.id)
	ln, err := s.edge.Listen(host, e.id)
	if err != nil {
		return err
	}
	tls := s.ca.ServerTLS(host)
	tls.NextProtos = []string{"h2"}
	d, err := dpm.Open(ctx, dpm.Options{
		Environment: e.id, Release: r, Oldest: chart.OldestEngine(r), Host: host, Path: s.dir.join("env", string(e.id), "dpm.db"), Listener: ln, TLS: tls,
		Clock: s.config.Clock, Bus: s.bus, Draw: s.draw, Faults: s.faults, Log: s.log(sim.PartDPM),
	})
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	e.dpm.Store(d)
	return es.group.Add(life.Service{Name: serviceDPM + "/" + string(e.id), Serve: d.Serve, Close: d.Close})
}

// restartDPM closes an environment's DPM and opens it again on what it has stored. What is asked of it meanwhile gets
// Unavailable.
func (es *environments) restartDPM(ctx context.Context, id sim.EnvironmentID) error {
	es.restarting.Lock()
	defer es.restarting.Unlock()
	e, err := es.get(id)
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // half of it would leave the environment without a DPM
	if err := es.group.Remove(serviceDPM + "/" + string(id)); err != nil {
		return fmt.Errorf("stop the DPM of %s: %w", id, err)
	}
	if err := es.openDPM(ctx, e, e.dpm.Load().Release()); err != nil {
		return fmt.Errorf("open the DPM of %s again: %w", id, err)
	}
	return nil
}

func (es *environments) openStorage(ctx context.Context, e *environment) error {
	s := es.stack
	dir, err := s.dir.dir("env", string(e.id), "blobs")
	if err != nil {
		return err
	}
	host := s.hostOf(serviceStorage, e.id)
	ln, err := s.edge.Listen(host, e.id)
	if err != nil {
		return err
	}
	e.storage, err = objstore.Open(ctx, objstore.Options{
		Environment: e.id, Dir: dir, Path: s.dir.join("env", string(e.id), "objects.db"), Listener: ln, TLS: s.ca.ServerTLS(host),
		Clock: s.config.Clock, Bus: s.bus, Faults: s.faults, Log: s.log(sim.PartObjstore),
	})
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	return es.group.Add(life.Service{Name: serviceStorage + "/" + string(e.id), Serve: e.storage.Serve, Close: e.storage.Close})
}

// fill puts buckets and real data into a new environment.
func (e *environment) fill(ctx context.Context) error {
	for _, b := range []string{SampleBucket, objstore.ResultsBucket, objstore.CustomDriversBucket} {
		if err := e.storage.EnsureBucket(ctx, b); err != nil {
			return fmt.Errorf("make bucket %s: %w", b, err)
		}
	}
	for _, f := range sample.Files() {
		if err := e.put(ctx, f); err != nil {
			return fmt.Errorf("store sample %s: %w", f.Name, err)
		}
	}
	return nil
}

func (e *environment) put(ctx context.Context, f sample.File) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	_, err = e.storage.PutObject(ctx, SampleBucket, f.Name, "text/csv", r)
	return errors.Join(err, r.Close())
}

// remove stops an environment's services and deletes all that they held.
func (es *environments) remove(id sim.EnvironmentID) error {
	es.restarting.Lock()
	defer es.restarting.Unlock()
	es.mu.Lock()
	e := es.open[id]
	delete(es.open, id)
	es.mu.Unlock()
	var errs []error
	if e != nil {
		for _, m := range e.managed {
			errs = append(errs, es.group.Remove(m.name))
		}
	}
	return errors.Join(
		errors.Join(errs...),
		es.group.Remove(serviceStorage+"/"+string(id)),
		es.group.Remove(serviceDPM+"/"+string(id)),
		os.RemoveAll(es.stack.dir.join("env", string(id))),
	)
}
