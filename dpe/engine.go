package dpe

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/fault"
)

// Points at which faults can be armed.
const (
	FaultConnect fault.Point = "dpe.connect" // before DPM is dialled
	FaultCommand fault.Point = "dpe.command" // before a command is begun: the attempt fails
	FaultStorage fault.Point = "dpe.storage" // before each request to the object storage
	FaultScratch fault.Point = "dpe.scratch" // before a result is written to the scratch volume
)

// engine is one replica at work.
type engine struct {
	Config
	checked
	log     *slog.Logger
	ledger  *ledger
	health  *health
	network *network
	storage *storage
	memory  memory
	custom  []string       // names of the custom drivers that are loaded; set before the engine connects
	slots   chan struct{}  // one token for each command that is being worked on
	jobs    sync.WaitGroup // goroutines of commands
}

func newEngine(c Config, k checked) *engine {
	e := &engine{
		Config: c, checked: k, ledger: newLedger(), slots: make(chan struct{}, c.Slots),
		memory: memory{report: c.Memory},
		log:    c.Log.With("environment", c.Environment, "label", c.Label, "replica", c.Replica),
	}
	e.health = newHealth(c)
	e.network = newNetwork(c, k)
	e.storage = newStorage(c, k, e.network)
	return e
}

// scope says on whose behalf faults are asked for.
func (e *engine) scope() fault.Scope { return fault.Scope{Environment: e.Environment, DPE: e.Label} }

// run serves until Stop or ctx ends; see [Run].
func (e *engine) run(ctx context.Context) error {
	ctx, kill := context.WithCancelCause(ctx)
	defer kill(nil)
	stopping, stop := context.WithCancel(context.WithoutCancel(ctx)) // ends at Stop only: killing is not draining
	defer stop()

	var parts sync.WaitGroup
	parts.Go(func() {
		if err := e.health.serve(); err != nil {
			kill(err)
		}
	})
	parts.Go(func() {
		select {
		case <-e.Stop:
			e.health.drain()
			stop()
		case <-ctx.Done():
		}
	})
	parts.Go(func() { e.watchStorage(ctx) })

	e.greet()
	e.memory.start()
	err := e.loadDrivers(ctx, stopping)
	if err == nil {
		e.stayConnected(ctx, stopping)
		err = context.Cause(ctx) // nil after a drain
	}

	kill(nil)
	e.ledger.clear()
	e.jobs.Wait()
	e.storage.close()
	e.health.close()
	parts.Wait()
	e.log.Info("engine stopped", "err", err)
	return err
}

// greet logs what an operator looks for first.
func (e *engine) greet() {
	e.log.Info("engine started", "version", e.Version, "revision", e.Revision, "slots", e.Slots, "drivers", e.Drivers,
		"dpm", e.dpm.Host, "object_storage", e.checked.storage.Host, "health", e.Health.Addr().String())
	switch {
	case e.proxy != nil:
		e.log.Info("connections go through a proxy", "proxy", e.proxy.Host, "no_proxy", e.Proxy.NoProxy) // no user, no password
	case e.Proxy.HTTP != "":
		e.log.Warn("HTTP_PROXY is not used: the engine makes TLS connections only, set HTTPS_PROXY (proxy.httpsProxy) for them")
	}
	if x := e.Licence.Expires; !x.IsZero() && e.Clock.Now().After(x) {
		e.log.Warn("licence expired: ask Ataccama for a new one, then install the values that the portal generates", "expired", x)
	}
}

// begin starts the work on a command, unless it is a repetition of one that is being worked on.
func (e *engine) begin(ctx context.Context, c *dpmv1.Command) {
	ctx, cancel := context.WithCancel(ctx)
	a := e.ledger.take(c, cancel)
	if a == nil {
		cancel()
		e.log.Info("command came twice, ignored", "job", c.GetJobId(), "attempt", c.GetAttempt())
		return
	}
	e.jobs.Go(func() {
		defer cancel()
		select {
		case e.slots <- struct{}{}:
			defer func() { <-e.slots }()
		case <-ctx.Done():
			return
		}
		e.work(ctx, a)
	})
}

// work does a command and reports how it went.
func (e *engine) work(ctx context.Context, a *attempt) {
	c := a.command
	log := e.log.With("job", c.GetJobId(), "attempt", c.GetAttempt())
	started := e.Clock.Now()
	if !e.ledger.report(a, e.event(c, dpmv1.JobState_JOB_STATE_RUNNING)) {
		return
	}
	log.Info("job started")
	out, err := e.perform(ctx, c)
	if ctx.Err() != nil {
		log.Info("job dropped")
		return
	}
	ev := e.event(c, dpmv1.JobState_JOB_STATE_SUCCEEDED)
	if err != nil {
		ev.State, ev.Error = dpmv1.JobState_JOB_STATE_FAILED, explain(err)
		log.Warn("job failed", "err", err)
	} else {
		ev.Payload, ev.Result = out.summary, out.result
		log.Info("job succeeded", "dur_ms", ev.GetTime().AsTime().Sub(started).Milliseconds(),
			"bucket", out.result.GetBucket(), "key", out.result.GetKey(), "size_bytes", out.result.GetSizeBytes())
	}
	e.ledger.report(a, ev)
}

func (e *engine) event(c *dpmv1.Command, s dpmv1.JobState) *dpmv1.JobEvent {
	return &dpmv1.JobEvent{JobId: c.GetJobId(), Attempt: c.GetAttempt(), State: s, Time: timestamppb.New(e.Clock.Now())}
}

// explain makes one text for a person of an error, short enough for an event.
func explain(err error) string {
	msg, help := sim.Explain(err)
	if help != "" {
		msg += ": " + help
	}
	return msg[:min(len(msg), 4<<10)]
}

// backoff gives the time to wait after the n-th failure in a row, n from 1: doubled each time from 250 ms up to 30 s,
// jittered (assumption).
func (e *engine) backoff(place string, n int) time.Duration {
	const first, longest = 250 * time.Millisecond, 30 * time.Second
	d := longest
	if n < 8 { // 2^7 * 250 ms = 32 s
		d = min(first<<(n-1), longest)
	}
	return e.Draw.Jitter("dpe/"+place+"/"+string(e.Replica), d)
}
