package dpm

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/fault"
)

// Points at which a DPM can be broken.
const (
	FaultConnect  fault.Point = "dpm.connect"  // an engine is connecting; an error refuses it
	FaultDispatch fault.Point = "dpm.dispatch" // commands are about to be sent; an error ends the stream
	FaultEvent    fault.Point = "dpm.event"    // an event has arrived; an error ends the stream before it is stored
)

// maxMessage bounds a message from an engine, in bytes: a payload and what goes around it.
const maxMessage = 256 << 10

// maxUnread is how many answers may wait for an engine that does not read them.
const maxUnread = 4096

// session is the stream of one engine. Engine and the fields up to the blank line belong to the state machine.
type session struct {
	Engine
	key     sim.KeyID
	cause   uint64 // event that led to it, as the engine says; 0: unknown
	credits int
	held    map[sim.JobID]*job // what it has under leases
	seen    time.Duration      // uptime at which it last said something

	ctx    context.Context // ends when the session does
	cancel context.CancelFunc
	wake   chan struct{} // has room for one: something to send, or ended

	mu    sync.Mutex
	out   []*dpmv1.ConnectResponse
	ended bool
	err   error // what the stream ends with
}

// send queues m without waiting. An engine that does not read is sent away.
func (e *session) send(m *dpmv1.ConnectResponse) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return
	}
	if len(e.out) >= maxUnread {
		e.endLocked(nil, sim.Errorf(sim.Exhausted, "the engine leaves %d answers unread", len(e.out)).WithHelp("read the stream while writing to it"))
		return
	}
	e.out = append(e.out, m)
	e.wakeUp()
}

// end ends the session with err (nil: as the engine wished), after goodbye if there is one. The first end counts.
func (e *session) end(goodbye *dpmv1.Goodbye, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.endLocked(goodbye, err)
}

func (e *session) endLocked(goodbye *dpmv1.Goodbye, err error) {
	if e.ended {
		return
	}
	e.ended, e.err = true, err
	kept := e.out[:0]
	for _, m := range e.out {
		if m.GetCommands() == nil { // their leases are lost
			kept = append(kept, m)
		}
	}
	e.out = kept
	if goodbye != nil {
		e.out = append(e.out, &dpmv1.ConnectResponse{Message: &dpmv1.ConnectResponse_Goodbye{Goodbye: goodbye}})
	}
	e.cancel()
	e.wakeUp()
}

func (e *session) wakeUp() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// take gives what is to be sent, and whether more may come.
func (e *session) take() (out []*dpmv1.ConnectResponse, more bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	out, e.out = e.out, nil
	return out, !e.ended
}

func (e *session) result() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// Connect is the stream of one engine.
//
// Three goroutines serve it: one reads, one writes, and the handler between them can leave at any time, which ends both.
func (s *Server) Connect(stream dpmv1.EngineService_ConnectServer) error {
	ctx := stream.Context()
	who := caller(ctx)
	in := make(chan received)
	s.streams.Go(func() { receive(stream, in) })
	e, err := s.welcome(ctx, who, in)
	if err != nil {
		return err
	}
	written := make(chan struct{})
	s.streams.Go(func() { s.write(stream, e); close(written) })
	for e.ctx.Err() == nil {
		select {
		case <-e.ctx.Done():
		case r := <-in:
			s.handle(e, r)
		}
	}
	s.left(e)
	e.end(nil, errGone()) // counts if nobody else ended it
	ctx, giveUp := context.WithTimeout(ctx, grace)
	defer giveUp()
	select {
	case <-written:
	case <-ctx.Done():
	}
	return e.result()
}

// received is what an engine sent, or how its side of the stream ended.
type received struct {
	m   *dpmv1.ConnectRequest
	err error
}

