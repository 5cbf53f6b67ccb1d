package dpm_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"net"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/dpesim/dpesim/dpm"
	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/draw"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/sim/jwk"
	"github.com/dpesim/dpesim/sim/pki"
)

const (
	host      = "dpm-grpc-acme.dpesim.localhost"
	lease     = 10 * time.Second
	heartbeat = 5 * time.Second
	patience  = 20 * time.Second // of the machine, before a test gives up
)

// failer is what the rig needs of *testing.T and *rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// rig is a DPM that can be restarted on the same database, with a clock that stands still.
type rig struct {
	ctx    context.Context
	clock  *clock.Clock
	bus    *event.Bus
	draw   *draw.Source
	faults *fault.Set
	ca     *pki.CA
	path   string

	server  *dpm.Server
	addr    string
	served  chan error
	stop    context.CancelFunc
	streams []*engine
}

func newRig(tb testing.TB) *rig {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), 10*patience)
	tb.Cleanup(cancel)
	c := clock.NewFrozen(time.Now())
	ca, err := pki.Open(tb.TempDir(), c)
	if err != nil {
		tb.Fatalf("open the CA: %v", err)
	}
	r := rigAt(ctx, c, ca, filepath.Join(tb.TempDir(), "dpm.db"))
	r.start(tb)
	tb.Cleanup(func() { r.close(tb); r.hangUp() })
	return r
}

func rigAt(ctx context.Context, c *clock.Clock, ca *pki.CA, path string) *rig {
	d := draw.New(7)
	return &rig{ctx: ctx, clock: c, bus: event.New(c, 0), draw: d, faults: fault.New(c, d), ca: ca, path: path}
}

func (r *rig) options(ln net.Listener) dpm.Options {
	return dpm.Options{
		Environment: "acme", Release: "15.1.0", Host: host, Path: r.path, Listener: ln, TLS: r.ca.ServerTLS(host),
		Lease: lease, Heartbeat: heartbeat, Clock: r.clock, Bus: r.bus, Draw: r.draw, Faults: r.faults,
	}
}

func (r *rig) start(t failer) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	if r.server, err = dpm.Open(r.ctx, r.options(ln)); err != nil {
		t.Fatalf("open the DPM: %v", err)
	}
	r.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(r.ctx)
	r.stop, r.served = cancel, make(chan error, 1)
	go func(s *dpm.Server, served chan<- error) { served <- s.Serve(ctx) }(r.server, r.served)
}

// close stops the server as a whole simulator would.
func (r *rig) close(t failer) {
	t.Helper()
	r.stop()
	select {
	case err := <-r.served:
		if err != nil {
			t.Fatalf("Serve: %v", err)
		}
	case <-r.ctx.Done():
		t.Fatalf("Serve did not return")
	}
	if err := r.server.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// hangUp cuts every stream that was opened.
func (r *rig) hangUp() {
	for _, e := range r.streams {
		e.hangUp()
	}
	r.streams = nil
}

// authorize makes a DPE known and gives its key.
func (r *rig) authorize(t failer, label sim.Label) *ecdsa.PrivateKey {
	t.Helper()
	key, err := jwk.Generate()
	if err != nil {
		t.Fatalf("%v", err)
	}
	c := dpm.Component{Key: jwk.Fingerprint(&key.PublicKey), Label: label, PublicKey: &key.PublicKey}
	if err := r.server.Authorize(r.ctx, c); err != nil {
		t.Fatalf("authorise: %v", err)
	}
	return key
}

func (r *rig) submit(t failer, spec dpm.JobSpec) dpm.Job {
	t.Helper()
	j, err := r.server.Submit(r.ctx, spec)
	if err != nil {
		t.Fatalf("submit: %v", err)
	}
	return j
}

func (r *rig) job(t failer, id sim.JobID) dpm.Job {
	t.Helper()
	j, err := r.server.Job(r.ctx, id)
	if err != nil {
		t.Fatalf("job %s: %v", id, err)
	}
	return j
}

func (r *rig) advance(t failer, d time.Duration) {
	t.Helper()
	if err := r.clock.Advance(r.ctx, d); err != nil {
		t.Fatalf("advance: %v", err)
	}
}

// await gives the first event after seq of that name.
func (r *rig) await(t failer, seq uint64, what string) sim.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	sub := r.bus.Subscribe(seq)
	for {
		e, err := sub.Next(ctx)
		if err != nil {
			t.Fatalf("no event %q: %v", what, err)
		}
		if e.What == what {
			return e
		}
	}
}

