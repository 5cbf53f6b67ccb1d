package life_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/dpesim/dpesim/sim/life"
)

// diary notes what services do, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

// end gives the lines since the services began to stop.
func (d *diary) end() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(d.lines), func(s string) bool { return strings.HasPrefix(s, "serve") })
}

func (d *diary) service(name string) life.Service {
	return life.Service{
		Name: name,
		Serve: func(ctx context.Context) error {
			d.add("serve %s", name)
			<-ctx.Done()
			d.add("stop %s", name)
			return nil
		},
		Close: func() error {
			d.add("close %s", name)
			return nil
		},
	}
}

func add(t *testing.T, g *life.Group, services ...life.Service) {
	t.Helper()
	for _, s := range services {
		if err := g.Add(s); err != nil {
			t.Fatal(err)
		}
	}
}

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestServicesStopOneAtATimeInReverse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g life.Group
		var d diary
		add(t, &g, d.service("db"), life.Service{Name: "file", Close: func() error { d.add("close file"); return nil }}, d.service("dpm"), d.service("dpe"))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Serve(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		equal(t, d.end(), "stop dpe", "close dpe", "stop dpm", "close dpm", "close file", "stop db", "close db")
	})
}

func TestAFailureStopsAllAndIsReturned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g life.Group
		var d diary
		broken := errors.New("broken")
		fail := make(chan struct{})
		add(t, &g, d.service("a"), life.Service{Name: "b", Serve: func(context.Context) error { <-fail; return broken }}, d.service("c"))
		done := make(chan error, 1)
		go func() { done <- g.Serve(t.Context()) }()
		synctest.Wait()
		equal(t, d.end())
		close(fail)
		err := <-done
		if !errors.Is(err, broken) || !strings.Contains(err.Error(), "b: ") {
			t.Errorf("%v", err)
		}
		equal(t, d.end(), "stop c", "close c", "stop a", "close a")
	})
}

func TestAFailureWhileStoppingIsReturned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g life.Group
		late, closing := errors.New("late"), errors.New("closing")
		add(t, &g,
			life.Service{Name: "a", Serve: func(ctx context.Context) error { <-ctx.Done(); return late }},
			life.Service{Name: "b", Close: func() error { return closing }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Serve(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, late) || !errors.Is(err, closing) {
			t.Errorf("%v", err)
		}
	})
}

func TestCloseIsIdempotentAndRightIfServeNeverRan(t *testing.T) {
	t.Parallel()
	var g life.Group
	var d diary
	broken := errors.New("broken")
	add(t, &g, d.service("a"), life.Service{Name: "b", Close: func() error { d.add("close b"); return broken }})
	for range 2 {
		if err := g.Close(); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
	}
	equal(t, d.end(), "close b", "close a")
	var empty life.Group
	if err := empty.Close(); err != nil {
		t.Error(err)
	}
	if err := empty.Serve(t.Context()); err != nil {
		t.Errorf("Serve after Close: %v", err)
	}
}

func TestCloseEndsServeAndEveryCallerWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g life.Group
		slow := make(chan struct{})
		closed := false
		add(t, &g, life.Service{Name: "slow", Serve: func(ctx context.Context) error { <-ctx.Done(); <-slow; return nil }, Close: func() error { closed = true; return nil }})
		served := make(chan error, 1)
		go func() { served <- g.Serve(t.Context()) }()
		synctest.Wait()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := g.Close(); err != nil || !closed {
					t.Errorf("%v, closed %v", err, closed)
				}
			})
		}
		synctest.Wait()
		close(slow)
		wg.Wait()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

func TestANewcomerStartsAtOnceAndStopsFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g life.Group
		var d diary
		add(t, &g, d.service("a"))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Serve(ctx) }()
		synctest.Wait()
		add(t, &g, d.service("b"))
		synctest.Wait()
		d.mu.Lock()
		equal(t, d.lines, "serve a", "serve b")
		d.mu.Unlock()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		equal(t, d.end(), "stop b", "close b", "stop a", "close a")
		if err := g.Add(d.service("late")); err == nil {
			t.Error("a closed group took a service")
		}
		equal(t, d.end(), "stop b", "close b", "stop a", "close a", "close late")
	})
}

func TestRemoveStopsTheNewestOfThatNameOutOfOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g life.Group
		var d diary
		env := d.service("env")
		env.Close = func() error { d.add("close first env"); return nil }
		add(t, &g, env, d.service("env"), d.service("last"))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Serve(ctx) }()
		synctest.Wait()
		if err := errors.Join(g.Remove("env"), g.Remove("nobody")); err != nil {
			t.Error(err)
		}
		equal(t, d.end(), "stop env", "close env")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		equal(t, d.end(), "stop env", "close env", "stop last", "close last", "stop env", "close first env")
	})
}

func TestCloseWaitsForARemovalUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g life.Group
		slow, gone := make(chan struct{}), false
		add(t, &g, life.Service{Name: "a", Close: func() error { <-slow; gone = true; return nil }})
		removed := make(chan error, 1)
		go func() { removed <- g.Remove("a") }()
		synctest.Wait()
		closed := make(chan bool, 1)
		go func() { _ = g.Close(); closed <- gone }()
		synctest.Wait()
		close(slow)
		if !<-closed {
			t.Error("Close returned before the removal had")
		}
		if err := <-removed; err != nil {
			t.Error(err)
		}
	})
}
