package dpe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/event"
)

// defaultHeartbeat is used if Welcome gives no interval.
const defaultHeartbeat = 5 * time.Second

// session is one stream to DPM. One goroutine owns it and sends; a second one only receives.
type session struct {
	*engine
	work     context.Context // of the commands: it outlives the stream
	stream   dpmv1.EngineService_ConnectClient
	credits  int // given to DPM and not used yet
	draining bool
	closed   bool // nothing more will be sent
}

// session connects and works until the stream ends. It tells whether DPM said welcome. After a drain the error is nil.
func (e *engine) session(ctx, stopping context.Context) (welcomed bool, err error) {
	if err := e.Faults.At(ctx, FaultConnect, e.scope()); err != nil {
		return false, err
	}
	conn, err := e.dial()
	if err != nil {
		return false, err
	}
	defer conn.Close() //nolint:errcheck // the stream has ended; there is nothing left to lose
	streamCtx, cancel := context.WithCancel(ctx)
	if cause := event.Cause(ctx); cause != 0 {
		streamCtx = metadata.AppendToOutgoingContext(streamCtx, event.CauseHeader, strconv.FormatUint(cause, 10))
	}
	hangUp := context.AfterFunc(stopping, func() {
		if e.ledger.size() == 0 {
			cancel() // nothing to finish: do not wait for a connection
		}
	})
	stream, err := dpmv1.NewEngineServiceClient(conn).Connect(streamCtx)
	hangUp()
	if err != nil {
		cancel()
		return false, refusal(err)
	}
	s := &session{engine: e, work: context.WithoutCancel(ctx), stream: stream}

	var reader sync.WaitGroup
	defer reader.Wait()
	defer cancel()
	in, ended := make(chan *dpmv1.ConnectResponse), make(chan error, 1)
	reader.Go(func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			select {
			case in <- m:
			case <-streamCtx.Done():
				ended <- streamCtx.Err()
				return
			}
		}
	})

	if err := s.send(&dpmv1.ConnectRequest{Message: &dpmv1.ConnectRequest_Hello{Hello: e.hello()}}); err != nil {
		return false, s.cause(err, in, ended)
	}
	select {
	case m := <-in:
		w := m.GetWelcome()
		if w == nil {
			if err := s.receive(m); err != nil {
				return false, err
			}
			return false, errors.New("DPM answered hello with something else than welcome")
		}
		return true, s.serve(stopping, w, in, ended)
	case err := <-ended:
		return false, refusal(err)
	case <-e.idleStop(stopping):
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// hello introduces the replica.
func (e *engine) hello() *dpmv1.Hello {
	drivers := make([]string, len(e.Drivers))
	for i, d := range e.Drivers {
		drivers[i] = string(d)
	}
	slices.Sort(drivers)
	return &dpmv1.Hello{
		Label: string(e.Label), Replica: string(e.Replica), Version: string(e.Version), Capabilities: capabilities(e.custom),
		Slots: uint32(e.Slots), Drivers: drivers, ConfigurationRevision: e.Revision,
	}
}

// serve works on a stream that was welcomed, until it ends.
func (s *session) serve(stopping context.Context, w *dpmv1.Welcome, in <-chan *dpmv1.ConnectResponse, ended <-chan error) error {
	s.log.Info("connected to dpm", "dpm_version", w.GetDpmVersion())
	s.health.connected(sim.Release(w.GetDpmVersion()))
	s.ledger.again()
	interval := w.GetHeartbeatInterval().AsDuration()
	if interval <= 0 {
		interval = defaultHeartbeat
	}
	heartbeat, stopHeartbeat := s.Clock.After(interval)
	defer func() { stopHeartbeat() }()
	stop := stopping.Done()
	for {
		if err := s.settleUp(); err != nil {
			return s.cause(err, in, ended)
		}
		select {
		case m := <-in:
			if err := s.receive(m); err != nil {
				return err
			}
		case err := <-ended:
			if s.closed && errors.Is(err, io.EOF) {
				s.log.Info("drained")
				return nil
			}
			return refusal(err)
		case <-s.ledger.wake:
		case <-heartbeat:
			heartbeat, stopHeartbeat = s.Clock.After(interval)
			err := s.send(&dpmv1.ConnectRequest{Message: &dpmv1.ConnectRequest_Heartbeat{Heartbeat: &dpmv1.Heartbeat{JobIds: s.ledger.jobs()}}})
			if err != nil {
				return s.cause(err, in, ended)
			}
		case <-stop:
			stop, s.draining = nil, true
			s.log.Info("draining", "jobs", s.ledger.jobs())
			if err := s.send(&dpmv1.ConnectRequest{Message: &dpmv1.ConnectRequest_Drain{Drain: &dpmv1.Drain{Reason: "SIGTERM"}}}); err != nil {
				return s.cause(err, in, ended)
			}
		}
	}
}

// settleUp sends what is due: events; credits for free slots; the end, once a drain has nothing left to finish.
func (s *session) settleUp() error {
	for _, e := range s.ledger.next() {
		if err := s.send(&dpmv1.ConnectRequest{Message: &dpmv1.ConnectRequest_Event{Event: e}}); err != nil {
			return err
		}
	}
	if s.draining {
		if s.ledger.size() > 0 || s.closed {
			return nil
		}
		s.closed = true
		return s.stream.CloseSend()
	}
	free := s.Slots - s.ledger.size() - s.credits
	if free <= 0 {
		return nil
	}
	s.credits += free
	return s.send(&dpmv1.ConnectRequest{Message: &dpmv1.ConnectRequest_Credits{Credits: &dpmv1.Credits{Commands: uint32(free)}}})
}

// receive acts on a message of DPM. An error ends the stream.
func (s *session) receive(m *dpmv1.ConnectResponse) error {
	switch m := m.GetMessage().(type) {
	case *dpmv1.ConnectResponse_Commands:
		commands := m.Commands.GetCommands()
		if len(commands) > s.credits {
			return fmt.Errorf("DPM sent %d commands where %d were allowed", len(commands), s.credits)
		}
		s.credits -= len(commands)
		if s.draining {
			s.log.Info("commands came while draining: dpm gives them to another replica", "commands", len(commands))
			return nil
		}
		for _, c := range commands {
			s.begin(s.work, c)
		}
	case *dpmv1.ConnectResponse_Receipt:
		r := m.Receipt
		if s.ledger.settle(r) && !r.GetAccepted() {
			s.log.Info("result refused by dpm, dropped", "job", r.GetJobId(), "attempt", r.GetAttempt(), "reason", r.GetReason())
		}
	case *dpmv1.ConnectResponse_Goodbye:
		if m.Goodbye.GetReason() == dpmv1.GoodbyeReason_GOODBYE_REASON_REVOKED {
			return fmt.Errorf("%w: %s", errRefused, m.Goodbye.GetMessage())
		}
		return fmt.Errorf("DPM says goodbye: %s", strings.TrimSpace(m.Goodbye.GetMessage()))
	default:
		return fmt.Errorf("DPM sent a message that this release does not know: %T", m)
	}
	return nil
}

func (s *session) send(m *dpmv1.ConnectRequest) error { return s.stream.Send(m) }

// cause gives the reason why sending failed: gRPC tells it to the receiver only, behind what DPM still said.
func (s *session) cause(err error, in <-chan *dpmv1.ConnectResponse, ended <-chan error) error {
	if !errors.Is(err, io.EOF) {
		return refusal(err)
	}
	for {
		select {
		case m := <-in:
			if err := s.receive(m); err != nil {
				return err
			}
		case err := <-ended:
			return refusal(err)
		}
	}
}

// refusal marks an error by which DPM says that it wants nothing of this engine.
func refusal(err error) error {
	if s, ok := status.FromError(err); ok && s.Code() == codes.PermissionDenied {
		return fmt.Errorf("%w: %s", errRefused, s.Message())
	}
	return err
}
