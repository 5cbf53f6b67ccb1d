package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/dpesim/dpesim/dpe"
	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/dpm"
	"github.com/dpesim/dpesim/objstore"
	"github.com/dpesim/dpesim/portal"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/life"
)

// managedReplica is one Ataccama-managed engine. It runs in the cloud's perimeter and dials the edge like every other.
type managedReplica struct {
	name    string // in the group of the environments
	release sim.Release
	stop    chan struct{} // closed: drain
	done    chan struct{} // closed when it has ended
}

// managedDrain is how long an engine that is scaled away or upgraded may finish its jobs, in the machine's time: nothing
// else is reconciled meanwhile. What it holds then goes to another replica.
const managedDrain = 2 * time.Second

// authoriseManaged lets the Ataccama-managed engines of an environment in, from the first time that there were any.
func (e *environment) authoriseManaged(ctx context.Context, m portal.IntentManaged) error {
	if m.KeyID == "" {
		return nil
	}
	return errors.Join(
		e.dpm.Load().Authorize(ctx, dpm.Component{Key: m.KeyID, Label: api.ManagedLabel, PublicKey: m.PublicKey}),
		e.storage.PutCredential(ctx, objstore.Credential{AccessKey: m.AccessKey, SecretKey: m.SecretKey, Label: api.ManagedLabel}),
	)
}

// scale has as many Ataccama-managed engines run as are wanted, of the platform's release.
func (es *environments) scale(ctx context.Context, e *environment, in portal.Intent) error {
	var stay, gone []*managedReplica
	for i, m := range e.managed {
		if i < in.Managed.Replicas && m.release == in.Release {
			stay = append(stay, m)
		} else {
			gone = append(gone, m)
		}
	}
	e.managed = stay
	if err := es.drain(ctx, gone); err != nil {
		return err
	}
	for i := len(stay); i < in.Managed.Replicas; i++ {
		if err := es.startManaged(ctx, e, in, i); err != nil {
			return fmt.Errorf("start Ataccama-managed replica %d: %w", i, err)
		}
	}
	return nil
}

// drain stops engines, all at once, and waits until they have ended.
func (es *environments) drain(ctx context.Context, all []*managedReplica) error {
	ctx, cancel := clock.New().WithTimeout(ctx, managedDrain)
	defer cancel()
	for _, m := range all {
		close(m.stop)
	}
	var errs []error
	for _, m := range all {
		select {
		case <-m.done:
		case <-ctx.Done():
		}
		errs = append(errs, es.group.Remove(m.name))
	}
	return errors.Join(errs...)
}

func (es *environments) startManaged(ctx context.Context, e *environment, in portal.Intent, i int) error {
	s := es.stack
	scratch, err := s.dir.dir("env", string(e.id), "managed", strconv.Itoa(i))
	if err != nil {
		return err
	}
	health, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for its health: %w", err)
	}
	m := &managedReplica{
		name: fmt.Sprintf("managed/%s/%d", e.id, i), release: in.Release, stop: make(chan struct{}), done: make(chan struct{}),
	}
	config := dpe.Config{
		Environment: e.id, Label: api.ManagedLabel, Replica: sim.ReplicaID(fmt.Sprintf("%s-%d", api.ManagedLabel, i)), Version: in.Release,
		Drivers: sim.Drivers(), Slots: chart.Slots(in.Tier), DPMURL: s.urlOf(serviceDPM, e.id),
		ObjectStorage: dpe.ObjectStorage{
			URL: s.urlOf(serviceStorage, e.id), Region: chart.DefaultRegion, Bucket: objstore.ResultsBucket,
			AccessKey: in.Managed.AccessKey, SecretKey: in.Managed.SecretKey,
		},
		Key: in.Managed.Key, CA: []dpe.CAFile{{Name: "the cloud's CA", PEM: s.ca.PEM()}}, DrainTimeout: managedDrain, Scratch: scratch,
		Stop: m.stop, Dial: s.inside.DialContext, Health: health, Clock: s.config.Clock, Draw: s.draw, Faults: s.faults, Log: s.log(sim.PartDPE),
	}
	e.managed = append(e.managed, m)
	return es.group.Add(life.Service{
		Name: m.name,
		Serve: func(ctx context.Context) error {
			defer close(m.done)
			if err := dpe.Run(ctx, config); err != nil && ctx.Err() == nil { // not the simulator's end
				config.Log.ErrorContext(ctx, "Ataccama-managed replica failed", "environment", e.id, "replica", config.Replica, "err", err)
			}
			return nil
		},
		Close: func() error {
			if err := health.Close(); err != nil && !errors.Is(err, net.ErrClosed) { // the engine closes it, if it ran
				return err
			}
			return nil
		},
	})
}
