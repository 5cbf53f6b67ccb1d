// Package life runs services: started in order, stopped one at a time in reverse order.
//
// A service has two verbs here: Serve(ctx) blocks until ctx is done and then returns nil, Close gives back what opening
// took. Cancelling one shared context would stop everything at once, in no order, and engines would then report a DPM
// that went away on purpose; so each service has a context of its own.
package life

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Service is one thing that runs. Close is called once, after Serve has returned or instead of it.
type Service struct {
	Name  string
	Serve func(ctx context.Context) error // nil: nothing runs, there is only something to close
	Close func() error                    // nil: nothing to close
}

// Group holds services in the order in which they were opened. The zero value is ready. Add may be called while the
// group serves: the newcomer starts at once and is the first to stop.
type Group struct {
	mu      sync.Mutex
	members []*member
	serving context.Context    // nil before Serve
	end     context.CancelFunc // of serving
	failed  chan error
	closed  bool

	removals sync.WaitGroup // Remove under way
	done     chan struct{}  // made by the first Close, closed when all is closed
	err      error          // what closing returned; read after done
}

type member struct {
	Service
	cancel context.CancelFunc
	done   chan struct{} // closed when Serve has returned; nil if it never started
}

// Add appends s. Once the group is closed it closes s at once and returns an error.
func (g *Group) Add(s Service) error {
	m := &member{Service: s}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return errors.Join(fmt.Errorf("start %s: already stopping", s.Name), m.stop())
	}
	defer g.mu.Unlock()
	g.members = append(g.members, m)
	if g.serving != nil {
		g.startLocked(m)
	}
	return nil
}

func (g *Group) startLocked(m *member) {
	if m.Serve == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(g.serving))
	m.cancel, m.done = cancel, make(chan struct{})
	go func() {
		defer close(m.done)
		if err := m.Serve(ctx); err != nil {
			select {
			case g.failed <- fmt.Errorf("%s: %w", m.Name, err):
			default: // the first failure is what stops the group
			}
		}
	}()
}

// Serve starts the services in order, waits for ctx to end, the group to be closed or a service to fail, stops them in
// reverse and returns that failure, joined with what closing returned. It may be called once.
func (g *Group) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g.mu.Lock()
	g.serving, g.failed, g.end = ctx, make(chan error, 1), cancel
	if g.closed {
		cancel()
	}
	for _, m := range g.members {
		g.startLocked(m)
	}
	g.mu.Unlock()
	var err error
	select {
	case <-ctx.Done():
	case err = <-g.failed:
	}
	closing := g.Close()
	if err == nil { // one may have failed as it stopped
		select {
		case err = <-g.failed:
		default:
		}
	}
	return errors.Join(err, closing)
}

// Remove stops and closes the newest service of that name, out of order. It does nothing if there is none.
func (g *Group) Remove(name string) error {
	g.mu.Lock()
	var m *member
	for i, candidate := range slices.Backward(g.members) {
		if candidate.Name == name {
			m = candidate
			g.removals.Add(1)
			g.members = append(g.members[:i:i], g.members[i+1:]...)
			break
		}
	}
	g.mu.Unlock()
	if m == nil {
		return nil
	}
	defer g.removals.Done()
	return m.stop()
}

// Close stops the services that run and closes all, last added first, each after the one before is done. It is
// idempotent: every call returns when all is closed, with the same error. It is right if Serve never ran, and ends a
// Serve that runs. A service must not call it, since it waits for that service.
func (g *Group) Close() error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		<-g.done
		return g.err
	}
	g.closed, g.done = true, make(chan struct{})
	members, end := g.members, g.end
	g.members = nil
	g.mu.Unlock()
	defer close(g.done)
	var errs []error
	for _, m := range slices.Backward(members) {
		errs = append(errs, m.stop())
	}
	g.removals.Wait()
	if end != nil {
		end()
	}
	g.err = errors.Join(errs...)
	return g.err
}

func (m *member) stop() error {
	if m.done != nil {
		m.cancel()
		<-m.done
	}
	if m.Service.Close == nil {
		return nil
	}
	if err := m.Service.Close(); err != nil {
		return fmt.Errorf("close %s: %w", m.Name, err)
	}
	return nil
}