// count says how many events of that name there were about a job; an empty id stands for all.
func (r *rig) count(what string, id sim.JobID) int {
	n := 0
	for _, e := range r.bus.Since(0) {
		if e.What == what && (id == "" || e.Detail["job_id"] == string(id)) {
			n++
		}
	}
	return n
}

// dial connects a client; an empty token sends none.
func (r *rig) dial(t failer) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+host, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", r.addr)
	}), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: r.ca.Pool(), ServerName: host, Time: r.clock.Now})))
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	return conn
}

func (r *rig) token(t failer, key *ecdsa.PrivateKey, label sim.Label) string {
	t.Helper()
	token, err := jwk.Sign(key, label, host, r.clock.Now(), time.Hour)
	if err != nil {
		t.Fatalf("sign: %v", err)
	}
	return token
}

// engine is the other end of a stream, driven by a test.
type engine struct {
	label   sim.Label
	replica sim.ReplicaID
	conn    *grpc.ClientConn
	stream  dpmv1.EngineService_ConnectClient
	cancel  context.CancelFunc
	in      chan *dpmv1.ConnectResponse // closed when the stream has ended
	err     error                       // set before in is closed
}

// open begins a stream without a word. metadata goes with it.
func (r *rig) open(t failer, md ...string) *engine {
	t.Helper()
	e := &engine{conn: r.dial(t), in: make(chan *dpmv1.ConnectResponse, 1000)}
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(r.ctx, md...))
	e.cancel = cancel
	stream, err := dpmv1.NewEngineServiceClient(e.conn).Connect(ctx)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	e.stream = stream
	r.streams = append(r.streams, e)
	go func() {
		defer close(e.in)
		for {
			m, err := stream.Recv()
			if err != nil {
				e.err = err
				return
			}
			e.in <- m
		}
	}()
	return e
}

func hello(label sim.Label, replica sim.ReplicaID) *dpmv1.Hello {
	return &dpmv1.Hello{
		Label: string(label), Replica: string(replica), Version: "15.1.0", Slots: 1000,
		Capabilities: []string{"job:profile", "source:csv"}, Drivers: []string{"postgresql"}, ConfigurationRevision: 3,
	}
}

// connect brings a replica to its Welcome.
func (r *rig) connect(t failer, key *ecdsa.PrivateKey, label sim.Label, replica sim.ReplicaID) *engine {
	t.Helper()
	e := r.knock(t, key, hello(label, replica))
	if m := e.next(t); m.GetWelcome() == nil {
		t.Fatalf("first answer is %v, want Welcome", m)
	}
	return e
}

// knock sends a hello and leaves the answer to the caller.
func (r *rig) knock(t failer, key *ecdsa.PrivateKey, h *dpmv1.Hello) *engine {
	t.Helper()
	e := r.open(t, "authorization", "Bearer "+r.token(t, key, sim.Label(h.GetLabel())))
	e.label, e.replica = sim.Label(h.GetLabel()), sim.ReplicaID(h.GetReplica())
	e.send(t, &dpmv1.ConnectRequest{Message: &dpmv1.ConnectRequest_Hello{Hello: h}})
	return e
}

// send sends m. A stream that the server has ended shows at the next read.
func (e *engine) send(t failer, m *dpmv1.ConnectRequest) {
	t.Helper()
	_ = e.stream.Send(m)
}

func (e *engine) give(t failer, n uint32) {
	t.Helper()
	e.send(t, &dpmv1.ConnectRequest{Message: &dpmv1.ConnectRequest_Credits{Credits: &dpmv1.Credits{Commands: n}}})
}

func (e *engine) heartbeat(t failer, jobs ...string) {
	t.Helper()
	e.send(t, &dpmv1.ConnectRequest{Message: &dpmv1.ConnectRequest_Heartbeat{Heartbeat: &dpmv1.Heartbeat{JobIds: jobs}}})
}

