package portal_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dpesim/dpesim/portal"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/draw"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/sim/residue"
)

// testCA is any PEM block: the portal hands it on, unread.
const testCA = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"

// cloud is a cloud without services: what the test says is connected.
type cloud struct {
	bus *event.Bus

	mu          sync.Mutex
	engines     map[sim.EnvironmentID][]api.Engine
	credentials map[sim.EnvironmentID][]api.Credential
	jobs        map[sim.EnvironmentID][]api.Job
	checks      []api.Check
	sick        string                       // what is wrong with every DPM; empty: nothing
	objects     map[string]map[string]string // of every environment: contents by bucket and key
	asked       residue.Filter
	submitting  func() // called by the next SubmitJob
	restarts    int    // of any DPM
}

func newCloud(bus *event.Bus) *cloud {
	return &cloud{
		bus: bus, engines: map[sim.EnvironmentID][]api.Engine{}, credentials: map[sim.EnvironmentID][]api.Credential{},
		jobs: map[sim.EnvironmentID][]api.Job{}, objects: map[string]map[string]string{}, checks: []api.Check{{Name: "registry", OK: true}},
	}
}

func (c *cloud) Endpoints(env sim.EnvironmentID) api.Endpoints {
	return api.Endpoints{
		DPM: "https://dpm-grpc-" + string(env) + ".dpesim.localhost:8443", ObjectStorage: "https://minio-" + string(env) + ".dpesim.localhost:8443",
		Registry: "localhost:8443", CA: testCA,
	}
}

func (c *cloud) Engines(_ context.Context, env sim.EnvironmentID) ([]api.Engine, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.engines[env]), nil
}

// connect says which engines are connected, and tells of it as a DPM does.
func (c *cloud) connect(ctx context.Context, env sim.EnvironmentID, engines ...api.Engine) sim.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.engines[env] = engines
	return c.bus.Publish(ctx, sim.Event{Part: sim.PartDPM, Environment: env, What: "engine connected"})
}

func (c *cloud) Credentials(_ context.Context, env sim.EnvironmentID) ([]api.Credential, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.credentials[env], nil
}

func (c *cloud) SubmitJob(_ context.Context, env sim.EnvironmentID, s api.JobSpec) (api.Job, error) {
	c.mu.Lock()
	f := c.submitting
	c.submitting = nil
	c.mu.Unlock()
	if f != nil {
		f()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	j := api.Job{ID: sim.JobID(fmt.Sprintf("job-%d", len(c.jobs[env])+1)), Spec: s, State: api.JobEnqueued, Reason: "no DPE is connected", Created: epoch}
	c.jobs[env] = append([]api.Job{j}, c.jobs[env]...)
	return j, nil
}

func (c *cloud) Job(_ context.Context, env sim.EnvironmentID, id sim.JobID) (api.Job, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, j := range c.jobs[env] {
		if j.ID == id {
			return j, nil
		}
	}
	return api.Job{}, sim.Errorf(sim.NotFound, "there is no job %q", string(id))
}

func (c *cloud) Jobs(_ context.Context, env sim.EnvironmentID, f api.JobFilter) ([]api.Job, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.jobs[env]
	if f.Before != "" {
		i := slices.IndexFunc(all, func(j api.Job) bool { return j.ID == f.Before })
		if i < 0 {
			return nil, sim.Errorf(sim.NotFound, "there is no job %q", string(f.Before))
		}
		all = all[i+1:]
	}
	out := slices.DeleteFunc(slices.Clone(all), func(j api.Job) bool { return f.State != "" && j.State != f.State })
	if f.Limit > 0 {
		out = out[:min(f.Limit, len(out))]
	}
	return out, nil
}

// onSubmit has f called, once, while a job is being submitted.
func (c *cloud) onSubmit(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.submitting = f
}

func (c *cloud) Residue(_ context.Context, f residue.Filter) ([]residue.Entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = f
	return nil, nil
}

func (c *cloud) RestartDPM(context.Context, sim.EnvironmentID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.restarts++
	return nil
}

func (c *cloud) Health(context.Context, sim.EnvironmentID) []api.Check {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []api.Check{{Name: "DPM", OK: true}, {Name: "Object storage", OK: true}}
	if c.sick != "" {
		out[0] = api.Check{Name: "DPM", Detail: c.sick}
	}
	return out
}

func (c *cloud) Ready(context.Context) []api.Check {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.checks)
}

