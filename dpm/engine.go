package dpm

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
	"github.com/dpesim/dpesim/sim"
)

// missedHeartbeats is how many heartbeats an engine may leave out before it counts as gone.
const missedHeartbeats = 3

// Engines gives the engines that are connected now, by label and replica. It is empty once the server is closed.
func (s *Server) Engines() []Engine {
	var out []Engine
	_ = s.do(s.ctx, func(t *turn) error { // fails only if the server is closed
		for _, e := range t.connected() {
			engine := e.Engine
			engine.Running = len(e.held)
			out = append(out, engine)
		}
		return nil
	})
	return out
}

// join registers an engine whose hello was right. It returns Conflict if that replica is connected and Forbidden if its
// key was revoked meanwhile.
func (t *turn) join(e *session) error {
	if _, err := t.find(e.key); err != nil {
		return err
	}
	if err := t.s.checkVersion(e.Version); err != nil {
		return err
	}
	id := engineID{e.Label, e.Replica}
	if other, ok := t.engines[id]; ok {
		return sim.Errorf(sim.Conflict, "replica %s of DPE %s is connected already, from %s", e.Replica, e.Label, other.Remote).
			WithHelp("give each replica its own name; a stream that broke is forgotten after %v without a heartbeat", t.silence())
	}
	e.ConnectedAt, e.seen = t.now, t.up
	t.engines[id] = e
	for _, j := range t.jobs { // of before a restart of the DPM, or of a drain that was cut short
		if j.State.held() && j.holder() == id {
			e.held[j.ID] = j
		}
	}
	t.arm(t.up + t.silence())
	t.then(func() {
		t.s.publish(e.cause, e.Label, "engine connected", map[string]string{
			"replica": string(e.Replica), "version": string(e.Version), "remote": e.Remote, "slots": strconv.Itoa(e.Slots),
			"capabilities": strings.Join(e.Capabilities, ","), "revision": strconv.FormatInt(e.Revision, 10),
		})
		e.send(&dpmv1.ConnectResponse{Message: &dpmv1.ConnectResponse_Welcome{Welcome: &dpmv1.Welcome{
			DpmVersion:        string(t.s.Release()),
			HeartbeatInterval: durationpb.New(t.s.opts.Heartbeat),
			Lease:             durationpb.New(t.s.opts.Lease),
		}}})
		t.s.opts.Log.Info("engine connected", "environment", t.s.opts.Environment, "dpe", e.Label, "replica", e.Replica)
	})
	return nil
}

func (t *turn) silence() time.Duration { return missedHeartbeats * t.s.opts.Heartbeat }

// departure says how an engine goes.
type departure struct {
	why     string
	cause   func() uint64 // event that led to it, asked after the commit; nil: unknown
	goodbye *dpmv1.Goodbye
	err     error // what the stream ends with; nil: OK
	keep    bool  // its leases run on
}

// leave takes an engine off the list, ends its stream and takes its jobs from it, unless they are to be kept: then they
// are given up when their leases run out. It does nothing for an engine that has left.
func (t *turn) leave(e *session, d departure) {
	id := engineID{e.Label, e.Replica}
	if t.engines[id] != e {
		return
	}
	delete(t.engines, id)
	var gone uint64
	t.then(func() {
		var cause uint64
		if d.cause != nil {
			cause = d.cause()
		}
		gone = t.s.publish(cause, e.Label, "engine disconnected", map[string]string{"replica": string(e.Replica), "reason": d.why})
		e.end(d.goodbye, d.err)
		t.s.opts.Log.Info("engine disconnected", "environment", t.s.opts.Environment, "dpe", e.Label, "replica", e.Replica, "reason", d.why)
	})
	if d.keep {
		return
	}
	for _, j := range sorted(e.held) {
		t.lose(j, "the engine is gone: "+d.why, func() uint64 { return gone })
	}
}

// endAll sends every engine away for a restart; their leases run on.
func (t *turn) endAll() {
	for _, e := range t.connected() {
		t.leave(e, departure{why: "the DPM stops", goodbye: restarting(), keep: true, err: errClosed()})
	}
}

// left makes sure that an ended session is off the list, whoever ended it.
func (s *Server) left(e *session) {
	msg := "the stream broke"
	if err := e.result(); err != nil {
		msg, _ = sim.Explain(err)
	}
	_ = s.do(s.ctx, func(t *turn) error { // fails only if the server is closed
		t.leave(e, departure{why: msg, keep: e.Draining})
		return nil
	})
}

// handle does what a message of an engine asks for.
func (s *Server) handle(e *session, r received) {
	if r.err != nil {
		s.hangUp(e, r.err)
		return
	}
	var err error
	switch m := r.m.GetMessage().(type) {
	case *dpmv1.ConnectRequest_Credits:
		err = s.do(e.ctx, func(t *turn) error { return t.credit(e, m.Credits.GetCommands()) })
	case *dpmv1.ConnectRequest_Heartbeat:
		err = s.do(e.ctx, func(t *turn) error { t.heartbeat(e, m.Heartbeat.GetJobIds()); return nil })
	case *dpmv1.ConnectRequest_Drain:
		err = s.do(e.ctx, func(t *turn) error { e.seen, e.Draining = t.up, true; return nil })
	case *dpmv1.ConnectRequest_Event:
		if err = s.opts.Faults.At(e.ctx, FaultEvent, s.scope(e.Label)); err == nil {
			err = s.do(e.ctx, func(t *turn) error { return t.report(e, m.Event) })
		}
	case *dpmv1.ConnectRequest_Hello:
		err = sim.Errorf(sim.Invalid, "a second Hello").WithHelp("send Hello once")
	default:
		err = sim.Errorf(sim.Invalid, "a message that says nothing").WithHelp("this engine does not speak as dpm.proto says")
	}
	if err != nil && e.ctx.Err() == nil {
		e.end(nil, err)
	}
}

// hangUp deals with the end of the engine's side. A clean end after a drain says that the engine has finished what it
// began: commands that crossed the drain on their way go to others at once. A drain that broke off leaves the leases.
func (s *Server) hangUp(e *session, err error) {
	clean := errors.Is(err, io.EOF)
	d := departure{why: "the stream broke", err: errGone()}
	if clean {
		d = departure{why: "the engine hung up"}
	}
	_ = s.do(s.ctx, func(t *turn) error { // fails only if the server is closed
		d.keep = e.Draining && !clean
		if e.Draining && clean {
			d.why = "drained"
		}
		t.leave(e, d)
		return nil
	})
	e.end(nil, d.err)
}

// credit lets e have n more commands.
func (t *turn) credit(e *session, n uint32) error {
	if n < 1 || n > maxSlots || e.credits+int(n) > maxSlots {
		return sim.Errorf(sim.Invalid, "credits for %d more commands on top of %d; want 1 to %d in all", n, e.credits, maxSlots).
			WithHelp("give credits for as many commands as slots are free")
	}
	e.seen = t.up
	e.credits += int(n)
	return nil
}

// heartbeat notes that e lives and renews the leases of the jobs that it names, if they are its own.
func (t *turn) heartbeat(e *session, ids []string) {
	e.seen = t.up
	for _, id := range ids {
		if j, ok := e.held[sim.JobID(id)]; ok {
			j.lease = t.up + t.s.opts.Lease
		}
	}
}

var _ dpmv1.EngineServiceServer = (*Server)(nil)