func (e *engine) stop(t failer) {
	t.Helper()
	e.send(t, &dpmv1.ConnectRequest{Message: &dpmv1.ConnectRequest_Drain{Drain: &dpmv1.Drain{Reason: "SIGTERM"}}})
}

func (e *engine) report(t failer, ev *dpmv1.JobEvent) {
	t.Helper()
	e.send(t, &dpmv1.ConnectRequest{Message: &dpmv1.ConnectRequest_Event{Event: ev}})
}

// next gives the next answer.
func (e *engine) next(t failer) *dpmv1.ConnectResponse {
	t.Helper()
	select {
	case m, ok := <-e.in:
		if !ok {
			t.Fatalf("the stream ended with %v", e.err)
		}
		return m
	case <-time.After(patience):
		t.Fatalf("no answer")
	}
	return nil
}

// end waits for the end of the stream and gives what came before, and the error.
func (e *engine) end(t failer) ([]*dpmv1.ConnectResponse, error) {
	t.Helper()
	var out []*dpmv1.ConnectResponse
	for {
		select {
		case m, ok := <-e.in:
			if !ok {
				return out, e.err
			}
			out = append(out, m)
		case <-time.After(patience):
			t.Fatalf("the stream did not end")
		}
	}
}

// barrier returns once the server has dealt with all that was sent before, and gives the answers until then: an event
// of a job that nobody knows is always answered by a refusal.
func (e *engine) barrier(t failer) []*dpmv1.ConnectResponse {
	t.Helper()
	e.report(t, &dpmv1.JobEvent{JobId: "barrier", State: dpmv1.JobState_JOB_STATE_RUNNING})
	var out []*dpmv1.ConnectResponse
	for {
		m := e.next(t)
		if m.GetReceipt().GetJobId() == "barrier" {
			return out
		}
		out = append(out, m)
	}
}

// command waits for a batch of one command.
func (e *engine) command(t failer) *dpmv1.Command {
	t.Helper()
	m := e.next(t)
	if len(m.GetCommands().GetCommands()) != 1 {
		t.Fatalf("got %v, want one command", m)
	}
	return m.GetCommands().GetCommands()[0]
}

func (e *engine) receipt(t failer) *dpmv1.EventReceipt {
	t.Helper()
	m := e.next(t)
	if m.GetReceipt() == nil {
		t.Fatalf("got %v, want a receipt", m)
	}
	return m.GetReceipt()
}

// hangUp cuts the stream and waits for both ends of it.
func (e *engine) hangUp() {
	e.cancel()
	for range e.in {
	}
	_ = e.conn.Close()
}

// vanish cuts the stream and waits until the server has noticed.
func (r *rig) vanish(t failer, e *engine) {
	t.Helper()
	seq := r.bus.Last()
	e.hangUp()
	r.await(t, seq, "engine disconnected")
}

func running(c *dpmv1.Command) *dpmv1.JobEvent {
	return &dpmv1.JobEvent{JobId: c.GetJobId(), Attempt: c.GetAttempt(), State: dpmv1.JobState_JOB_STATE_RUNNING}
}

func succeeded(c *dpmv1.Command) *dpmv1.JobEvent {
	return &dpmv1.JobEvent{
		JobId: c.GetJobId(), Attempt: c.GetAttempt(), State: dpmv1.JobState_JOB_STATE_SUCCEEDED, Payload: []byte(`{"rows":406}`),
		Result: &dpmv1.ObjectReference{
			Bucket: c.GetProfile().GetTarget().GetBucket(), Key: c.GetProfile().GetTarget().GetKey(), SizeBytes: 12,
			Sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		},
	}
}

func failed(c *dpmv1.Command, why string) *dpmv1.JobEvent {
	return &dpmv1.JobEvent{JobId: c.GetJobId(), Attempt: c.GetAttempt(), State: dpmv1.JobState_JOB_STATE_FAILED, Error: why}
}

var profile = dpm.JobSpec{Type: dpm.TypeProfile, Source: dpm.Source{Bucket: "sample-data", Key: "cars.csv"}, MaxRecords: 100}