// epoch is when the tests' time stands.
var epoch = time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)

// sut is a portal that serves, and what is around it.
type sut struct {
	*portal.Portal
	*api.Client
	cloud     *cloud
	simulator *simulator
	runner    *runner
	bus       *event.Bus
	clock     *clock.Clock
	faults    *fault.Set
	log       *logBuffer
}

// logBuffer keeps what is logged. It is safe for concurrent use.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// operator is the simulator's own token.
const operator = sim.Secret("operator-of-the-test")

func options(tb testing.TB, path string) (portal.Options, *sut) {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &sut{clock: clock.NewFrozen(epoch), log: &logBuffer{}}
	s.bus = event.New(s.clock, 1<<12)
	s.cloud = newCloud(s.bus)
	s.simulator, s.runner = &simulator{}, &runner{}
	d := draw.New(1)
	s.faults = fault.New(s.clock, d)
	return portal.Options{
		Path: path, Listener: l, Token: operator, Hosts: []string{"portal.dpesim.localhost"}, Cloud: s.cloud, Simulator: s.simulator, Runner: s.runner, Clock: s.clock, Bus: s.bus, Draw: d,
		Faults: s.faults, Log: slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, s
}

// start gives a portal that serves until the test ends.
func start(tb testing.TB) *sut {
	tb.Helper()
	return startAt(tb, filepath.Join(tb.TempDir(), "portal.db"))
}

func startAt(tb testing.TB, path string) *sut {
	tb.Helper()
	o, s := options(tb, path)
	s.serve(tb, o)
	return s
}

// serve opens and serves a portal until the test ends.
func (s *sut) serve(tb testing.TB, o portal.Options) {
	tb.Helper()
	tb.Cleanup(s.open(tb, o))
}

// open opens and serves a portal until what it gives is called.
func (s *sut) open(tb testing.TB, o portal.Options) (stop func()) {
	tb.Helper()
	p, err := portal.Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	s.Portal = p
	s.Client = &api.Client{BaseURL: p.URL(), Token: operator, HTTP: &http.Client{Transport: checkedTransport{&http.Transport{}, tb}}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	done := make(chan error, 1)
	go func() { done <- p.Serve(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Serve: %v", err)
		}
		if err := p.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
		s.HTTP.CloseIdleConnections()
	}
}

// reconcile settles what is wanted, as sim/stack does once it has made it so.
func (s *sut) reconcile(tb testing.TB) {
	tb.Helper()
	intents, err := s.Intents(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	for _, in := range intents {
		if err := s.Settled(tb.Context(), in); err != nil {
			tb.Fatal(err)
		}
	}
}

// environment creates an environment that is ready.
func (s *sut) environment(tb testing.TB, spec api.EnvironmentSpec) api.Environment {
	tb.Helper()
	e := must(s.CreateEnvironment(tb.Context(), spec))(tb)
	s.reconcile(tb)
	return must(s.Environment(tb.Context(), e.ID))(tb)
}

// must fails the test on an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatalf("%v (%+v)", err, err)
		}
		return v
	}
}

// wait waits for an event that fits, from the first one on.
func (s *sut) wait(tb testing.TB, fits func(sim.Event) bool) sim.Event {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	sub := s.bus.Subscribe(0)
	for {
		e, err := sub.Next(ctx)
		if err != nil {
			tb.Fatalf("the event did not come: %v; there were %v", err, whats(s.bus.Since(0)))
		}
		if fits(e) {
			return e
		}
	}
}

func whats(events []sim.Event) []string {
	var out []string
	for _, e := range events {
		out = append(out, e.What)
	}
	return out
}

// status waits for a change of a DPE's status to a state with that many replicas.
func (s *sut) status(tb testing.TB, to api.State, replicas string, after uint64) sim.Event {
	tb.Helper()
	return s.wait(tb, func(e sim.Event) bool {
		return e.Seq > after && e.What == "dpe status changed" && e.Detail["to"] == string(to) && e.Detail["replicas"] == replicas
	})
}

func engine(d api.DPE, replica string) api.Engine {
	return api.Engine{
		Label: d.Label, Replica: sim.ReplicaID(string(d.Label) + "-" + replica), Version: d.Release, Drivers: d.Drivers, Slots: 2,
		Revision: d.Revision, Remote: "10.1.2.3:40001", ConnectedAt: epoch,
	}
}