// receive reads until the stream ends, which it does at the latest when the handler returns.
func receive(stream dpmv1.EngineService_ConnectServer, in chan<- received) {
	for {
		m, err := stream.Recv()
		select {
		case in <- received{m, err}:
		case <-stream.Context().Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// welcome takes the Hello and registers the engine.
func (s *Server) welcome(ctx context.Context, who Component, in <-chan received) (*session, error) {
	remote := ""
	if p, ok := peer.FromContext(ctx); ok {
		remote = p.Addr.String()
	}
	e, err := s.hello(ctx, who, in, remote)
	if err != nil {
		s.refused(ctx, who, err)
	}
	return e, err
}

func (s *Server) hello(ctx context.Context, who Component, in <-chan received, remote string) (*session, error) {
	if err := s.opts.Faults.At(ctx, FaultConnect, s.scope(who.Label)); err != nil {
		return nil, err
	}
	late, giveUp := s.opts.Clock.After(helloTimeout)
	defer giveUp()
	var first received
	select {
	case first = <-in:
	case <-late:
		return nil, sim.Errorf(sim.Invalid, "no Hello within %v", helloTimeout).WithHelp("send Hello as the first message of the stream")
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.ctx.Done():
		return nil, errClosed()
	}
	if first.err != nil {
		return nil, sim.Errorf(sim.Invalid, "the stream ended before its Hello").WithHelp("send Hello as the first message of the stream")
	}
	if first.m.GetHello() == nil {
		return nil, sim.Errorf(sim.Invalid, "the first message is not a Hello").WithHelp("send Hello as the first message of the stream")
	}
	engine, err := engineFromProto(first.m.GetHello(), who.Label)
	if err != nil {
		return nil, err
	}
	engine.Remote = remote
	e := &session{Engine: engine, key: who.Key, cause: s.claimed(ctx), held: map[sim.JobID]*job{}, wake: make(chan struct{}, 1)}
	e.ctx, e.cancel = context.WithCancel(ctx)
	if err := s.do(ctx, func(t *turn) error { return t.join(e) }); err != nil {
		e.cancel()
		return nil, err
	}
	return e, nil
}

// claimed gives the event that led to a call, as its caller says; 0 if it does not.
func (s *Server) claimed(ctx context.Context) uint64 {
	values := metadata.ValueFromIncomingContext(ctx, event.CauseHeader)
	if len(values) != 1 {
		return 0
	}
	return s.opts.Bus.Claimed(values[0])
}

// write sends what is queued until the session has ended and all is sent, or sending fails.
func (s *Server) write(stream dpmv1.EngineService_ConnectServer, e *session) {
	for {
		<-e.wake
		out, more := e.take()
		for _, m := range out {
			if m.GetCommands() != nil {
				if err := s.opts.Faults.At(e.ctx, FaultDispatch, s.scope(e.Label)); err != nil {
					e.end(nil, err)
					continue
				}
			}
			if stream.Send(m) != nil {
				e.end(nil, errGone())
				return
			}
		}
		if !more {
			return
		}
	}
}

func errGone() error {
	return sim.Errorf(sim.Unavailable, "the connection to the engine broke").WithHelp("connect again")
}

// refused tells that somebody was not let in. who is zero if the token does not say.
func (s *Server) refused(ctx context.Context, who Component, err error) {
	msg, _ := sim.Explain(err)
	detail := map[string]string{"reason": msg, "kind": sim.KindOf(err).String()}
	if who.Key != "" {
		detail["key_id"] = string(who.Key)
	}
	if p, ok := peer.FromContext(ctx); ok {
		detail["remote"] = p.Addr.String()
	}
	s.publish(0, who.Label, "engine refused", detail)
	s.opts.Log.Info("engine refused", "environment", s.opts.Environment, "dpe", who.Label, "err", err)
}

func revoked() *dpmv1.Goodbye {
	return &dpmv1.Goodbye{Reason: dpmv1.GoodbyeReason_GOODBYE_REASON_REVOKED, Message: "the DPE was removed in the portal: its key was revoked"}
}

func restarting() *dpmv1.Goodbye {
	return &dpmv1.Goodbye{Reason: dpmv1.GoodbyeReason_GOODBYE_REASON_RESTART, Message: "the DPM restarts: connect again"}
}

func commandsMessage(c []*dpmv1.Command) *dpmv1.ConnectResponse {
	return &dpmv1.ConnectResponse{Message: &dpmv1.ConnectResponse_Commands{Commands: &dpmv1.CommandBatch{Commands: c}}}
}

func receiptMessage(r *dpmv1.EventReceipt) *dpmv1.ConnectResponse {
	return &dpmv1.ConnectResponse{Message: &dpmv1.ConnectResponse_Receipt{Receipt: r}}
}
