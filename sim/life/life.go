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
	serving context.Context // nil before Serve
	failed  chan error
	closed  bool
}

type member struct {
	Service
	cancel context.CancelFunc
	done   chan struct{} // closed when Serve has returned; nil if it never started
}

// Add appends s. Once the group is closed it closes s at once and returns an error.
func (g *Group) Add(s Service) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		err := error(nil)
		if s.Close != nil {
			err = s.Close()
		}
		return errors.Join(fmt.Errorf("start %s: already stopping", s.Name), err)
	}
	m := &member{Service: s}
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

// Serve starts the services in order, waits for ctx to end or a service to fail, stops them in reverse and returns that
// failure, joined with what closing returned. It may be called once.
func (g *Group) Serve(ctx context.Context) error {
	g.mu.Lock()
	g.serving, g.failed = ctx, make(chan error, 1)
	for _, m := range g.members {
		g.startLocked(m)
	}
	g.mu.Unlock()
	var err error
	select {
	case <-ctx.Done():
	case err = <-g.failed:
	}
	return errors.Join(err, g.Close())
}

// Remove stops and closes the newest service of that name, out of order. It does nothing if there is none.
func (g *Group) Remove(name string) error {
	g.mu.Lock()
	var m *member
	for i := len(g.members) - 1; i >= 0; i-- {
		if g.members[i].Name == name {
			m = g.members[i]
			g.members = append(g.members[:i:i], g.members[i+1:]...)
			break
		}
	}
	g.mu.Unlock()
	if m == nil {
		return nil
	}
	return m.stop()
}

// Close stops the services that run and closes all, last added first, each after the one before is done. It is
// idempotent, and right if Serve never ran.
func (g *Group) Close() error {
	g.mu.Lock()
	g.closed = true
	members := g.members
	g.members = nil
	g.mu.Unlock()
	var errs []error
	for i := len(members) - 1; i >= 0; i-- {
		errs = append(errs, members[i].stop())
	}
	return errors.Join(errs...)
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
